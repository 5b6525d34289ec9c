"""The filter of the list of tasks: menus that come when it is opened, and times in the reader's zone."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Window
from tests.browser.test_pages import QUICK


def test_times_are_in_the_zone_of_the_reader_and_utc_in_the_address(window: Window) -> None:
    page = window.open("/ui/tasks?created_after=2026-01-15T10:00:00")
    field = page.get_by_label("Created from (Europe/Berlin)")
    expect(field).to_have_value(re.compile("^2026-01-15T11:00"))
    field.fill("2026-07-15T12:30:00")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**created_after=2026-07-15T10*30*00*")
    expect(page.get_by_label("Created from (Europe/Berlin)")).to_have_value(
        re.compile("^2026-07-15T12:30")
    )
    page.get_by_label("Created from (Europe/Berlin)").fill("")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile(r"/ui/tasks\??$"))
    assert window.errors == []


def top_of_list(page: Page) -> float:
    box = page.locator("#list").bounding_box()
    assert box is not None
    return box["y"]


def test_a_time_that_a_browser_restores_is_not_converted_again(window: Window) -> None:
    # Firefox puts what was in a field into it when somebody goes back, before any script runs.
    window.page.add_init_script(
        """document.addEventListener("readystatechange", () => {
             const field = document.querySelector("input[data-utc][name=created_after]");
             if (field) field.value = "2026-01-15T11:00:00";
           }, { once: true })"""
    )
    page = window.open("/ui/tasks?created_after=2026-01-15T10:00:00")
    field = page.get_by_label("Created from (Europe/Berlin)")
    expect(field).to_have_value(re.compile("^2026-01-15T11:00"))
    sent = page.locator("form.filter input[type=hidden][name=created_after]")
    expect(sent).to_have_value(re.compile("^2026-01-15T10:00"))


@pytest.mark.parametrize("window", QUICK, indirect=True, ids="-".join)
def test_nothing_below_moves_when_the_menus_come(window: Window) -> None:
    window.mill.create(name="Below", type="unknown", queue="below")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    window.page.route("**/ui/tasks/choices*", hold)
    with window.page.expect_request("**/ui/tasks/choices*"):
        page = window.open("/ui/tasks?queue=below")
    before = top_of_list(page)
    held[0].continue_()
    page.locator("select[name=worker]").wait_for()
    assert top_of_list(page) == before


@pytest.mark.parametrize("window", QUICK, indirect=True, ids="-".join)
def test_menus_come_with_numbers_when_the_filter_is_opened(window: Window) -> None:
    window.mill.create(name="In a menu", type="unknown", queue="menu")
    page = window.open("/ui/tasks")
    page.locator("details.more summary").click()
    queue = page.locator("select[name=queue]")
    expect(queue.locator("option[value=menu]")).to_contain_text(re.compile(r"\([12]\)"))
    expect(page.locator("select[name=worker]")).to_contain_text("worker-1")
    window.check()
    queue.select_option("menu")
    page.locator("form.filter button.main").click()
    page.wait_for_url("**queue=menu*")
    expect(page.locator("#list tbody tr").first).to_contain_text("In a menu")
    expect(page.locator("select[name=queue]")).to_have_value("menu")
    window.check()
    page.set_viewport_size({"width": 320, "height": 640})
    window.check()
