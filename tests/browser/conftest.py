"""One service and one browser for all tests of a process; each test has a window of its own.

Playwright keeps an event loop running in the thread that uses it, where no other test could run one: all that
touches the browser, the tests here too, runs in a thread of its own.
"""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support.polling import wait_until
from tests.support.postgres import DatabaseServer
from tests.support.processes import FAST_LEASES, Program
from tests.support.wire import Wire, a_wire

HERE = Path(__file__).parent
AXE = (HERE / "axe-core-4.14.1/axe.min.js").read_text("utf-8")
NO_CHROMIUM = "Chromium is not here. Install it (Debian, as root: apt-get install chromium)."
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
ROLES = ("run", "api", "worker", "maintenance")
DATABASE = "TASKMILL_DATABASE_URL"
# What htmx reports of a request that the page itself has ended, as by a closed search; a request
# that failed has further lines.
ABORTED = ("htmx:afterRequest", "htmx:sendAbort")


Result = TypeVar("Result")
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="browser")


def in_browser_thread(work: Callable[[], Result]) -> Result:
    """Do something in the browser's thread."""
    return _THREAD.submit(work).result()


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Run a test of this folder in the browser's thread."""
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    in_browser_thread(lambda: pyfuncitem.obj(**arguments))
    return True


@dataclass(frozen=True, kw_only=True)
class Mill:
    """A running service with some tasks of each kind."""

    url: str
    http: httpx.Client
    wire: Wire

    def create(self, **fields: Any) -> str:  # noqa: ANN401 - the fields of a task
        """Create a task and return its id."""
        response = self.http.post("/tasks", json={"name": "a task", **fields}).raise_for_status()
        task_id: str = response.json()["id"]
        return task_id

    def status(self, task_id: str) -> str:
        """Return the status of a task."""
        status: str = self.http.get(f"/tasks/{task_id}").json()["status"]
        return status

    def ended(self, task_id: str) -> str:
        """Wait for the end of a task, and return its status."""
        wait_until(
            lambda: self.status(task_id) not in ("new", "in_progress"),
            "the task's end",
            timeout_s=30,
        )
        return self.status(task_id)


def fill(mill: Mill) -> None:
    """Create tasks of each kind, and wait for those that end by themselves."""
    ids = [
        mill.create(name="Send the welcome mail", type="send-email", payload={"to": "a@b.example"})
    ]
    ids.append(mill.create(name="Charge the card", type="charge-card", payload={"amount": 42}))
    mill.create(name="Nobody runs this", type="unknown", queue="lonely", labels={"team": "blue"})
    mill.create(name="Scheduled", type="unknown", delay_s=86_400)
    mill.create(name="أرسل رسالة 🎉 " + "a very long name " * 10, type="unknown", queue="q" * 63)
    batch = [{"name": f"Mail {n}", "type": "send-email", "payload": {"to": "x"}} for n in range(70)]
    response = mill.http.post("/tasks/batch", json=batch).raise_for_status()
    ids.append(response.json()["ids"][-1])
    for task_id in ids:
        mill.ended(task_id)


@pytest.fixture(scope="session")
def mill(
    database_server: DatabaseServer,
    database_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mill]:
    """The service, with an API, a worker and maintenance in one process."""
    folder = tmp_path_factory.mktemp("mill")
    shutil.copy(HERE / "mill.py", folder)
    url = database_server.create(template=database_template)
    env = {**FAST_LEASES, "TASKMILL_WORKER__APP": "mill:app", "TASKMILL_WORKER__NAME": "worker-1"}
    with (
        a_wire(url) as wire,
        Program(*ROLES, "--port", "0", folder=folder, env={**env, DATABASE: wire.url}) as program,
        program.client() as http,
    ):
        made = Mill(url=program.facts["url"], http=http, wire=wire)
        fill(made)
        yield made
        # What a page shows of an error says nothing of its cause.
        assert program.logged("request.failed") == []


def chromium_path() -> str | None:
    """The path of the system's Chromium."""
    return shutil.which("chromium")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Callable[..., Browser]]:
    """A function that starts the system's Chromium with more arguments.

    Only one Playwright can run in a thread.
    """
    path = chromium_path()
    if path is None:
        pytest.fail(NO_CHROMIUM)
    playwright = in_browser_thread(sync_playwright().start)

    def launch(*arguments: str) -> Browser:
        # The browser's sandbox does not work as root; it opens our own pages only.
        args = ["--no-sandbox", *arguments]
        return in_browser_thread(
            lambda: playwright.chromium.launch(executable_path=path, args=args)
        )

    yield launch
    in_browser_thread(playwright.stop)


@pytest.fixture(scope="session")
def browser(chromium: Callable[..., Browser]) -> Iterator[Browser]:
    """The browser of all tests that need no special arguments."""
    browser = chromium()
    yield browser
    in_browser_thread(browser.close)


@dataclass(kw_only=True)
class Window:
    """A window of the browser, and the errors in it."""

    page: Page
    mill: Mill
    errors: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Open a page of the dashboard, and wait until it is live."""
        self.page.goto(self.mill.url + path)
        self.page.locator("#connection.on").wait_for(state="attached")
        return self.page

    def check(self) -> None:
        """Fail when the console has errors, the page is wider than the window, or axe finds any fault."""
        assert self.errors == []
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert self.page.evaluate(wider) <= 0
        assert self.findings() == []

    def findings(self) -> list[str]:
        """Return axe's findings, of whatever impact."""
        self.page.evaluate(AXE)
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']} ({one['impact']}): {node['html'][:200]} ({node.get('failureSummary', '')[:300]})"
            for one in found["violations"]
            for node in one["nodes"]
        ]


def a_context(browser: Browser, size: str, theme: str, language: str) -> BrowserContext:
    """Open a profile with these settings."""
    width, height = SIZES[size]
    return browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        locale=language,
        timezone_id="Europe/Berlin",
        has_touch=size == "phone",
        reduced_motion="reduce",
    )


def a_window(mill: Mill, context: BrowserContext) -> Window:
    """Open a window that records its errors."""
    page = context.new_page()
    page.set_default_timeout(10_000)
    made = Window(page=page, mill=mill)
    page.on(
        "console",
        lambda m: (
            made.errors.append(f"{m.text} {m.location['url']}")
            if m.type == "error" and not m.text.startswith(ABORTED)
            else None
        ),
    )
    page.on("pageerror", lambda error: made.errors.append(str(error)))
    return made


@pytest.fixture
def window(request: pytest.FixtureRequest, mill: Mill, browser: Browser) -> Iterator[Window]:
    """A window; a test's parameter is its size, theme and language."""
    size, theme, language = getattr(request, "param", ("desktop", "light", "en"))
    context = in_browser_thread(lambda: a_context(browser, size, theme, language))
    yield in_browser_thread(lambda: a_window(mill, context))
    in_browser_thread(context.close)
