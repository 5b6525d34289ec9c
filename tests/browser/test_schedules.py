"""The pages of schedules in a real browser: on all screens, by keys, while typing, and without scripts."""

import re
from collections.abc import Iterator, Mapping

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Mill, Window, a_context

VIEWS = [("desktop", "light", "en"), ("phone", "dark", "ru")]
NIGHTLY = {
    "cron": "30 2 * * *",
    "zone": "Europe/Moscow",
    "task": {"name": "Nightly", "type": "emulate"},
}
SLOW = {
    "every": "PT1S",
    "overlap": "skip",
    "task": {
        "name": "Slow",
        "type": "emulate",
        "payload": {"delay_s": 30, "failure_probability": 0},
    },
}


def put(mill: Mill, name: str, body: Mapping[str, object]) -> None:
    """Put a schedule."""
    mill.http.put(f"/schedules/{name}", json=body).raise_for_status()


@pytest.fixture
def slow(mill: Mill) -> Iterator[str]:
    """A schedule of which nearly all ticks are skipped."""
    put(mill, "slow", SLOW)
    yield "slow"
    mill.http.delete("/schedules/slow").raise_for_status()


@pytest.mark.parametrize("window", VIEWS, indirect=True, ids="-".join)
def test_every_page_of_schedules_is_sound(window: Window, slow: str) -> None:
    put(window.mill, "nightly", NIGHTLY)
    page = window.open(f"/ui/schedules/{slow}")
    expect(page.locator(".trouble")).to_be_visible(timeout=20_000)
    expect(page.locator("main .status.late").first).to_be_visible()
    expect(page.locator(".days li")).to_have_count(30)
    window.check()
    for path in (
        "/ui/schedules",
        "/ui/schedules/nightly",
        "/ui/schedules/nightly/edit",
        "/ui/schedules/nightly/backfill?from=2026-01-01T00:00:00&to=2026-01-03T00:00:00",
        "/ui/schedules/nightly/delete",
        "/ui/new-schedule",
    ):
        expect(window.open(path).locator("h1")).to_be_visible()
        window.check()


def test_a_schedule_is_made_while_its_ticks_are_shown(window: Window) -> None:
    page = window.open("/")
    page.keyboard.press("g")
    page.keyboard.press("c")
    page.wait_for_url("**/ui/schedules")
    page.get_by_role("link", name="New schedule").click()
    page.get_by_role("textbox", name="Schedule required").fill("typed")
    page.get_by_role("textbox", name="Cron expression").fill("15 4 * * *")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("at 04:15 every day")
    page.get_by_role("combobox", name="Time zone").fill("Asia/Kolkata")
    expect(preview).to_contain_text("+05:30")
    page.get_by_role("textbox", name="Cron expression").fill("15 4 * *")
    expect(preview).to_contain_text("/cron")
    page.get_by_role("radio", name="Interval").check()
    expect(page.get_by_role("textbox", name="Cron expression")).to_be_hidden()
    page.get_by_role("combobox", name="Interval").fill("PT6H")
    expect(preview).to_contain_text("every 6\u00a0h")
    page.get_by_role("button", name="Create the schedule").click()
    page.wait_for_url("**/ui/schedules/typed")
    expect(page.locator("main .status").first).to_have_text("Active")
    assert window.errors == []
    act(page)
    deleted(page)


def act(page: Page) -> None:
    """Pause a schedule, have it go on, and run it."""
    page.get_by_role("button", name="Pause").click()
    page.locator("#confirm[open]").get_by_role("button", name="Confirm").click()
    expect(page.locator("main .status").first).to_contain_text("Paused")
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator("main .status").first).to_have_text("Active")
    page.get_by_role("button", name="Run now").click()
    page.locator("#confirm[open]").get_by_role("button", name="Confirm").click()
    page.wait_for_url("**/ui/tasks/*-*")
    page.get_by_role("link", name="typed", exact=True).first.click()
    expect(page.locator(".fires tbody tr")).to_have_count(1)


def deleted(page: Page) -> None:
    """Delete it, after the page that asks."""
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete typed").click()
    page.wait_for_url("**/ui/schedules")
    expect(page.get_by_role("link", name="typed", exact=True)).to_have_count(0)


def test_schedules_need_no_scripts(mill: Mill, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, locale="en")
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.goto(mill.url + "/ui/new-schedule")
    page.get_by_role("textbox", name="Schedule required").fill("plain")
    page.get_by_role("textbox", name="Cron expression").fill("@hourly")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview li")).to_have_count(10)
    page.get_by_role("button", name="Create the schedule").click()
    page.wait_for_url("**/ui/schedules/plain")
    page.get_by_role("link", name="Backfill").click()
    page.get_by_role("button", name="Show the ticks").click()
    expect(page.locator("#ticks-found")).to_have_text(re.compile(r"2[34] ticks without a task"))
    page.get_by_role("button", name="Create 2").click()
    expect(page.locator("#ticks-found")).to_contain_text("were created")
    page.get_by_role("link", name="Back to the schedule").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete plain").click()
    page.wait_for_url("**/ui/schedules")
    context.close()


def test_a_reader_sees_the_schedules_time_and_the_own(mill: Mill, browser: Browser) -> None:
    put(mill, "nightly", NIGHTLY)
    context = a_context(browser, "desktop", "light", "ru")
    page = context.new_page()
    page.goto(f"{mill.url}/ui/schedules/nightly")
    facts = page.locator("section[aria-labelledby=next] .facts")
    expect(facts).to_contain_text("02:30 +03:00")
    # Berlin is an hour or two behind Moscow.
    expect(facts.locator("time")).to_have_text(re.compile(r" 0[01]:30:00$"))
    context.close()
