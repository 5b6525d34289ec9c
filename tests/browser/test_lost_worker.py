"""What pages show without a reload: a worker is killed, its tasks go to another one, and that one appears."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import DATABASE, HERE, Mill, Window
from tests.browser.test_pages import has_stayed, stays
from tests.support.processes import FAST_LEASES, Program
from tests.support.wire import a_wire

# Pages refresh workers every 5 s; figures may be another 5 s old.
SHOWN_MS = 15_000


@pytest.fixture
def mill(database_url: str, tmp_path: Path) -> Iterator[Mill]:
    """An API without workers."""
    env = {**FAST_LEASES, DATABASE: database_url}
    with (
        a_wire(database_url) as wire,
        Program("run", "api", "--port", "0", folder=tmp_path / "api", env=env) as program,
        program.client() as http,
    ):
        yield Mill(url=program.facts["url"], http=http, wire=wire)


@pytest.fixture
def maintenance(database_url: str, tmp_path: Path) -> Iterator[Program]:
    """A process that takes tasks back from workers that are gone."""
    env = {**FAST_LEASES, DATABASE: database_url}
    with Program("run", "maintenance", folder=tmp_path / "maintenance", env=env) as program:
        yield program


@contextmanager
def a_worker(name: str, database_url: str, folder: Path) -> Iterator[Program]:
    (folder / name).mkdir()
    shutil.copy(HERE / "mill.py", folder / name)
    own = {"TASKMILL_WORKER__APP": "mill:app", "TASKMILL_WORKER__NAME": name}
    env = {**FAST_LEASES, **own, DATABASE: database_url}
    with Program("run", "worker", folder=folder / name, env=env) as program:
        yield program


def opened(window: Window, path: str) -> Page:
    """Open a page in a tab of its own."""
    page = window.page.context.new_page()
    page.on("console", lambda m: window.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: window.errors.append(str(error)))
    page.goto(window.mill.url + path)
    page.locator("#connection.on").wait_for(state="attached")
    stays(page)
    return page


def is_shown_with_what_it_ran(window: Window, row: Locator, task_id: str) -> None:
    link = row.get_by_role("link", name="1 task taken back")
    page = opened(window, str(link.get_attribute("href")))
    expect(page.locator("main .status").first).to_have_text("Lost")
    expect(page.locator(f"#l{task_id}")).to_contain_text("Long")
    expect(page.locator(f"#l{task_id} .status")).to_have_text("New")
    page.close()


def test_a_killed_worker_is_shown_and_another_one_takes_over_what_it_ran(
    window: Window, maintenance: Program, database_url: str, tmp_path: Path
) -> None:
    with a_worker("first", database_url, tmp_path) as first:
        task_id = window.mill.create(name="Long", type="build-report")
        overview, workers, tasks, task = pages = [
            opened(window, path)
            for path in ("/", "/ui/workers", "/ui/tasks", f"/ui/tasks/{task_id}")
        ]
        row = workers.locator("tr", has_text="first")
        expect(row.locator(".status")).to_have_text("Working")
        expect(row.locator(".slots")).to_contain_text("1 / ", timeout=SHOWN_MS)
        expect(task.locator(".facts").get_by_role("link", name="first")).to_be_visible()
        # Until its tasks are rescued, it is only silent.
        maintenance.process.send_signal(signal.SIGSTOP)
        first.process.kill()
        expect(row.locator(".status")).to_have_text("Silent", timeout=SHOWN_MS)
        expect(workers.locator(".tile strong").first).to_have_text("0")
        expect(overview.locator(".attention")).to_contain_text(
            "No worker is alive", timeout=SHOWN_MS
        )
        expect(task.locator("main .status").first).to_have_text("In progress")
        maintenance.process.send_signal(signal.SIGCONT)
        expect(task.locator("main .status").first).to_have_text("New")
        expect(task.locator(".history")).to_contain_text("Worker lost")
        expect(tasks.locator(f"#t{task_id} .status")).to_have_text("New")
        expect(row.locator(".status")).to_have_text("Lost", timeout=SHOWN_MS)
        # Its page lists what it ran.
        is_shown_with_what_it_ran(window, row, task_id)
    with a_worker("second", database_url, tmp_path):
        expect(task.locator("main .status").first).to_have_text("In progress")
        expect(task.locator(".facts").get_by_role("link", name="second")).to_be_visible()
        expect(tasks.locator(f"#t{task_id} .status")).to_have_text("In progress")
        newcomer = workers.locator("tr", has_text="second")
        expect(newcomer.locator(".status")).to_have_text("Working", timeout=SHOWN_MS)
        expect(newcomer.locator(".slots")).to_contain_text("1 / ", timeout=SHOWN_MS)
        expect(row.locator(".status")).to_have_text("Lost")
        # What was lost with the first one is shown for a day, beside what is not over on this page yet.
        expect(
            overview.locator(".attention li.trouble", has_text="was lost with 1 task")
        ).to_be_visible(timeout=SHOWN_MS)
        assert [has_stayed(page) for page in pages] == [True] * len(pages)
        assert window.errors == []
