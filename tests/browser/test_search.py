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


def press(window: Window, **key: object) -> None:
    """Press a key as a keyboard with other letters has it."""
    event = {"bubbles": True, **key}
    window.page.evaluate(
        "(of) => document.body.dispatchEvent(new KeyboardEvent('keydown', of))", event
    )


@pytest.mark.parametrize(
    "russian", [{"key": "л", "code": "KeyK", "ctrlKey": True}, {"key": ".", "code": "Slash"}]
)
def test_the_search_is_opened_where_its_keys_have_other_letters(
    window: Window, russian: dict[str, object]
) -> None:
    page = window.open("/")
    press(window, **russian)
    expect(page.locator("#find-text")).to_be_focused()


def test_pages_are_opened_by_keys_that_have_other_letters(window: Window) -> None:
    page = window.open("/")
    press(window, key="п", code="KeyG")
    press(window, key="й", code="KeyQ")
    page.wait_for_url("**/ui/queues")


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
    page.locator("#find-text").fill("deep")
    expect(page.locator("#found .hit")).to_have_text("deep")
    assert [("tasks" in one) for one in calls] == [False, True, True]


def test_a_search_that_ended_with_its_dialog_begins_again_with_it(window: Window) -> None:
    page = window.open("/")
    more = (
        '<div class="hits" data-text="deep"><section><p class="hit-more" hx-get="/ui/search/tasks?n=1" '
        'hx-trigger="never" hx-swap="outerHTML">searched until 12:00</p></section>'
        '<p class="hits-none">Nothing found.</p></div>'
    )
    calls: list[str] = []

    def goes_on(route: object, request: object) -> None:
        calls.append(request.url)  # type: ignore[attr-defined]  # Playwright's
        route.fulfill(body=more)  # type: ignore[attr-defined]  # Playwright's

    page.route(re.compile(r"/ui/search\?"), goes_on)
    page.keyboard.press("/")
    page.locator("#find-text").fill("deep")
    expect(page.locator("#found .hit-more")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#found .hit-more")).to_have_count(0)
    page.keyboard.press("/")
    expect(page.locator("#found .hit-more")).to_be_visible()
    expect(page.locator("#found .hits-none")).to_be_hidden()
    assert len(calls) == 2


def test_a_search_that_fails_says_so_and_shows_nothing_of_before(window: Window) -> None:
    page = window.open("/")
    page.keyboard.press("/")
    page.keyboard.type("send-email")
    expect(page.locator("#found .hit").first).to_be_visible()
    is_away = [True]

    def refuse(route: object) -> None:
        if is_away:
            route.fulfill(status=503, body="<p>The database is away.</p>")  # type: ignore[attr-defined]  # Playwright's
        else:
            route.continue_()  # type: ignore[attr-defined]  # Playwright's

    page.route(re.compile(r"/ui/search\?"), refuse)
    page.keyboard.type("x")
    expect(page.locator("#found")).to_have_text("The database is away.")
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_have_text("The database is away.")
    page.route(re.compile(r"/ui/search\?"), lambda route: route.abort())
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_contain_text("does not answer")
    page.unroute(re.compile(r"/ui/search\?"))
    is_away.clear()
    page.locator("#find-text").fill("send-email")
    expect(page.locator("#found .hit").first).to_be_visible()


def test_enter_without_a_text_leaves_the_field_as_it_is(window: Window) -> None:
    page = window.open("/")
    page.keyboard.press("/")
    page.keyboard.press("Enter")
    expect(page.locator("#find-text")).to_be_enabled()
    page.keyboard.type("send-email")
    expect(page.locator("#found .hit").first).to_be_visible()
    assert window.errors == []
