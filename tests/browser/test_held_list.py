"""A list does not move under the pointer: rows stay, are updated, and new ones wait."""

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Window
from tests.browser.test_pages import has_stayed, stays


def three_tasks(window: Window, queue: str) -> list[str]:
    return [
        window.mill.create(name=f"Old {number}", type="unknown", queue=queue) for number in range(3)
    ]


def top_of(row: Locator) -> float:
    box = row.bounding_box()
    assert box is not None
    return box["y"]


def test_what_is_new_waits_while_the_pointer_is_over_the_list(window: Window) -> None:
    old = three_tasks(window, "held")
    page = window.open("/ui/tasks?queue=held")
    stays(page)
    row, news = page.locator(f"#t{old[1]}"), page.locator("#news")
    row.hover()
    before = top_of(row)
    for number in range(60):
        window.mill.create(name=f"New {number}", type="unknown", queue="held")
    expect(news).to_have_text("60 new")
    # Rows that would be off the page by now are updated nevertheless.
    window.mill.http.post(f"/tasks/{old[1]}/cancel").raise_for_status()
    expect(row.locator(".status")).to_have_text("Cancelled")
    assert top_of(row) == before
    expect(page.locator("#list tbody tr")).to_have_count(3)
    window.check()
    page.mouse.move(2, 2)
    expect(page.locator("#list tbody tr").first).to_contain_text("New 59")
    expect(news).to_be_hidden()
    assert has_stayed(page)
    assert window.errors == []


def test_what_no_longer_fits_stays_pale_until_the_pointer_leaves(window: Window) -> None:
    old = three_tasks(window, "pale")
    page = window.open("/ui/tasks?queue=pale&status=new")
    row = page.locator(f"#t{old[0]}")
    row.hover()
    before = top_of(row)
    window.mill.http.post(f"/tasks/{old[2]}/cancel").raise_for_status()
    expect(page.locator(f"#t{old[2]}.left")).to_be_visible()
    assert top_of(row) == before
    for task_id in old[:2]:
        window.mill.http.post(f"/tasks/{task_id}/cancel").raise_for_status()
    expect(page.locator("#list tr.left")).to_have_count(3)
    page.mouse.move(2, 2)
    expect(page.locator("#list")).to_have_count(0)
    assert window.errors == []


def test_queues_keep_their_order_under_the_pointer(window: Window) -> None:
    for queue, tasks in (("order-a", 3), ("order-b", 2)):
        for _ in range(tasks):
            window.mill.create(name="Waits", type="unknown", queue=queue)
    page = window.open("/ui/queues?name=order-&order=waiting")
    row = page.locator("#q-order-b")
    row.hover()
    before = top_of(row)
    for _ in range(2):
        window.mill.create(name="Waits", type="unknown", queue="order-b")
    window.mill.create(name="Waits", type="unknown", queue="order-c")
    expect(row.locator("td").nth(1)).to_have_text(re.compile(r"^4\s*4 held\s*$"))
    expect(page.locator("#news")).to_have_text("1 new")
    assert top_of(row) == before
    page.mouse.move(2, 2)
    expect(page.locator("tbody tr").first).to_have_id("q-order-b")
    expect(page.locator("#q-order-c")).to_be_visible()
    assert window.errors == []


def test_a_list_is_paused_and_goes_on_by_a_key(window: Window) -> None:
    old = three_tasks(window, "paused")
    page = window.open("/ui/tasks?queue=paused")
    row, news, resume = page.locator(f"#t{old[1]}"), page.locator("#news"), page.locator("#resume")
    before = top_of(row)
    page.locator("#search").focus()
    page.keyboard.press("p")
    expect(resume).to_be_hidden()
    page.locator("#search").fill("")
    page.locator("#search").blur()
    page.keyboard.press("p")
    expect(resume).to_be_visible()
    first = window.mill.create(name="New", type="unknown", queue="paused")
    expect(news).to_have_text("1 new")
    window.mill.http.post(f"/tasks/{old[1]}/cancel").raise_for_status()
    expect(row.locator(".status")).to_have_text("Cancelled")
    assert top_of(row) == before
    window.check()
    page.keyboard.press("p")
    expect(page.locator(f"#t{first}")).to_be_visible()
    expect(resume).to_be_hidden()
    expect(news).to_be_hidden()
    page.keyboard.press("p")
    second = window.mill.create(name="Newer", type="unknown", queue="paused")
    expect(news).to_have_text("1 new")
    news.click()
    expect(page.locator(f"#t{second}")).to_be_visible()
    expect(resume).to_be_hidden()
    assert window.errors == []


@pytest.mark.parametrize("window", [("phone", "dark", "ru")], indirect=True, ids="-".join)
def test_without_a_pointer_new_rows_come_on_request(window: Window) -> None:
    old = three_tasks(window, "touched")
    page = window.open("/ui/tasks?queue=touched")
    row = page.locator(f"#t{old[2]}")
    before = top_of(row)
    new = window.mill.create(name="New", type="unknown", queue="touched")
    news = page.locator("#news")
    expect(news).to_have_text("новых: 1")
    assert top_of(row) == before
    window.check()
    news.click()
    expect(page.locator(f"#t{new}")).to_be_visible()
    expect(news).to_be_hidden()
    assert window.errors == []
