"""What a page of another site can do to a service on its visitor's machine, in a real browser: nothing.

`evil.test` leads to this machine, as its owner's DNS may say. Its page comes from a server of its own; for DNS
rebinding that one gives up the port, and the service takes it: then the page's own name leads to the service.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import DATABASE, in_browser_thread
from tests.support.polling import wait_until
from tests.support.postgres import DatabaseServer
from tests.support.processes import Program

NAME = "evil.test"
KNOWN = "tasks.example.test"
WORKER = "/task_service/api/v1/worker/"

# Sends a request as a page may to any site; returns the status, or that the browser hides the response.
FETCH = """async ([url, options]) => {
    try {
        const response = await fetch(url, options);
        return response.type === 'opaque' ? 'sent' : [response.status, await response.text()];
    } catch (error) {
        return String(error);
    }
}"""
FORM = """([url, type]) => {
    const form = document.createElement('form');
    Object.assign(form, {method: 'POST', action: url, enctype: type});
    // As text it is: {"name":"by a form","description":"="}
    const field = document.createElement('input');
    Object.assign(field, {name: '{"name":"by a form","description":"', value: '"}'});
    form.append(field);
    document.body.append(form);
    form.submit();
}"""


class EvilPage(BaseHTTPRequestHandler):
    """The server of the other site."""

    def do_GET(self) -> None:
        """Respond with a page."""
        body = b"<!doctype html><title>evil</title><body>hello</body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def an_evil_site() -> Iterator[int]:
    """Serve the other site's page, and give up the port at the end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EvilPage) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            serving.join()


@pytest.fixture(scope="module")
def misled(chromium: Callable[..., Browser]) -> Iterator[Browser]:
    """Chromium for which two names lead to this machine."""
    browser = chromium(f"--host-resolver-rules=MAP {NAME} 127.0.0.1, MAP {KNOWN} 127.0.0.1")
    yield browser
    in_browser_thread(browser.close)


@pytest.fixture
def page(misled: Browser) -> Iterator[Page]:
    """A tab of its own."""
    context = in_browser_thread(misled.new_context)
    made = in_browser_thread(context.new_page)
    in_browser_thread(lambda: made.set_default_timeout(10_000))
    yield made
    in_browser_thread(context.close)


@pytest.fixture
def evil_url() -> Iterator[str]:
    """The address of the other site."""
    with an_evil_site() as port:
        yield f"http://{NAME}:{port}/"


@pytest.fixture(scope="module")
def service(
    database_server: DatabaseServer,
    database_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Program]:
    """An API that these tests share."""
    url = database_server.create(template=database_template)
    folder = tmp_path_factory.mktemp("service")
    with a_service(folder, url, TASKMILL_API__ALLOWED_HOSTS=KNOWN) as program:
        yield program


@contextmanager
def a_service(folder: Path, database_url: str, port: int = 0, **env: str) -> Iterator[Program]:
    with Program(
        *("run", "api", "--port", str(port)), folder=folder, env={**env, DATABASE: database_url}
    ) as program:
        yield program


def at(service: Program, name: str) -> str:
    """Return the service's address under another name."""
    return f"http://{name}:{httpx.URL(service.facts['url']).port}"


def names(service: Program) -> list[str]:
    """Return the names of all tasks."""
    with service.client() as http:
        return [task["name"] for task in http.get("/tasks").json()["items"]]


def fetch_from(page: Page, url: str, **options: Any) -> Any:  # noqa: ANN401 - the options and the response of `fetch`
    """Have the page send a request, and return what it sees of the response."""
    return page.evaluate(FETCH, [url, options])


def test_a_page_whose_name_was_made_to_lead_here_reads_and_writes_nothing(
    page: Page, database_url: str, tmp_path: Path
) -> None:
    with an_evil_site() as port:
        page.goto(f"http://{NAME}:{port}/")
    with a_service(tmp_path, database_url, port) as service:
        with service.client() as http:
            http.post("/tasks", json={"name": "a secret"}).raise_for_status()
        for path in ("/tasks", "/", "/openapi.json", "/metrics"):
            status, text = fetch_from(page, path)
            assert (status, "a secret" in text) == (421, False)
        for path, body in (
            ("/tasks", '{"name":"by rebinding"}'),
            ("/webhooks", '{"url":"http://evil.test/"}'),
        ):
            headers = {"content-type": "application/json"}
            status, _ = fetch_from(page, path, method="POST", body=body, headers=headers)
            assert status == 421
        assert names(service) == ["a secret"]
        with service.client() as http:
            assert http.get("/webhooks").json()["items"] == []


def by_a_fetch_of_text(page: Page, url: str) -> None:
    options = {"method": "POST", "mode": "no-cors", "body": '{"name":"by fetch"}'}
    assert fetch_from(page, f"{url}/tasks", **options) == "sent"


def by_a_fetch_of_nothing_known(page: Page, url: str) -> None:
    script = """url => fetch(url, {method: 'POST', mode: 'no-cors',
        body: new Blob(['{"name":"by a blob"}'])}).then(response => response.type)"""
    assert page.evaluate(script, f"{url}/tasks") == "opaque"


def by_a_form(page: Page, url: str) -> None:
    with page.expect_navigation():
        page.evaluate(FORM, [f"{url}/tasks", "text/plain"])


def by_a_form_from_nowhere(page: Page, url: str) -> None:
    """From a frame without an origin."""
    page.evaluate("""() => {
        const frame = document.createElement('iframe');
        Object.assign(frame, {sandbox: 'allow-scripts allow-forms', srcdoc: '<body></body>'});
        document.body.append(frame);
    }""")
    wait_until(lambda: len(page.frames) == 2, "the frame")
    frame = page.frames[1]
    frame.wait_for_selector("body", state="attached")
    with page.expect_response(f"{url}/tasks"):
        frame.evaluate(FORM, [f"{url}/tasks", "text/plain"])


WAYS = [by_a_fetch_of_text, by_a_fetch_of_nothing_known, by_a_form, by_a_form_from_nowhere]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", KNOWN])
@pytest.mark.parametrize("way", WAYS)
def test_a_page_of_another_site_creates_nothing(
    page: Page, evil_url: str, service: Program, way: Callable[[Page, str], None], name: str
) -> None:
    """For a name on plain http a browser sends only its page's origin, not that the site is another one."""
    page.goto(evil_url)
    before = names(service)
    way(page, at(service, name))
    assert names(service) == before


def without_a_body(page: Page, url: str) -> None:
    assert fetch_from(page, url, method="POST", mode="no-cors") == "sent"


def with_an_empty_form(page: Page, url: str) -> None:
    with page.expect_navigation():
        page.evaluate(FORM, [url, "application/x-www-form-urlencoded"])


@pytest.mark.parametrize("name", ["127.0.0.1", KNOWN])
@pytest.mark.parametrize("way", [without_a_body, with_an_empty_form])
def test_a_page_of_another_site_cancels_nothing(
    page: Page, evil_url: str, service: Program, way: Callable[[Page, str], None], name: str
) -> None:
    with service.client() as http:
        task = http.post("/tasks", json={"name": "precious"}).raise_for_status().json()
        page.goto(evil_url)
        way(page, at(service, name) + f"/tasks/{task['id']}/cancel")
        assert http.get(f"/tasks/{task['id']}").json()["status"] == "new"


def by_a_link(page: Page, url: str) -> None:
    with page.expect_navigation():
        page.evaluate("url => { location.href = url }", url)


def by_a_picture(page: Page, url: str) -> None:
    page.evaluate("url => { new Image().src = url }", url)


def worker_statuses(service: Program) -> list[int]:
    """The statuses of requests for a worker; the browser hides that of a picture."""
    return [line["status"] for line in service.logged("request.served") if line["path"] == WORKER]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("way", [by_a_link, by_a_picture])
def test_a_page_of_another_site_starts_no_worker_by_the_earlier_address(
    page: Page, evil_url: str, service: Program, way: Callable[[Page, str], None], name: str
) -> None:
    before = len(worker_statuses(service))
    page.goto(evil_url)
    way(page, at(service, name) + WORKER)
    # Opening the address does.
    opened = page.context.new_page().goto(at(service, name) + WORKER)
    assert opened is not None
    assert opened.status == 200
    wait_until(lambda: len(worker_statuses(service)) == before + 2, "both are answered")
    assert sorted(worker_statuses(service)[before:]) == [200, 403]


def test_a_page_that_the_settings_name_may_ask_and_read(
    page: Page, evil_url: str, database_url: str, tmp_path: Path
) -> None:
    """Like a front-end on its development server."""
    origin = evil_url.rstrip("/")
    with a_service(tmp_path, database_url, TASKMILL_API__ALLOWED_ORIGINS=origin) as service:
        page.goto(evil_url)
        headers = {"content-type": "application/json", "idempotency-key": "k"}
        body = '{"name":"by the front-end"}'
        url = at(service, "127.0.0.1") + "/tasks"
        status, text = fetch_from(page, url, method="POST", body=body, headers=headers)
        assert (status, json.loads(text)["name"]) == (201, "by the front-end")
        # A text without a type, as `fetch` sends it by itself.
        assert fetch_from(page, url, method="POST", body=body)[0] == 201
        assert len(json.loads(fetch_from(page, url)[1])["items"]) == 2
