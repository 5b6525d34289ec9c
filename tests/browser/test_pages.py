"""Pages in a real browser, on a running system with real tasks."""

import itertools
import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import SIZES, Mill, Window

VIEWS = list(itertools.product(SIZES, ("light", "dark"), ("en", "ru")))
QUICK = [("desktop", "light", "en"), ("phone", "dark", "ru")]


def a_task(mill: Mill, status: str, **more: str) -> str:
    """Return the id of some task with this status."""
    query = {"status": status, "limit": "1", **more}
    found: str = mill.http.get("/tasks", params=query).json()["items"][0]["id"]
    return found


def webhook_pages(mill: Mill) -> list[str]:
    """Subscribe an endpoint that nobody may call; return the pages of webhooks."""
    body = {"url": "http://10.0.0.1/", "description": "of the test"}
    webhook = mill.http.post("/webhooks", json=body).raise_for_status().json()["id"]
    mill.http.post(f"/webhooks/{webhook}/test").raise_for_status()
    page = f"/ui/webhooks/{webhook}"
    return ["/ui/webhooks", page, f"{page}/edit", f"{page}/delete", "/ui/webhooks/new"]


def check_all_pages(window: Window) -> None:
    mill = window.mill
    for path in (
        "/",
        "/ui/tasks",
        "/ui/tasks?status=failed&name=charge&queue=default&label=a%3Db",
        "/ui/tasks?queue=No+Such",
        "/ui/create",
        "/ui/rejections",
        "/ui/jobs",
        "/ui/audit",
        *("/ui/keys", "/ui/system", "/ui/system?settings=all"),
        *webhook_pages(mill),
        f"/ui/tasks/{a_task(mill, 'failed')}",
        f"/ui/tasks/{a_task(mill, 'succeeded')}",
        f"/ui/tasks/{a_task(mill, 'new')}",
    ):
        refused = "No+Such" in path
        page = window.open(path)
        if refused:
            window.errors.clear()  # the browser counts a page with status 422 as an error
        expect(page.locator("h1")).to_be_visible()
        window.check()


@pytest.mark.parametrize("window", QUICK, indirect=True, ids="-".join)
def test_every_page_is_sound(window: Window) -> None:
    check_all_pages(window)


@pytest.mark.slow
@pytest.mark.parametrize(
    "window", [v for v in VIEWS if v not in QUICK], indirect=True, ids="-".join
)
def test_every_page_is_sound_in_every_view(window: Window) -> None:
    check_all_pages(window)


def stays(page: Page) -> None:
    """Mark a page, to check later that it was not reloaded."""
    page.evaluate("window.stays = true")


def has_stayed(page: Page) -> bool:
    return page.evaluate("window.stays === true") is True


def test_a_new_task_appears_and_ends_without_a_reload(window: Window) -> None:
    page = window.open("/ui/tasks")
    stays(page)
    task_id = window.mill.create(name="Seen at once", type="send-email", payload={"to": "me"})
    row = page.locator(f"#t{task_id}")
    expect(row).to_be_visible()
    expect(row).to_contain_text("Succeeded")
    assert has_stayed(page)
    assert window.errors == []


def test_the_counts_of_the_overview_go_on_without_a_reload(window: Window) -> None:
    page = window.open("/")
    stays(page)
    number = page.locator(".tile.new strong")
    before = number.inner_text()
    window.mill.create(name="One more", type="unknown", queue="lonely")
    expect(number).not_to_have_text(before)
    assert has_stayed(page)
    assert page.locator(".chart canvas").count() == page.locator(".chart").count() > 2


def test_what_changes_during_a_refresh_is_shown_by_another_one(window: Window) -> None:
    page = window.open("/ui/tasks?queue=again")
    refresh = "htmx.trigger(document.body, 'refresh')"
    created: list[str] = []
    # Its stream ends, so that it is refreshed when this test says so only.
    page.evaluate("dispatchEvent(new Event('pagehide'))")

    def hold(route: Route) -> None:
        before = route.fetch()
        created.append(window.mill.create(name="Meanwhile", type="unknown", queue="again"))
        page.evaluate(refresh)
        route.fulfill(response=before)

    page.route("**/ui/tasks*", hold, times=1)
    page.evaluate(refresh)
    expect(page.locator("#list tbody tr")).to_have_count(1)
    expect(page.locator(f"#t{created[0]}")).to_be_visible()
    assert window.errors == []


def test_a_running_task_shows_its_progress_and_is_cancelled(window: Window) -> None:
    task_id = window.mill.create(name="A long report", type="build-report")
    page = window.open(f"/ui/tasks/{task_id}")
    stays(page)
    progress = page.locator(".progress progress")
    expect(progress).to_be_visible()
    expect(page.locator(".lines li").first).to_contain_text("page built")
    lines = page.locator(".lines li").count()
    expect(page.locator(".lines li").nth(lines)).to_be_attached()
    assert has_stayed(page)
    page.get_by_role("button", name="Cancel").click()
    page.locator("#confirm[open]").get_by_role("button", name="Confirm").click()
    expect(page.locator("main .status").first).to_have_text("Cancelled")
    assert window.mill.ended(task_id) == "cancelled"
    window.check()


def test_what_was_not_confirmed_is_not_done(window: Window) -> None:
    task_id = window.mill.create(name="Keep me", type="unknown", queue="lonely")
    page = window.open(f"/ui/tasks/{task_id}")
    page.get_by_role("button", name="Cancel").click()
    page.locator("#confirm[open]").get_by_role("button", name="Back").click()
    expect(page.locator("#confirm")).to_be_hidden()
    assert window.mill.status(task_id) == "new"


def test_a_failed_task_shows_its_error_and_its_traceback(window: Window) -> None:
    task_id = window.mill.create(name="Charge", type="charge-card", payload={"amount": 42})
    assert window.mill.ended(task_id) == "failed"
    page = window.open(f"/ui/tasks/{task_id}")
    expect(page.locator(".trouble")).to_contain_text("could not charge 42 EUR")
    page.get_by_text("Traceback", exact=True).click()
    expect(page.locator(".lines .raised")).to_contain_text("the bank did not answer within 5 s")
    expect(page.locator(".lines .frames code").first).to_have_text("ask_the_bank")
    expect(page.locator(".trouble h2")).to_contain_text("in mill.charge_card")
    expect(page.locator(".history")).to_contain_text("Claimed")
    expect(page.locator(".tree")).to_contain_text("amount")
    # The reader's zone, not the server's.
    assert re.search(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", page.locator(".facts time").first.inner_text()
    )


def test_picked_tasks_are_retried_in_the_background(window: Window) -> None:
    ids = [
        window.mill.create(
            name=f"Pick {n}", type="send-email", payload={"to": "x"}, labels={"pick": "me"}
        )
        for n in range(3)
    ]
    for task_id in ids:
        window.mill.ended(task_id)
    page = window.open("/ui/tasks?label=pick%3Dme")
    for task_id in ids[:2]:
        page.locator(f"#t{task_id} input").check()
    expect(page.locator("#selected")).to_have_text("2 selected")
    # The picks survive updates; under the pointer there would be none.
    page.mouse.move(2, 2)
    other = window.mill.create(
        name="Pick 4", type="send-email", payload={"to": "x"}, labels={"pick": "me"}
    )
    expect(page.locator(f"#t{other}")).to_be_visible()
    expect(page.locator("#selected")).to_have_text("2 selected")
    page.get_by_role("button", name="Retry selected").click()
    sheet = page.locator("#sheet[open]")
    expect(sheet.locator(".big")).to_have_text("2")
    sheet.get_by_role("button", name="Retry them").click()
    expect(page.locator(".job")).to_contain_text("Retried 2 tasks")
    runs = [window.mill.http.get(f"/tasks/{task_id}").json()["run"] for task_id in ids]
    assert runs == [2, 2, 1]
    assert window.errors == []


def test_all_tasks_that_fit_are_cancelled_after_a_preview(window: Window) -> None:
    ids = [window.mill.create(name=f"Sweep {n}", type="unknown", queue="sweep") for n in range(4)]
    page = window.open("/ui/tasks?queue=sweep&status=new")
    page.get_by_role("button", name="Cancel all").click()
    expect(page.locator("#sheet[open] .big")).to_have_text("4")
    window.check()
    page.locator("#sheet").get_by_role("button", name="Cancel them").click()
    expect(page.locator(".job")).to_contain_text("Cancelled 4 tasks")
    assert {window.mill.status(task_id) for task_id in ids} == {"cancelled"}


def test_the_filter_is_in_the_address(window: Window) -> None:
    page = window.open("/ui/tasks")
    page.get_by_role("link", name="Failed").click()
    page.get_by_role("searchbox").fill("charge")
    page.keyboard.press("Enter")
    page.wait_for_url("**name=charge*")
    assert "status=failed" in page.url
    assert "queue=" not in page.url
    expect(page.locator("#list tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Charge the card").click()
    page.wait_for_url("**/ui/tasks/*-*")


def test_everything_can_be_reached_by_keys(window: Window) -> None:
    page = window.open("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    window.check()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_url("**/ui/tasks")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#selected")).to_have_text("1 selected")
    page.keyboard.press("/")
    expect(page.locator("#find-text")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/tasks/*-*")


def test_theme_and_language_are_saved(window: Window) -> None:
    page = window.open("/ui/tasks?status=new")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(ground) != light
    assert page.url.endswith("/ui/tasks?status=new")
    page.get_by_role("button", name="Русский").click()
    expect(page.locator("h1")).to_have_text("Задачи")
    window.open("/")
    expect(page.locator("h1")).to_have_text("Обзор")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert window.errors == []


def test_nothing_moves_while_a_page_comes_alive(window: Window) -> None:
    page = window.page
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver(list => { for (const e of list.getEntries()) "
        "window.shift += e.value; }).observe({type: 'layout-shift', buffered: true});"
    )
    for path in ("/", "/ui/tasks", f"/ui/tasks/{a_task(window.mill, 'succeeded')}"):
        window.open(path)
        window.mill.create(name="Something new", type="send-email", payload={"to": "x"})
        expect(page.locator("#connection.flash")).to_be_attached()
        assert page.evaluate("window.shift") < 0.02, path


def test_an_outage_is_reported_and_the_pages_recover_by_themselves(window: Window) -> None:
    page = window.open("/ui/tasks")
    stays(page)
    other = page.context.new_page()
    window.mill.wire.cut()
    try:
        expect(page.locator("#banner")).to_contain_text("does not answer")
        other.goto(window.mill.url + "/ui/tasks?status=succeeded")
        expect(other.locator("main")).to_contain_text("No accepted task is lost")
    finally:
        window.mill.wire.restore()
    expect(page.locator("#banner")).to_be_hidden()
    assert has_stayed(page)
    expect(other.locator("#list tbody tr").first).to_be_visible()
