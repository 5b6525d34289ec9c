"""Takes the pictures of the dashboard in docs/images: `python scripts/pictures.py`, with the test dependencies.

With names of pictures it takes only those. It starts a service of its own with the app of the browser tests, gives
it the history of an hour, feeds it tasks all the time, and opens pages in Chromium.
"""
# ruff: noqa: INP001, T201, S311 - a program of its own that prints; its random numbers are no secret

import asyncio
import io
import random
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.browser.conftest import SIZES, a_context, chromium_path  # noqa: E402 - after the path
from tests.support.migrating import migrate_with_roles  # noqa: E402 - see above
from tests.support.postgres import DatabaseServer  # noqa: E402 - see above
from tests.support.processes import Program  # noqa: E402 - see above
from tests.support.refusals import refused_message, store_refused_in_thread  # noqa: E402 - see above

IMAGES = ROOT / "docs/images"
FED_S = 75
COLOURS = 256
CLAIMED_THUMBNAILS = 20
NAMES = {
    "send-email": (
        "Send the welcome mail to customer {}",
        "Remind customer {} of the invoice",
        "Confirm the order of customer {}",
    ),
    "charge-card": ("Charge the card of customer {}",),
    "emulate": (
        "Resize the photos of customer {}",
        "Sync customer {} with the CRM",
        "Export the orders of customer {}",
    ),
}
CREATE = "/ui/create?name=Send+the+invoice+to+customer+1017&type=send-email&p.to=1017%40example.org&queue=mail"
CUSTOMERS = tuple(range(1001, 1043))
TROUBLES = (
    *(("ImageError", f"upload-{number}.heic: not a picture") for number in range(9)),
    *(("ConnectionError", f"10.0.3.{number}:9000 refused the connection") for number in range(4)),
    ("MemoryError", "a picture of 90000 x 60000 pixels"),
)
QUEUES = {"send-email": "mail", "charge-card": "billing", "emulate": "default"}
# The roll-up and the counts of an hour at the pace of `feeding`, going up and down a little. Buckets of durations
# are of e^(b/5) ms: mails take some 30 ms, emulated tasks 0.2 to 4 s.
HISTORY = """
WITH hour AS MATERIALIZED (
    SELECT
        minute, queue, type, slow, tasks, round(tasks * share + 0.4 * random()) AS wrong,
        (2 + 2 * sin(minute / 9.0))::integer AS late
    FROM generate_series(0, 59) AS minute
    CROSS JOIN (VALUES
        ('mail', 'send-email', 70, 0.004, 16), ('billing', 'charge-card', 6, 0.02, 17),
        ('default', 'emulate', 47, 0.03, 34), ('images', 'thumbnail', 9, 0.02, 31)
    ) AS q (queue, type, pace, share, slow)
    CROSS JOIN LATERAL (
        SELECT round(
            pace * (1 + 0.25 * sin(minute / 6.0) + 0.1 * sin(minute * 1.7 + slow))
            * CASE minute WHEN 0 THEN extract(second FROM now()) / 60 ELSE 1 END
        ) AS tasks
    ) AS n
),
rolled_up AS (
    INSERT INTO taskmill.task_minute (
        step_s, at, queue, type, created, claimed, succeeded, failed, retry_scheduled, handed_back, lost, expired,
        cancelled, run_again, waiting, waiting_s, running, running_s
    )
    SELECT
        60, date_trunc('minute', now()) - make_interval(mins => minute), queue, type, tasks, tasks, tasks - wrong,
        wrong, 0, 0, 0, 0, 0, 0,
        taskmill.packed_bucket((tasks * 0.6)::bigint, (14 + late)::smallint)
            + taskmill.packed_bucket((tasks * 0.36)::bigint, (16 + late)::smallint)
            + taskmill.packed_bucket(greatest(tasks * 0.04, 1)::bigint, (19 + 2 * late)::smallint),
        tasks * 0.03,
        taskmill.packed_bucket((tasks * 0.7)::bigint, slow::smallint)
            + taskmill.packed_bucket((tasks * 0.3)::bigint, (slow + 5)::smallint),
        tasks
    FROM hour
)
INSERT INTO taskmill.task_count (queue, status, tasks)
SELECT queue, 'succeeded', sum(tasks - wrong) FROM hour GROUP BY queue
UNION ALL
SELECT queue, 'failed', sum(wrong) FROM hour GROUP BY queue
"""
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
        "task": {"name": "Import", "payload": {"delay_s": 3, "failure_probability": 0}},
    },
    "invoices": {
        "cron": "0 9 1 * *",
        "zone": "America/New_York",
        "task": {"name": "Send the invoices", "queue": "billing"},
    },
    "health-checks": {
        "every": "PT5S",
        "task": {"name": "Check", "payload": {"delay_s": 0.1, "failure_probability": 0.1}},
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


def a_task(draw: random.Random) -> dict[str, Any]:
    """Return a random task of a shop."""
    kind = draw.choices(list(NAMES), (58, 3, 39))[0]
    customer = draw.choice(CUSTOMERS)
    payloads: dict[str, dict[str, Any]] = {
        "send-email": {"to": f"{customer}@example.org"},
        "charge-card": {"amount": draw.randrange(5, 500)},
        "emulate": {"delay_min_s": 0.2, "delay_max_s": 4, "failure_probability": 0.03},
    }
    return {
        "name": draw.choice(NAMES[kind]).format(customer),
        "type": kind,
        "queue": QUEUES[kind],
        "payload": payloads[kind],
        "priority": draw.choice((4, 4, 4, 8)),
        "labels": {"region": draw.choice(("eu", "us")), "customer": str(customer)},
    }


def prepare(http: httpx.Client) -> None:
    """Create waiting tasks: for a worker that does not exist, and for hours."""
    for number in range(3):
        http.post(
            "/tasks", json={"name": f"Train the model {number}", "type": "train", "queue": "gpu"}
        )
    http.post("/tasks", json={"name": "Send the newsletter", "type": "emulate", "delay_s": 7200})
    http.patch("/queues/gpu", json={"paused": True}).raise_for_status()


@contextmanager
def feeding(url: str) -> Iterator[None]:
    """Create some tasks every second while the block runs."""
    draw, stop = random.Random(7), threading.Event()

    def give() -> None:
        with httpx.Client(base_url=url, timeout=60) as http:
            while not stop.wait(1):
                tasks = [a_task(draw) for _ in range(draw.randrange(1, 4))]
                http.post("/tasks/batch", json=tasks).raise_for_status()

    thread = threading.Thread(target=give)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def begin_report(http: httpx.Client) -> str:
    """Create a task that runs for two minutes, and return its id."""
    report = {"name": "Build the monthly report", "type": "build-report", "queue": "reports"}
    task_id: str = http.post("/tasks", json=report).raise_for_status().json()["id"]
    return task_id


def pull(http: httpx.Client) -> None:
    """Act as a worker that pulls over HTTP: fail some tasks, hold others, and leave the remaining ones."""
    for number in range(30):
        task = {"name": f"Make thumbnail {number}", "type": "thumbnail", "queue": "images"}
        http.post("/tasks", json=task).raise_for_status()
        if number < CLAIMED_THUMBNAILS:
            claim_thumbnail(http, TROUBLES[number] if number < len(TROUBLES) else None)


def claim_thumbnail(http: httpx.Client, trouble: tuple[str, str] | None) -> None:
    """Claim a task; with a trouble, fail it."""
    claim = {"worker": "thumbnails-1", "types": ["thumbnail"], "wait_s": 5, "ttl_s": 600}
    lease = http.post("/leases", json=claim).raise_for_status().json()
    if trouble is not None:
        [task] = lease["tasks"]
        end = {
            "lease_id": lease["lease_id"],
            "claim_no": task["claim_no"],
            "error": dict(zip(("type", "message"), trouble, strict=True)),
        }
        http.post(f"/tasks/{task['id']}/fail", json=end).raise_for_status()


def refuse(url: str) -> str:
    """Store refused messages, as an intake would; return the id of one."""
    bodies = {
        "order-4711": b'{"name": "Send the invoice", "type": "send-email", "priority": 12, "queu": "mail"}',
        "order-4712": b"name=first&type=send-email",
        "export-17": bytes(range(256)),
        "order-4715": b'{"name": "Resize the photos", "payload": {"delay_s": "soon"}}',
    }
    messages = [refused_message(body, message_id) for message_id, body in bodies.items()]
    return store_refused_in_thread(url, messages)[0]


def schedule(http: httpx.Client, url: str) -> None:
    """Make schedules, one of them with a history, as in the database of this address."""
    for name, body in SCHEDULES.items():
        http.put(f"/schedules/{name}", json=body).raise_for_status()
    asyncio.run(execute(url, FIRES))


@contextmanager
def a_mill(folder: Path) -> Iterator[tuple[str, httpx.Client, str]]:
    """Run the service."""
    (folder / "mill.py").write_text((ROOT / "tests/browser/mill.py").read_text("utf-8"))
    with DatabaseServer(folder / "postgres") as server:
        env = {
            "TASKMILL_DATABASE_URL": server.create(),
            "TASKMILL_WORKER__APP": "mill:app",
            "TASKMILL_WORKER__NAME": "worker-1",
            "TASKMILL_WORKER__CONCURRENCY": "100",
        }
        migrate(env["TASKMILL_DATABASE_URL"])
        roles = ("run", "api", "worker", "maintenance", "--port", "0")
        with Program(*roles, folder=folder, env=env) as program, program.client() as http:
            schedule(http, env["TASKMILL_DATABASE_URL"])
            yield program.facts["url"], http, refuse(env["TASKMILL_DATABASE_URL"])


def migrate(url: str) -> None:
    """Bring the database to the current schema, and give it a history."""
    migrate_with_roles(url)
    asyncio.run(execute(url, HISTORY))


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
        tempfile.TemporaryDirectory() as folder,
        a_mill(Path(folder)) as (url, http, refused),
        feeding(url),
    ):
        prepare(http)
        threading.Event().wait(FED_S)
        pull(http)
        take_all(url, pages(http, refused))


def pages(http: httpx.Client, refused: str) -> dict[str, tuple[str, tuple[str, str, str]]]:
    """Return the address and the view of each picture, by name."""
    running = begin_report(http)
    failed = http.get("/tasks", params={"status": "failed", "type": "charge-card", "limit": 1})
    broken = failed.json()["items"][0]["id"]
    workers = http.get("/workers").json()["items"]
    worker = next(one["id"] for one in workers if not one["remote"])
    return {
        # First, while the report is near the top of the list.
        "tasks": ("/ui/tasks", ("desktop", "light", "en")),
        "tasks-phone": ("/ui/tasks", ("phone", "dark", "en")),
        "overview": ("/", ("desktop", "light", "en")),
        "overview-dark": ("/", ("desktop", "dark", "ru")),
        "queues": ("/ui/queues", ("desktop", "light", "en")),
        "queues-phone": ("/ui/queues", ("phone", "dark", "ru")),
        "worker": (f"/ui/workers/{worker}", ("desktop", "light", "en")),
        "workers": ("/ui/workers", ("desktop", "dark", "en")),
        "task-running": (f"/ui/tasks/{running}", ("desktop", "dark", "en")),
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
