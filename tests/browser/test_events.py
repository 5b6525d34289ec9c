"""The page of events in a real browser: new ones arrive, and wait while somebody reads."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Window
from tests.browser.test_pages import has_stayed, stays


def opened(window: Window) -> Page:
    page = window.open("/ui/events?event=created")
    expect(page.locator("#pause")).to_be_visible()
    return page


def names(page: Page) -> list[str]:
    return page.locator("#feed tr .at-head a").all_inner_texts()


def test_new_events_arrive_at_the_top_and_the_key_p_has_them_wait(window: Window) -> None:
    page = opened(window)
    stays(page)
    window.mill.create(name="Seen at once", type="unknown")
    top = page.locator("#feed tr").first.locator(".at-head a")
    expect(top).to_have_text("Seen at once")
    page.keyboard.press("p")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    for number in range(2):
        window.mill.create(name=f"Waits {number}", type="unknown")
    expect(page.locator("#news")).to_have_text("2 new")
    expect(top).to_have_text("Seen at once")
    window.check()
    page.locator("#news").click()
    expect(page.locator("#news")).to_be_hidden()
    assert names(page)[:3] == ["Waits 1", "Waits 0", "Seen at once"]
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "false")
    assert has_stayed(page)
    assert window.errors == []


def test_rows_do_not_move_under_the_pointer(window: Window) -> None:
    page = opened(window)
    window.mill.create(name="Under the pointer", type="unknown")
    row = page.locator("#feed tr").first
    expect(row.locator(".at-head a")).to_have_text("Under the pointer")
    row.hover()
    window.mill.create(name="Comes later", type="unknown")
    expect(page.locator("#news")).to_have_text("1 new")
    expect(row.locator(".at-head a")).to_have_text("Under the pointer")
    page.mouse.move(0, 0)
    expect(row.locator(".at-head a")).to_have_text("Comes later")
    expect(page.locator("#news")).to_be_hidden()


def test_a_letter_that_is_typed_into_the_filter_pauses_nothing(window: Window) -> None:
    page = opened(window)
    page.locator("#search").press_sequentially("p")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "false")
