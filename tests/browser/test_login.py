"""Logging in to the dashboard in a real browser, where keys are required."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.conftest import AXE, DATABASE, a_context, in_browser_thread
from tests.e2e.test_required_keys import Commands
from tests.support.postgres import DatabaseServer
from tests.support.processes import Program

THEMES = [("desktop", "light", "en"), ("phone", "dark", "ru")]


@dataclass(frozen=True, kw_only=True)
class Closed:
    """A service that requires keys: its address, and a key that reads and one that may do everything."""

    url: str
    reader: str
    admin: str


@pytest.fixture(scope="module")
def closed(
    database_server: DatabaseServer,
    database_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Closed]:
    """A service that requires keys."""
    folder = tmp_path_factory.mktemp("closed")
    url = database_server.create(template=database_template)
    make = Commands(url, folder)
    reader = make("key", "create", "reader", "--grant", "tasks:read").stdout.strip()
    admin = make("key", "create", "boss", "--grant", "admin").stdout.strip()
    env = {DATABASE: url, "TASKMILL_AUTH": "required"}
    with Program("run", "api", "--port", "0", folder=Path(folder), env=env) as program:
        yield Closed(url=program.facts["url"], reader=reader, admin=admin)


@pytest.fixture(params=THEMES)
def visitor(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    """A profile of the browser."""
    context = in_browser_thread(lambda: a_context(browser, *request.param))
    yield context
    in_browser_thread(context.close)


def test_a_visitor_logs_in_by_the_keyboard_and_out_again(
    closed: Closed, visitor: BrowserContext
) -> None:
    page, errors = visitor.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{closed.url}/ui/queues?order=oldest")
    assert "/ui/login?next=" in page.url
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [one["id"] for one in found] == []
    page.keyboard.type("tm_wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#trouble")).to_be_visible()
    page.keyboard.type(closed.admin)
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/queues?order=oldest")
    page.locator("#connection.on").wait_for(state="attached")
    [cookie] = [one for one in visitor.cookies() if one["name"] == "taskmill_session"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    page.locator("form.visitor button").click()
    page.wait_for_url("**/ui/login")
    assert [one for one in visitor.cookies() if one["name"] == "taskmill_session"] == []
    page.goto(f"{closed.url}/ui/tasks")
    assert "/ui/login" in page.url
    assert errors == []


def test_a_reader_sees_no_buttons_and_an_open_page_ends_with_the_session(
    closed: Closed, visitor: BrowserContext
) -> None:
    page = visitor.new_page()
    page.goto(f"{closed.url}/ui/login")
    page.fill("#key", closed.reader)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{closed.url}/")
    page.goto(f"{closed.url}/ui/tasks")
    page.locator("#connection.on").wait_for(state="attached")
    assert page.locator("a[href='/ui/create'], a[href='/ui/audit']").count() == 0
    other = visitor.new_page()
    other.goto(f"{closed.url}/ui/tasks")
    other.locator("form.visitor button").click()
    other.wait_for_url("**/ui/login")
    page.evaluate("htmx.trigger(document.body, 'refresh')")
    page.wait_for_url("**/ui/login?next=%2Fui%2Ftasks")


def test_a_login_link_logs_in_by_one_key_and_leaves_no_code_behind(
    closed: Closed, visitor: BrowserContext
) -> None:
    headers = {"authorization": f"Bearer {closed.admin}"}
    made = httpx.post(f"{closed.url}/login-links", headers=headers, timeout=20).json()
    page, errors = visitor.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url + str(request.headers)))
    page.goto(closed.url + made["path"])
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [one["id"] for one in found] == []
    code = made["path"].partition("#")[2]
    assert page.input_value("#code") == code
    assert page.url == f"{closed.url}/ui/login/link"
    page.keyboard.press("Enter")
    page.wait_for_url(f"{closed.url}/")
    page.locator("#connection.on").wait_for(state="attached")
    assert not any(code in one for one in sent), "neither in an address nor in a referrer"
    again = visitor.new_page()
    again.goto(closed.url + made["path"])
    again.keyboard.press("Enter")
    expect(again.locator("#trouble")).to_be_visible()
    assert errors == []
