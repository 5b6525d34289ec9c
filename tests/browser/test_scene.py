"""A service in trouble, with 200,000 tasks: all that is wrong is found within two clicks and ten seconds."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import a_context
from tests.support.processes import environment
from tools.scene.facts import missing, read_facts
from tools.scene.plan import TASKS
from tools.scene.service import Scene, a_scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with a_scene(tmp_path) as scene:
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
