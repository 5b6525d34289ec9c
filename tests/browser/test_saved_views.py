"""Saved views: a list's address is saved under a name, opened and deleted, beside the title."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Window
from tests.browser.test_pages import QUICK


@pytest.mark.parametrize("window", QUICK, indirect=True, ids="-".join)
def test_a_view_is_saved_opened_and_deleted_beside_the_title(window: Window) -> None:
    page = window.open("/ui/tasks?status=failed&rows=100")
    menu = page.locator(".actions details.menu").last
    menu.locator("summary").press("Enter")
    expect(menu.locator("input[name=name]")).to_be_visible()
    window.check()
    menu.locator("input[name=name]").fill("Failed <b>ones</b>")
    menu.locator("input[name=name]").press("Enter")
    page.wait_for_url("**/ui/tasks?status=failed&rows=100")
    page = window.open("/ui/queues")
    page.locator(".actions details.menu").last.locator("summary").click()
    saved = page.get_by_role("link", name="Failed <b>ones</b>")
    expect(saved).to_be_visible()
    window.check()
    page.set_viewport_size({"width": 320, "height": 640})
    window.check()
    saved.click()
    page.wait_for_url("**/ui/tasks?status=failed&rows=100")
    page = window.open("/ui/views")
    window.check()
    page.locator(".views li button").first.click()
    expect(page.locator(".views li")).to_have_count(0)
    assert window.errors == []
