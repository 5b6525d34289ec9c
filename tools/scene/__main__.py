"""Runs the scene: `python -m tools.scene`, with the test dependencies, until Ctrl-C.

With `--pictures FOLDER` it takes a picture of each fact in `facts.toml` and ends. The exit status is 1 when one is
not found.
"""
# ruff: noqa: T201 - a command, which prints

import argparse
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import a_context, chromium_path
from tools.scene.facts import missing, read_facts
from tools.scene.service import Scene, a_scene


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.scene", description=__doc__)
    parser.add_argument("--port", type=int, default=0, metavar="N", help="of the API (a free one)")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="take pictures, then end")
    return parser.parse_args()


def take_pictures(scene: Scene, folder: Path) -> int:
    """Take a picture of each fact; return how many were not found."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        launch = playwright.chromium.launch
        browser = launch(executable_path=chromium_path(), args=["--no-sandbox"])
        page = a_context(browser, "desktop", "light", "en").new_page()
        failures = sum(_take(page, scene.url, folder))
        browser.close()
    return failures


def _take(page: Page, url: str, folder: Path) -> list[bool]:
    failures = []
    for fact in read_facts():
        trouble = missing(page, url, fact)
        page.screenshot(path=folder / f"{fact.slug}.png", full_page=True)
        print(f"{fact.name}: {trouble or 'found'}", flush=True)
        failures.append(trouble is not None)
    return failures


def main() -> int:
    """Build the scene, then take pictures or wait."""
    arguments = _arguments()
    with (
        tempfile.TemporaryDirectory(prefix="scene-") as folder,
        a_scene(Path(folder), port=arguments.port) as scene,
    ):
        print(f"It is at {scene.url}, its data in {scene.data}. Ctrl-C ends it.", flush=True)
        if arguments.pictures:
            return int(take_pictures(scene, arguments.pictures) > 0)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
