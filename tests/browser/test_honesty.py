"""Pages do what was confirmed, report what was refused, and show what there is."""

import json
from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from tests.browser.conftest import Window


def test_what_was_confirmed_is_done_and_never_what_the_page_offers_meanwhile(
    window: Window,
) -> None:
    task_id = window.mill.create(name="Cancel me", type="unknown", queue="lonely")
    page = window.open(f"/ui/tasks/{task_id}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#confirm")).to_be_visible()
    window.mill.http.post(f"/tasks/{task_id}/cancel").raise_for_status()
    expect(page.locator("#live form[data-confirm]")).to_have_attribute(
        "action", f"/ui/tasks/{task_id}/retry"
    )
    page.locator("#confirm").get_by_role("button", name="Confirm").click()
    expect(page.locator("h1")).to_have_text("Not possible now")
    assert window.mill.http.get(f"/tasks/{task_id}").json()["run"] == 1
    page.get_by_role("link", name="Back").click()
    expect(page).to_have_url(f"{window.mill.url}/ui/tasks/{task_id}")


def test_a_preview_that_is_refused_says_so(window: Window) -> None:
    window.mill.create(name="Preview", type="unknown", queue="refused")
    page = window.open("/ui/tasks?queue=refused&status=new")
    # At once: a refreshed list would be without it.
    page.locator("#list").evaluate("""form => {
        form.insertAdjacentHTML('afterbegin', '<input type=hidden name=worker value=x>')
        form.querySelector('button[value=cancel]').click()
    }""")
    expect(page.locator("#sheet[open]")).to_contain_text("does not fit")


def test_a_form_is_not_sent_twice(window: Window) -> None:
    window.mill.create(name="Once", type="unknown", queue="once")
    page = window.open("/ui/tasks?queue=once&status=new")
    page.get_by_role("button", name="Cancel all").click()
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.url) if one.method == "POST" else None)
    page.locator("#sheet").get_by_role("button", name="Cancel them").dblclick()
    expect(page.locator(".job")).to_contain_text("Cancelled 1 task")
    assert sent == [f"{window.mill.url}/ui/sweeps"]


def test_a_picked_task_stays_picked_when_it_leaves_the_page(window: Window) -> None:
    picked = window.mill.create(name="Picked", type="unknown", queue="busy")
    page = window.open("/ui/tasks?queue=busy&status=new")
    page.locator(f"#t{picked} input").check()
    page.mouse.move(2, 2)
    for number in range(51):
        window.mill.create(name=f"Later {number}", type="unknown", queue="busy")
    expect(page.locator(f"#t{picked}")).to_have_count(0)
    expect(page.locator("#selected")).to_have_text("1 selected")
    page.get_by_role("button", name="Cancel selected").click()
    expect(page.locator("#sheet[open] .big")).to_have_text("1")
    page.locator("#sheet").get_by_role("button", name="Cancel them").click()
    expect(page.locator(".job")).to_contain_text("Cancelled 1 task")
    assert window.mill.status(picked) == "cancelled"
    assert window.mill.http.get("/tasks?queue=busy&status=new").json()["total"] == 51


def test_times_are_right_when_the_readers_clock_is_not(window: Window) -> None:
    task_id = window.mill.create(name="Just now", type="unknown", queue="clock")
    window.page.clock.install(time=datetime.now(UTC) - timedelta(hours=3))  # noqa: TID251 - the browser's own
    page = window.open("/ui/tasks?queue=clock")
    expect(page.locator(f"#t{task_id} .at-created time")).to_contain_text("s ago")


INK = """async points => {
    const node = document.querySelector("[data-chart=time]"), frame = () => new Promise(requestAnimationFrame);
    node.dataset.points = points;
    node.dispatchEvent(new Event("points"));
    await frame();
    await frame();
    const canvas = node.querySelector("canvas"), wide = canvas.width;
    const { data } = canvas.getContext("2d").getImageData(0, 0, wide, canvas.height);
    let coloured = 0, atEdge = 0;
    for (let at = 0; at < data.length; at += 4) {
        const [red, , blue, solid] = data.slice(at, at + 4);
        if (solid > 128 && blue - red > 80) coloured += 1;
        if (solid > 64 && (at / 4) % wide >= wide - 3) atEdge += 1;
    }
    return [coloured, atEdge];
}"""


def test_a_time_with_seconds_can_be_filtered_by_again(window: Window) -> None:
    page = window.open("/ui/tasks?created_after=2026-01-01T03:00:30%2B03:00")
    page.locator("#search").fill("nothing like this")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(
        f"{window.mill.url}/ui/tasks?name=nothing+like+this&created_after=2026-01-01T00%3A00%3A30"
    )


def test_charts_show_single_points_and_whole_labels(window: Window) -> None:
    # Points of our own, which no update replaces.
    window.page.route("**/ui/live*", lambda route: route.abort())
    window.page.goto(f"{window.mill.url}/")
    end = int(datetime(2026, 11, 25, 20, 0, tzinfo=UTC).timestamp())
    times = [end - 60 * number for number in range(60, -1, -1)]
    alone = [0.05 if number == 30 else None for number in range(61)]
    coloured, at_edge = window.page.evaluate(INK, json.dumps([times, alone, *[[None] * 61] * 2]))
    assert coloured > 5
    assert at_edge == 0
