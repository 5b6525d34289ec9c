"""Takes the pictures of the dashboard in docs/images: `python scripts/pictures.py`, with the test dependencies.

With names of pictures it takes only those. It starts the scene of `tools/scene`, a service in trouble with 200,000
tasks, adds schedules with a past, and opens pages in Chromium. It takes about three minutes.
"""
# ruff: noqa: INP001, T201 - a program of its own that prints

import asyncio
import io
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.browser.conftest import SIZES, a_context, chromium_path  # noqa: E402 - after the path
from tools.scene.service import Scene, a_scene  # noqa: E402 - see above

IMAGES = ROOT / "docs/images"
COLOURS = 256
TICKED_S = 15
CREATE = "/ui/create?name=Send+the+invoice+to+customer+1017&type=send-email&p.to=1017%40example.org&queue=mail"
SCHEDULES: Mapping[str, dict[str, Any]] = {
    "crm-sync": {
        "cron": "0 * * * *",
        "zone": "Europe/Berlin",
        "overlap": "skip",
        "task": {"name": "Sync with the CRM", "queue": "sync", "payload": {"source": "crm"}},
    },
    "nightly-report": {
        "cron": "30 2 * * *",
        "zone": "Europe/Berlin",
        "task": {"name": "Nightly report", "queue": "reports"},
    },
    "import": {
        "every": "PT1S",
        "overlap": "skip",
        "task": {
            "name": "Import",
            "priority": 9,
            "payload": {"delay_s": 3, "failure_probability": 0},
        },
    },
    "invoices": {
        "cron": "0 9 1 * *",
        "zone": "America/New_York",
        "task": {"name": "Send the invoices", "queue": "billing"},
    },
    "health-checks": {
        "every": "PT5S",
        "task": {
            "name": "Check",
            "priority": 9,
            "payload": {"delay_s": 0.1, "failure_probability": 0.1},
        },
    },
}
# What became of the ticks of a month: some skipped, some refused, four days of an outage.
FIRES = """
UPDATE taskmill.schedule SET created_at = now() - interval '60 days', updated_at = now() - interval '60 days';
INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome, ticks, until_tick, problem, task_id)
SELECT
    id, date_trunc('hour', now()) - n * interval '1 hour', 'tick', outcome,
    CASE n WHEN 400 THEN 96 ELSE 1 END,
    CASE n WHEN 400 THEN date_trunc('hour', now()) - interval '305 hours' END,
    CASE outcome WHEN 'refused' THEN '{"title": "Invalid input", "detail": "no such customer"}'::json END,
    CASE outcome WHEN 'created' THEN gen_random_uuid() END
FROM taskmill.schedule
CROSS JOIN (
    SELECT
        n,
        CASE
            WHEN n = 400 THEN 'skipped_missed' WHEN n BETWEEN 180 AND 200 THEN 'refused'
            WHEN n % 83 IN (3, 4) THEN 'skipped_overlap' ELSE 'created'
        END AS outcome
    FROM generate_series(1, 719) AS n
) AS hour
WHERE name = 'crm-sync' AND n NOT BETWEEN 305 AND 399
"""


def schedule(scene: Scene) -> None:
    """Make schedules, one of them with a past."""
    for name, body in SCHEDULES.items():
        scene.http.put(f"/schedules/{name}", json=body).raise_for_status()
    asyncio.run(execute(scene.database_url, FIRES))


async def execute(url: str, history: str) -> None:
    """Insert what became of things in the past."""
    connection = await asyncpg.connect(url)
    await connection.execute(history)
    await connection.close()


def save(picture: bytes, path: Path) -> None:
    """Write it with few colours: that takes a third of the space, without a visible difference.

    This way to choose them keeps rare colours, such as those of small dots.
    """
    seen = Image.open(io.BytesIO(picture)).convert("RGB")
    few = seen.quantize(
        COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE
    )
    few.save(path, optimize=True)


def take(browser: Browser, address: str, name: str, view: tuple[str, str, str]) -> None:
    """Open a page, wait until it is live, and save a picture of it."""
    context = a_context(browser, *view)
    page = context.new_page()
    page.goto(address)
    page.locator("#connection.on").wait_for(state="attached")
    page.locator("#connection.flash").wait_for(state="attached")
    save(page.screenshot(), IMAGES / f"{name}.png")
    context.close()
    print(f"{name}: {(IMAGES / f'{name}.png').stat().st_size // 1024} KiB, {SIZES[view[0]]}")


def main() -> None:
    """Take all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="pictures-") as folder,
        a_scene(Path(folder)) as scene,
    ):
        schedule(scene)
        # What the schedules of a few seconds make of some ticks.
        threading.Event().wait(TICKED_S)
        take_all(scene.url, pages(scene))


def pages(scene: Scene) -> dict[str, tuple[str, tuple[str, str, str]]]:
    """Return the address and the view of each picture, by name."""
    failed = {"status": "failed", "type": "charge-card", "limit": "1"}
    broken = scene.http.get("/tasks", params=failed).json()["items"][0]["id"]
    workers = scene.http.get("/workers").json()["items"]
    worker = next(one["id"] for one in workers if one["state"] == "alive")
    messages = scene.http.get("/rejections").json()["items"]
    refused = next(one["id"] for one in messages if (one["message_id"] or "").startswith("orders"))
    return {
        "tasks": ("/ui/tasks", ("desktop", "light", "en")),
        "tasks-phone": ("/ui/tasks", ("phone", "dark", "en")),
        "overview": ("/", ("desktop", "light", "en")),
        "overview-dark": ("/", ("desktop", "dark", "ru")),
        "queues": ("/ui/queues", ("desktop", "light", "en")),
        "queues-phone": ("/ui/queues", ("phone", "dark", "ru")),
        "worker": (f"/ui/workers/{worker}", ("desktop", "light", "en")),
        "workers": ("/ui/workers", ("desktop", "dark", "en")),
        "task-running": (f"/ui/tasks/{scene.report}", ("desktop", "dark", "en")),
        "task": (f"/ui/tasks/{broken}", ("desktop", "light", "en")),
        "failures": ("/ui/failures", ("desktop", "light", "en")),
        "schedules": ("/ui/schedules", ("desktop", "light", "en")),
        "schedule": ("/ui/schedules/crm-sync", ("desktop", "light", "en")),
        "create": (CREATE, ("desktop", "light", "en")),
        "create-phone": (CREATE, ("phone", "dark", "en")),
        "rejections": ("/ui/rejections", ("desktop", "light", "en")),
        "rejection": (f"/ui/rejections/{refused}", ("desktop", "dark", "en")),
    }


def take_all(url: str, found: Mapping[str, tuple[str, tuple[str, str, str]]]) -> None:
    """Take the requested ones."""
    with sync_playwright() as playwright:
        launch = playwright.chromium.launch
        browser = launch(executable_path=chromium_path(), args=["--no-sandbox"])
        for name in sys.argv[1:] or found:
            path, view = found[name]
            take(browser, url + path, name, view)
        browser.close()


if __name__ == "__main__":
    main()
