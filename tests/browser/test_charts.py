"""Charts in a real browser: values, spans of time by pointer and by keys, and what an update leaves alone."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Window

# Six steps of ten minutes in one chart, with a mark in the second half of the third one.
STEPS = """({ node, isBars, begin }) => {
    const times = [0, 1, 2, 3, 4, 5].map((step) => begin + 600 * step), values = [0, 0, 7, 0, 0, 0];
    const series = isBars ? [values] : [values, values, values];
    // What the page shows later leaves it alone.
    node.id = "chart-of-test";
    document.querySelector("#main").prepend(node);
    if (isBars) node.dataset.bars = "";
    node.dataset.names = isBars ? "failed" : "one|two|three";
    if (isBars) node.dataset.colours = "failed";
    node.dataset.step = "600";
    node.dataset.marks = JSON.stringify([[begin + 1740, "a mark"]]);
    node.dataset.points = JSON.stringify([times, ...series]);
    node.dispatchEvent(new Event("points"));
}"""
BERLIN = ZoneInfo("Europe/Berlin")
BEGIN = datetime(2026, 11, 24, 10, tzinfo=UTC)
SPAN = re.compile(r"[?&]from=[^&]+&to=[^&]+")


def throughput(page: Page):  # type: ignore[no-untyped-def]  # a locator
    return page.locator("#chart-throughput")


def middle_of(page: Page) -> tuple[float, float]:
    box = page.locator("#chart-throughput .u-over").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_values_are_shown_at_the_pointer_and_else_the_latest(window: Window) -> None:
    page = window.open("/")
    legend = throughput(page).locator(".legend")
    expect(legend).to_contain_text("created")
    latest = legend.locator(".at").inner_text()
    x, y = middle_of(page)
    page.mouse.move(x, y)
    expect(legend.locator(".at")).not_to_have_text(latest)
    page.mouse.move(5, 5)
    expect(legend.locator(".at")).to_have_text(latest)


def test_a_span_that_is_dragged_is_in_the_address_and_stays(window: Window) -> None:
    page = window.open("/")
    x, y = middle_of(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 80, y, steps=4)
    page.mouse.up()
    page.wait_for_url(SPAN)
    page.locator("#connection.on").wait_for(state="attached")
    expect(page.locator(".spans summary.chosen")).to_be_visible()
    before = throughput(page).get_attribute("data-points")
    number = page.locator(".tile.new strong")
    count = number.inner_text()
    window.mill.create(name="One more", type="unknown", queue="lonely")
    expect(number).not_to_have_text(count)
    assert SPAN.search(page.url)
    assert throughput(page).get_attribute("data-points") == before
    page.locator("nav [data-letter=q]").click()
    page.wait_for_url(re.compile(r"/ui/queues\?from="))
    assert window.errors == []


@pytest.mark.parametrize("is_bars", [False, True], ids=["lines", "bars"])
def test_what_is_dragged_over_opens_whole_steps_and_marks_are_where_they_are_named(
    window: Window, *, is_bars: bool
) -> None:
    page = window.open("/")
    node = throughput(page).element_handle()
    page.evaluate(STEPS, {"node": node, "isBars": is_bars, "begin": int(BEGIN.timestamp())})
    box = page.locator("#chart-of-test .u-over").bounding_box()
    assert box is not None
    legend, low, steps = page.locator("#chart-of-test .legend"), 0.5 * is_bars, 5 + is_bars

    def at(step: float) -> tuple[float, float]:
        """Where so many steps after the first one are; a bar is around where its step begins."""
        return box["x"] + box["width"] * (step + low) / steps, box["y"] + 40

    # The mark is 2.9 steps after the first one begins: in the third bar, beside the fourth point.
    page.mouse.move(*at(2.4 if is_bars else 2.9))
    expect(legend.locator(".mark")).to_have_text("a mark")
    page.mouse.move(*at(1))
    expect(legend.locator(".mark")).to_have_count(0)
    page.mouse.move(*at(1.7))
    page.mouse.down()
    page.mouse.move(*at(2.3), steps=4)
    page.mouse.up()
    page.wait_for_url(SPAN)
    ends = parse_qs(urlsplit(page.url).query)
    assert ends["from"] == ["2026-11-24T10:20Z"]
    assert ends["to"] == ["2026-11-24T10:30Z"]
    assert window.errors == []


@pytest.mark.parametrize("window", [("desktop", "dark", "ru")], indirect=True, ids="-".join)
def test_keys_show_values_and_open_a_span(window: Window) -> None:
    page = window.open("/")
    throughput(page).focus()
    legend = throughput(page).locator(".legend")
    latest = legend.locator(".at").inner_text()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(legend.locator(".at")).not_to_have_text(latest)
    page.keyboard.press("Escape")
    expect(legend.locator(".at")).to_have_text(latest)
    for _ in range(12):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_url(SPAN)
    assert window.errors == []


def test_the_end_of_a_backlog_is_the_end_of_its_span(window: Window) -> None:
    page = window.open("/")
    hour = page.evaluate("Math.floor(Date.now() / 3.6e6) * 3600 - 86400")
    begin, end = (datetime.fromtimestamp(hour + 3600 * number, UTC) for number in (0, 2))
    page = window.open(f"/?from={begin:%Y-%m-%dT%H:%MZ}&to={end:%Y-%m-%dT%H:%MZ}")
    page.locator("#chart-backlog").focus()
    for _ in range(4):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    half = end - timedelta(minutes=30)
    page.wait_for_url(re.compile(f"from={half:%Y-%m-%dT%H%%3A%MZ}&to={end:%Y-%m-%dT%H%%3A%MZ}"))
    assert window.errors == []


@pytest.mark.parametrize("window", [("phone", "light", "en")], indirect=True, ids="-".join)
def test_a_finger_shows_values_and_a_form_has_the_span(window: Window) -> None:
    page = window.open("/")
    throughput(page).scroll_into_view_if_needed()
    legend = throughput(page).locator(".legend")
    latest = legend.locator(".at").inner_text()
    page.touchscreen.tap(*middle_of(page))
    expect(legend.locator(".at")).not_to_have_text(latest)
    page.locator(".spans summary").click()
    form = page.locator(".span-form")
    # In Berlin it is an hour or two later than in UTC, which the address has. After a month steps are long.
    today = datetime.fromtimestamp(page.evaluate("Date.now() / 1000"), BERLIN)
    begin = today.replace(hour=10, minute=0) - timedelta(days=2)
    ends = [begin, begin + timedelta(hours=2)]
    for name, end in zip(("from", "to"), ends, strict=True):
        form.locator(f"[name={name}]").fill(f"{end:%Y-%m-%dT%H:%M}")
    window.check()
    form.get_by_role("button").click()
    first, last = (f"{end.astimezone(UTC):%Y-%m-%dT%H%%3A%MZ}" for end in ends)
    page.wait_for_url(re.compile(f"from={first}&to={last}"))
    expect(page.locator(".spans summary time").first).to_contain_text(f"{begin:%Y-%m-%d %H:%M}")
