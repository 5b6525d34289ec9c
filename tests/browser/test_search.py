"""The search of every page: by keys only, in every size, and it goes on by itself."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Window
from tests.browser.test_pages import QUICK


@pytest.mark.parametrize("path", ["/", "/ui/tasks", "/ui/create", "/ui/system"])
def test_the_search_is_opened_by_keys_on_every_page(window: Window, path: str) -> None:
    page = window.open(path)
    for keys in ("/", "Control+k"):
        page.keyboard.press(keys)
        expect(page.locator("#find-text")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("#find")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("words")
    page.keyboard.press("Escape")
    expect(page.locator("#find")).to_be_hidden()
    page.locator("main input, main textarea, main select, main a").first.focus()
    page.keyboard.press("Control+k")
    expect(page.locator("#find-text")).to_be_focused()
    assert window.errors == []


def test_ctrl_k_works_where_the_key_has_another_letter(window: Window) -> None:
    page = window.open("/")
    russian = "dispatchEvent(new KeyboardEvent('keydown', {key: 'л', code: 'KeyK', ctrlKey: true, bubbles: true}))"
    page.evaluate(russian)
    expect(page.locator("#find-text")).to_be_focused()


def test_what_is_typed_is_found_and_opened_by_keys(window: Window) -> None:
    task_id = window.mill.create(
        name="Settle invoice 77", type="unknown", labels={"customer": "acme"}
    )
    number = window.mill.http.get(f"/tasks/{task_id}").json()["number"]
    for text in ("invoice 77", "customer=acme", f"#{number}", task_id[-8:], task_id):
        page = window.open("/ui/queues")
        page.keyboard.press("/")
        page.keyboard.type(text)
        expect(page.locator("#found .hit").first).to_contain_text("Settle invoice 77")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/ui/tasks/{task_id}")
    assert window.errors == []


def test_enter_waits_for_what_was_typed(window: Window) -> None:
    task_id = window.mill.create(name="Typed in haste", type="unknown")
    page = window.open("/")
    page.keyboard.press("/")
    page.keyboard.type("in haste")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/ui/tasks/{task_id}")


def test_arrows_move_among_the_results(window: Window) -> None:
    page = window.open("/")
    page.keyboard.press("/")
    page.keyboard.type("send-email")
    link = page.locator("#found a.hit[href='/ui/types/send-email']")
    expect(link).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#found a.hit").first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator("#find-text")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    expect(page.locator("#found a.hit").last).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator("#found a.hit").first).to_be_focused()
    page.keyboard.type("x")
    expect(page.locator("#find-text")).to_have_value("send-emailx")
    expect(page.locator("#found .hits-none")).to_be_visible()
    assert window.errors == []


@pytest.mark.parametrize("window", QUICK, indirect=True, ids="-".join)
def test_the_search_is_sound_and_fits(window: Window) -> None:
    page = window.open("/ui/tasks")
    page.locator("#find-open").click()
    window.check()
    page.locator("#find-text").fill("send-email")
    expect(page.locator("#found .hit").first).to_be_visible()
    window.check()
    page.set_viewport_size({"width": 320, "height": 640})
    window.check()
    page.locator("#find").get_by_role("button").click()
    expect(page.locator("#find")).to_be_hidden()
    window.open("/ui/search?q=mail")
    window.check()


def test_a_search_that_goes_on_is_shown_and_stops_with_its_dialog(window: Window) -> None:
    page = window.open("/")
    more = (
        '<div class="hits" data-text="deep"><section><p class="hit-more" hx-get="/ui/search/tasks?n=1" '
        'hx-trigger="load" hx-swap="outerHTML">searched until 12:00</p></section></div>'
    )
    calls: list[str] = []

    def goes_on(route: object, request: object) -> None:
        calls.append(request.url)  # type: ignore[attr-defined]  # Playwright's
        route.fulfill(body=more if len(calls) < 3 else '<a class="hit" href="/">deep</a>')  # type: ignore[attr-defined]  # Playwright's

    page.route(re.compile(r"/ui/search(/tasks)?\?"), goes_on)
    page.keyboard.press("/")
    page.keyboard.type("deep")
    expect(page.locator("#found .hit")).to_have_text("deep")
    assert [("tasks" in one) for one in calls] == [False, True, True]
