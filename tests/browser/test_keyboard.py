"""Every flow of an operator, by keys alone: nothing is clicked, and nothing gets the focus but by a key."""

import asyncio
import threading
from uuid import uuid4

import asyncpg
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Mill, Window
from tests.support.refusals import refused_message, store_refused_in_thread

MOST_TABS = 150
SPARE = """
INSERT INTO taskmill.lease (id, worker, queues, types, slots, version, expires_at)
VALUES ($1, 'spare', '{elsewhere}', '{nothing}', 1, '1.0.0', now() + interval '10 min')
"""


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until something has the focus, as a reader without a pointer does."""
    wanted.wait_for()
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if wanted.evaluate("node => node === document.activeElement"):
            return
    raise AssertionError(f"Tab does not reach {wanted}")


def press(page: Page, wanted: Locator) -> None:
    """Reach something with Tab, and press it."""
    tab_to(page, wanted)
    page.keyboard.press("Enter")


def confirm(page: Page) -> None:
    """Answer the question, whose answer has the focus, and wait until it is gone."""
    expect(page.locator("#confirm[open] button[value=yes]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#confirm")).to_be_hidden()


def go(page: Page, letter: str, path: str) -> None:
    """Open a page of the navigation."""
    page.keyboard.press("g")
    page.keyboard.press(letter)
    page.wait_for_url(f"**{path}")
    page.locator("#connection.on").wait_for(state="attached")


def do(mill: Mill, statement: str, *values: object) -> None:
    """Run SQL in a thread, as this one has Playwright's event loop."""

    async def run() -> None:
        connection = await asyncpg.connect(mill.wire.url)
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    thread.join()


def test_a_task_is_created(window: Window) -> None:
    page = window.open("/")
    go(page, "n", "/ui/create")
    tab_to(page, page.locator("#f-name"))
    page.keyboard.type("Made without a pointer")
    tab_to(page, page.locator("#f-type"))
    page.keyboard.type("send-email")
    page.keyboard.press("Tab")
    tab_to(page, page.locator("[name='p.to']"))
    page.keyboard.type("me")
    press(page, page.get_by_role("button", name="Create the task"))
    page.wait_for_url("**/ui/tasks/*-*")
    expect(page.locator("h1")).to_have_text("Made without a pointer")
    assert window.errors == []


def test_a_task_is_found_and_cancelled(window: Window) -> None:
    task_id = window.mill.create(name="Zanzibar", type="unknown", queue="lonely")
    page = window.open("/")
    page.keyboard.press("/")
    page.keyboard.type("Zanzibar")
    expect(page.locator("#found .hit").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/ui/tasks/{task_id}")
    press(page, page.locator("form[action$='/cancel'] button"))
    confirm(page)
    expect(page.locator("main .status").first).to_have_text("Cancelled")
    assert window.mill.status(task_id) == "cancelled"
    assert window.errors == []


def test_a_failed_task_is_retried(window: Window) -> None:
    task_id = window.mill.create(name="Charge it", type="charge-card", payload={"amount": 42})
    assert window.mill.ended(task_id) == "failed"
    page = window.open("/")
    go(page, "t", "/ui/tasks")
    press(page, page.locator(f"#t{task_id} .at-head a, #t{task_id} a").first)
    page.wait_for_url(f"**/ui/tasks/{task_id}")
    press(page, page.locator("form[action$='/retry'] button"))
    confirm(page)
    expect(page.locator(".history")).to_contain_text("Run again")
    assert window.mill.http.get(f"/tasks/{task_id}").json()["run"] == 2
    window.mill.ended(task_id)
    assert window.errors == []


def test_a_queue_is_paused_and_resumed(window: Window) -> None:
    window.mill.create(name="Here", type="unknown", queue="keys")
    page = window.open("/")
    go(page, "q", "/ui/queues")
    row = page.locator("#q-keys")
    press(page, row.locator("form[action*='/pause'] button"))
    confirm(page)
    expect(row).to_contain_text("Paused")
    press(page, row.locator("form[action*='/resume'] button"))
    expect(row).not_to_contain_text("Paused")
    assert window.errors == []


def test_a_worker_is_stopped(window: Window) -> None:
    lease = uuid4()
    do(window.mill, SPARE, lease)
    page = window.open("/")
    go(page, "w", "/ui/workers")
    press(page, page.locator(f"#w{lease} a").first)
    page.wait_for_url(f"**/ui/workers/{lease}")
    press(page, page.locator("form[action*='/stop'] button"))
    confirm(page)
    expect(page.locator("main .status").first).to_have_text("Stopping")
    do(window.mill, "DELETE FROM taskmill.lease WHERE id = $1", lease)
    assert window.errors == []


def test_what_needs_attention_is_acknowledged_and_opened_again(window: Window) -> None:
    window.mill.create(name="Here", type="acknowledged-by-keys", queue="keys")
    page = window.open("/?attention=all")
    item = page.locator(".attention li", has_text="acknowledged-by-keys")
    expect(item).to_be_visible(timeout=20_000)
    press(page, item.locator(".does a").last)
    page.wait_for_url("**/ui/attention/*")
    notice = page.url
    tab_to(page, page.locator("#note"))
    page.keyboard.type("seen")
    press(page, page.locator("button[value=acknowledged]"))
    page.wait_for_url(lambda url: url != notice)
    page.goto(notice)
    expect(page.locator("main .facts")).to_contain_text("seen")
    press(page, page.locator("button[value=open]"))
    page.wait_for_url(lambda url: url != notice)
    assert window.errors == []


def test_a_refused_message_is_corrected_and_sent_again(window: Window) -> None:
    body = b'{"name": "Refused once", "type": "unknown", "queue": "keys", "priority": 12}'
    [refused] = store_refused_in_thread(window.mill.wire.url, [refused_message(body, "by keys")])
    page = window.open("/")
    go(page, "r", "/ui/rejections")
    press(page, page.locator(f"#m{refused} a").first)
    page.wait_for_url(f"**/ui/rejections/{refused}")
    press(page, page.locator("main a[href$='/edit']"))
    page.wait_for_url("**/edit")
    tab_to(page, page.locator("main textarea").first)
    page.keyboard.press("Control+A")
    page.keyboard.type('{"name": "Corrected by keys", "type": "unknown", "queue": "keys"}')
    press(page, page.locator(".send button"))
    page.wait_for_url(f"**/ui/rejections/{refused}")
    press(page, page.locator("main a.main[href*='/ui/tasks/']"))
    page.wait_for_url("**/ui/tasks/*-*")
    expect(page.locator("h1")).to_have_text("Corrected by keys")
    assert window.errors == []


def test_a_refused_message_is_sent_again_as_it_is(window: Window) -> None:
    """It is refused again, which the page says."""
    body = b'{"name": "x", "type": "unknown", "priority": 12}'
    [refused] = store_refused_in_thread(window.mill.wire.url, [refused_message(body, "again")])
    page = window.open(f"/ui/rejections/{refused}")
    press(page, page.locator("form[action$=resend] button"))
    confirm(page)
    expect(page.locator("#again")).to_be_visible()


def test_a_schedule_is_made_and_deleted(window: Window) -> None:
    page = window.open("/")
    go(page, "c", "/ui/schedules")
    press(page, page.get_by_role("link", name="New schedule"))
    page.wait_for_url("**/ui/new-schedule")
    tab_to(page, page.get_by_role("textbox", name="Schedule required"))
    page.keyboard.type("by-keys")
    tab_to(page, page.get_by_role("textbox", name="Cron expression"))
    page.keyboard.type("15 4 * * *")
    expect(page.locator("#preview")).to_contain_text("at 04:15 every day")
    press(page, page.get_by_role("button", name="Create the schedule"))
    page.wait_for_url("**/ui/schedules/by-keys")
    press(page, page.get_by_role("link", name="Delete"))
    page.wait_for_url("**/delete")
    press(page, page.get_by_role("button", name="Delete by-keys"))
    page.wait_for_url("**/ui/schedules")
    assert window.errors == []
