"""A service in trouble, with 200,000 tasks: all that is wrong is found within two clicks and ten seconds."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import HERE, a_context
from tests.support.processes import environment
from tools.scene.facts import missing, read_facts
from tools.scene.plan import TASKS
from tools.scene.service import Scene, a_scene

COVERED = (HERE / "covered.js").read_text("utf-8")
WIDTHS = (1280, 390)
LONG = "q" * 63
TASK = {"name": f"{'W' * 60}{' a name of many words' * 6}", "type": LONG, "queue": LONG}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with a_scene(tmp_path_factory.mktemp("scene")) as scene:
        yield scene


def violations(scene: Scene) -> str:
    """What `taskmill verify` prints if it finds any."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "taskmill", "verify", "--timeout", "120", "--data", scene.data],
        cwd=scene.data,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.slow
def test_all_that_is_wrong_is_found_within_two_clicks_and_ten_seconds(
    scene: Scene, browser: Browser, tmp_path: Path
) -> None:
    context = a_context(browser, "desktop", "light", "en")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    missed = {}
    for fact in read_facts():
        if trouble := missing(page, scene.url, fact):
            missed[fact.name] = trouble
            page.screenshot(path=tmp_path / f"{fact.slug}.png", full_page=True)
    context.close()
    assert missed == {}
    assert errors == []
    assert scene.http.get("/stats").json()["total"] == TASKS
    assert violations(scene) == ""


def make_long(http: httpx.Client) -> None:
    """Add a task, a schedule and webhooks whose names and addresses are as long as may be."""
    http.post("/tasks", json={**TASK, "labels": {"k" * 60: "v" * 200}}).raise_for_status()
    http.put(f"/schedules/{LONG}", json={"every": "PT1H", "task": TASK}).raise_for_status()
    for path in ("invoices", "p" * 300):
        webhook = {"url": f"http://127.0.0.1/{path}", "description": "D" * 200, "queues": [LONG]}
        http.post("/webhooks", json=webhook).raise_for_status()


def pages_of(http: httpx.Client) -> list[str]:
    """Return the addresses of all kinds of pages."""

    def first(path: str, **query: str) -> str:
        found: str = http.get(path, params=query).raise_for_status().json()["items"][0]["id"]
        return found

    new, failed, running = (first("/tasks", status=one) for one in ("new", "failed", "in_progress"))
    webhook, schedule = f"/ui/webhooks/{first('/webhooks')}", f"/ui/schedules/{LONG}"
    return [
        *("/", "/?attention=all", "/?window=30d", "/ui/create", "/ui/search?q=label", "/ui/views"),
        *("/ui/tasks", "/ui/tasks?status=failed", f"/ui/tasks?queue={LONG}"),
        *(f"/ui/tasks/{one}" for one in (new, failed, running, f"{new}/reschedule")),
        *("/ui/queues", "/ui/queues?order=oldest&window=24h", f"/ui/queues/{LONG}"),
        *("/ui/workers", f"/ui/workers/{first('/workers')}", "/ui/types", f"/ui/types/{LONG}"),
        *("/ui/failures", f"/ui/failures/{first('/failures')}", "/ui/events", "/ui/audit"),
        *("/ui/rejections", f"/ui/rejections/{first('/rejections')}", "/ui/jobs", "/ui/keys"),
        *("/ui/schedules", schedule, f"{schedule}/edit", f"{schedule}/delete", "/ui/new-schedule"),
        *("/ui/webhooks", webhook, f"{webhook}/edit", f"{webhook}/delete", "/ui/webhooks/new"),
        *("/ui/system?settings=all", "/ui/system/doctor"),
    ]


def show_whole(page: Page, width: int) -> None:
    """Make the window as high as the page."""
    page.set_viewport_size({"width": width, "height": 800})
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": height})


@pytest.mark.slow
def test_nothing_is_covered_or_cut_on_any_page(scene: Scene, browser: Browser) -> None:
    make_long(scene.http)
    context = browser.new_context(locale="en", reduced_motion="reduce")
    page = context.new_page()
    found = {}
    for path in pages_of(scene.http):
        response = page.goto(scene.url + path)
        assert response is not None
        assert response.ok, path
        for width in WIDTHS:
            show_whole(page, width)
            if wrong := page.evaluate(COVERED):
                found[f"{width} {path}"] = wrong
    context.close()
    assert found == {}
