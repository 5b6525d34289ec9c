"""The page of one task: its logs, as somebody reads them who looks for a fault."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Mill, Window
from tests.browser.test_pages import a_task, has_stayed, stays

TURNING = "\u202eturning"


@pytest.fixture(scope="module")
def loud(mill: Mill) -> str:
    """A failed task with 60 lines."""
    task_id = mill.create(name="Loud", type="shout", payload={"lines": 60})
    assert mill.ended(task_id) == "failed"
    return task_id


def test_logs_are_searched_by_level_and_text(window: Window, loud: str) -> None:
    page = window.open(f"/ui/tasks/{loud}")
    logs = page.locator("#logs")
    expect(logs.locator(".lines li")).to_have_count(61)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", logs.locator("time").first.inner_text())
    logs.get_by_label("Minimum level").select_option("error")
    expect(logs.locator(".lines li")).to_have_count(1)
    assert "level=error" in page.url
    logs.get_by_role("link", name="Clear").click()
    logs.get_by_role("searchbox").fill('"number":7}')
    page.keyboard.press("Enter")
    expect(logs.locator(".lines li")).to_have_count(1)
    window.check()


def test_what_is_typed_into_the_search_survives_new_lines(window: Window) -> None:
    task_id = window.mill.create(name="Searched", type="build-report")
    page = window.open(f"/ui/tasks/{task_id}")
    stays(page)
    logs = page.locator("#logs")
    logs.get_by_role("searchbox").fill("page bu")
    lines = logs.locator(".lines li").count()
    expect(logs.locator(".lines li").nth(lines)).to_be_attached()
    expect(logs.get_by_role("searchbox")).to_have_value("page bu")
    assert has_stayed(page)
    window.mill.http.post(f"/tasks/{task_id}/cancel").raise_for_status()
    assert window.mill.ended(task_id) == "cancelled"


def test_logs_follow_until_the_reader_scrolls_back(window: Window, loud: str) -> None:
    page = window.open(f"/ui/tasks/{loud}")
    follow, lines = page.get_by_label("Follow"), page.locator(".lines")
    is_at_end = "one => one.scrollTop + one.clientHeight >= one.scrollHeight - 8"
    expect(follow).to_be_checked()
    assert lines.evaluate(is_at_end)
    lines.evaluate("one => { one.scrollTop = 0; }")
    expect(follow).not_to_be_checked()
    follow.check()
    assert lines.evaluate(is_at_end)


def test_lines_are_wrapped_unless_the_reader_wants_them_whole(window: Window, loud: str) -> None:
    page = window.open(f"/ui/tasks/{loud}?level=error")
    lines = page.locator(".lines")
    is_wide = "one => one.scrollWidth > one.clientWidth"
    assert not lines.evaluate(is_wide)
    page.get_by_label("Wrap lines").uncheck()
    assert lines.evaluate(is_wide)
    window.check()


def test_a_log_is_downloaded_as_it_is_filtered(window: Window, loud: str) -> None:
    page = window.open(f"/ui/tasks/{loud}?level=error")
    with page.expect_download() as started:
        page.locator("#logs").get_by_role("link", name="Download").click()
    rows = started.value.path().read_text("utf-8").splitlines()
    assert [row.split()[1] for row in rows] == ["ERROR"]


@pytest.mark.parametrize("window", [("phone", "dark", "ru")], indirect=True, ids="-".join)
def test_a_line_that_reverses_text_stays_in_its_place(window: Window) -> None:
    task_id = window.mill.create(name="Turned", type="say", payload={"text": TURNING})
    assert window.mill.ended(task_id) == "failed"
    page = window.open(f"/ui/tasks/{task_id}")
    line = page.locator(".lines li").first
    assert line.locator("bdi").first.inner_text().startswith(TURNING)
    boxes = [line.locator(one).first.bounding_box() for one in ("time", "b")]
    assert boxes[0]["x"] < boxes[1]["x"]  # type: ignore[index]  # both are visible
    window.check()


def test_logs_of_an_attempt_are_chosen_by_the_address(window: Window, mill: Mill) -> None:
    failed = a_task(mill, "failed", type="charge-card")
    mill.http.post(f"/tasks/{failed}/retry").raise_for_status()
    assert mill.ended(failed) == "failed"
    page = window.open(f"/ui/tasks/{failed}?claim=2")
    expect(page.locator(".lines li").first).to_have_attribute("id", re.compile("^l2-"))
    chosen = page.locator("select[name=claim] option:checked")
    expect(chosen).to_have_text("run 2, attempt 1")
    window.check()


def test_attempts_are_drawn_and_lead_to_their_logs_by_keys(window: Window, mill: Mill) -> None:
    task_id = mill.create(
        name="Twice",
        type="charge-card",
        payload={"amount": 42},
        max_attempts=2,
        retry={"base_s": 0.1, "factor": 1, "jitter": 0},
    )
    assert mill.ended(task_id) == "failed"
    page = window.open(f"/ui/tasks/{task_id}")
    chart = page.locator(".gantt")
    expect(chart.locator("tbody tr")).to_have_count(2)
    expect(chart.locator("rect.failed")).to_have_count(2)
    expect(chart.locator("rect.back_off")).to_have_count(1)
    # What the bars show is said in words, too.
    row = chart.get_by_role("row").filter(has_text="attempt 2")
    expect(row).to_contain_text("Failed RuntimeError")
    row.get_by_role("link", name="attempt 2").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**claim=2#logs")
    expect(page.locator(".lines li").first).to_have_attribute("id", re.compile("^l2-"))
    window.check()


@pytest.mark.parametrize("window", [("phone", "dark", "ru")], indirect=True, ids="-".join)
def test_attempts_of_earlier_runs_are_folded_on_a_phone(window: Window, mill: Mill) -> None:
    failed = mill.create(name="Again", type="charge-card", payload={"amount": 42})
    assert mill.ended(failed) == "failed"
    mill.http.post(f"/tasks/{failed}/retry").raise_for_status()
    assert mill.ended(failed) == "failed"
    page = window.open(f"/ui/tasks/{failed}")
    runs = page.locator(".course .run")
    expect(runs).to_have_count(2)
    expect(runs.first.locator(".gantt")).to_be_visible()
    expect(runs.last.locator(".gantt")).to_be_hidden()
    runs.last.locator("summary").tap()
    expect(runs.last.locator(".gantt")).to_be_visible()
    window.check()


@pytest.mark.parametrize(
    "window", [("desktop", "light", "en"), ("phone", "dark", "ru")], indirect=True, ids="-".join
)
def test_a_scheduled_task_is_changed_and_run_now(window: Window, mill: Mill) -> None:
    is_english = window.page.evaluate("navigator.language") == "en"
    names = (
        ("Reschedule", "Change", "Run now")
        if is_english
        else ("Перенести", "Изменить", "Выполнить сейчас")
    )
    task_id = mill.create(name="Later", type="send-email", payload={"to": "x"}, delay_s=86_400)
    page = window.open(f"/ui/tasks/{task_id}")
    window.check()
    page.get_by_role("link", name=names[0]).click()
    page.wait_for_url("**/reschedule")
    window.check()
    page.locator("select[name=priority]").select_option("9")
    page.get_by_role("button", name=names[1]).click()
    page.wait_for_url(f"**/ui/tasks/{task_id}")
    assert mill.http.get(f"/tasks/{task_id}").json()["priority"] == 9
    page.get_by_role("button", name=names[2]).click()
    assert mill.ended(task_id) == "succeeded"


def test_a_cancelled_task_shows_its_receipt(window: Window, mill: Mill) -> None:
    task_id = mill.create(name="To be stopped", type="build-report")
    page = window.open(f"/ui/tasks/{task_id}")
    expect(page.locator(".lines li").first).to_be_attached()
    page.get_by_role("button", name="Cancel").click()
    page.locator("#confirm[open]").get_by_role("button", name="Confirm").click()
    expect(page.locator(".receipt")).to_contain_text(
        re.compile(r"Cancelled .* after its worker was asked to stop it.*worker-1")
    )
    window.check()
