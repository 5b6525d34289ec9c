"""axe finds nothing, of whatever impact, on any page and in any dialog: in both themes, on phones and desktops."""

import itertools
from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SIZES, Mill, Window
from tests.browser.test_failures import the_kind
from tests.browser.test_pages import a_task, webhook_pages
from tests.browser.test_schedules import NIGHTLY, put
from tests.browser.test_system_pages import the_worker
from tests.support.refusals import refused_message, store_refused_in_thread

LOOKS = list(itertools.product(SIZES, ("light", "dark"), ("en",)))


@pytest.fixture
def running(mill: Mill) -> Iterator[str]:
    """A task that runs, with progress and lines of its log."""
    task_id = mill.create(name="A long report", type="build-report")
    yield task_id
    mill.http.post(f"/tasks/{task_id}/cancel").raise_for_status()
    mill.ended(task_id)


def all_pages(mill: Mill, running: str) -> list[str]:
    put(mill, "axe", NIGHTLY)
    body = b'{"name": "x", "type": "send-email", "priority": 12}'
    [refused] = store_refused_in_thread(mill.wire.url, [refused_message(body, str(uuid4()))])
    failed = a_task(mill, "failed", type="charge-card")
    return [
        *(
            "/",
            "/?window=24h",
            "/ui/tasks",
            "/ui/tasks?status=failed",
            "/ui/tasks?name=nothing-like-it",
        ),
        *(f"/ui/tasks/{failed}", f"/ui/tasks/{running}", f"/ui/tasks/{a_task(mill, 'succeeded')}"),
        f"/ui/tasks/{a_task(mill, 'new', queue='lonely')}",
        f"/ui/tasks/{a_task(mill, 'new', queue='lonely')}/reschedule",
        *("/ui/create", f"/ui/create?like={failed}", "/ui/search?q=mail", "/ui/views"),
        *("/ui/queues", "/ui/queues/default", "/ui/types", "/ui/types/charge-card"),
        *("/ui/workers", f"/ui/workers/{the_worker(mill)}", "/ui/failures"),
        the_kind(mill, "plotter.axe"),
        *("/ui/events", "/ui/schedules", "/ui/schedules/axe", "/ui/schedules/axe/edit"),
        *("/ui/schedules/axe/backfill", "/ui/schedules/axe/delete", "/ui/new-schedule"),
        *("/ui/rejections", f"/ui/rejections/{refused}", f"/ui/rejections/{refused}/edit"),
        *webhook_pages(mill),
        *("/ui/audit", "/ui/keys", "/ui/system", "/ui/system?settings=all", "/ui/system/doctor"),
    ]


def check_pages(window: Window, running: str) -> None:
    found: dict[str, list[str]] = {}
    for path in all_pages(window.mill, running):
        expect(window.open(path).locator("h1")).to_be_visible()
        if faults := window.findings():
            found[path] = faults
    assert found == {}
    assert window.errors == []


@pytest.mark.slow
@pytest.mark.parametrize("window", LOOKS, indirect=True, ids="-".join)
def test_no_page_has_a_fault(window: Window, running: str) -> None:
    check_pages(window, running)


def asked(window: Window, path: str, button: str) -> list[str]:
    """Return the faults of the question that a button asks."""
    window.open(path).get_by_role("button", name=button).first.click()
    expect(window.page.locator("#confirm[open]")).to_be_visible()
    return window.findings()


@pytest.mark.parametrize("window", LOOKS, indirect=True, ids="-".join)
def test_no_question_has_a_fault(window: Window, running: str) -> None:
    worker = f"/ui/workers/{the_worker(window.mill)}"
    questions = (
        (f"/ui/tasks/{running}", "Cancel"),
        ("/ui/queues?name=lonely", "Pause"),
        (worker, "Quiet"),
        (worker, "Stop"),
    )
    found = {question: asked(window, *question) for question in questions}
    assert found == {question: [] for question in questions}


@pytest.mark.parametrize("window", LOOKS, indirect=True, ids="-".join)
def test_no_dialog_has_a_fault(window: Window) -> None:
    found: dict[str, list[str]] = {}
    page = window.open("/ui/tasks?queue=lonely&status=new")
    page.keyboard.press("?")
    expect(page.locator("#help[open]")).to_be_visible()
    found["help"] = window.findings()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    found["search"] = window.findings()
    page.keyboard.type("mail")
    expect(page.locator("#found .hit").first).to_be_visible()
    found["search with hits"] = window.findings()
    page.locator("#find-text").fill("nothing is like it")
    expect(page.locator("#found .hits-none")).to_be_visible()
    found["search without hits"] = window.findings()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Cancel all").click()
    expect(page.locator("#sheet[open] .big")).to_be_visible()
    found["preview"] = window.findings()
    page.keyboard.press("Escape")
    page.get_by_text("Views", exact=True).first.click()
    expect(page.locator(".menu-body form").first).to_be_visible()
    found["views"] = window.findings()
    assert found == {name: [] for name in found}
