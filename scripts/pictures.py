"""Takes the pictures of the dashboard in docs/images: `python scripts/pictures.py`, with the test dependencies.

With names of pictures it takes only those. It starts a service of its own with the app of the browser tests,
gives it tasks for some minutes, and opens pages in Chromium.
"""
# ruff: noqa: INP001, T201, S311 - a program of its own that prints; what it draws is no secret

import itertools
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.browser.conftest import SIZES, a_context, chromium_path  # noqa: E402 - after the path
from tests.support.polling import wait_until  # noqa: E402 - see above
from tests.support.postgres import DatabaseServer  # noqa: E402 - see above
from tests.support.processes import Program  # noqa: E402 - see above
from tests.support.refusals import judged, keep_from_thread  # noqa: E402 - see above

IMAGES = ROOT / "docs/images"
ROUNDS = 150
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


def a_task(draw: random.Random) -> dict[str, Any]:
    """Draw a task as a shop would have it."""
    kind = draw.choices(list(NAMES), (6, 1, 4))[0]
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


def feed(http: httpx.Client) -> str:
    """Give the service tasks for a while, a few every second; return the id of one that runs long."""
    draw = random.Random(7)
    looks = itertools.count(1)
    rounds = itertools.count(1)

    def give() -> bool:
        """Give some at each hundredth look, which is about every second."""
        if next(looks) % 90:
            return False
        tasks = [a_task(draw) for _ in range(draw.randrange(4, 40))]
        http.post("/tasks/batch", json=tasks).raise_for_status()
        return next(rounds) >= ROUNDS

    for number in range(3):
        http.post(
            "/tasks", json={"name": f"Train the model {number}", "type": "train", "queue": "gpu"}
        )
    http.post("/tasks", json={"name": "Send the newsletter", "type": "emulate", "delay_s": 7200})
    http.patch("/queues/gpu", json={"paused": True}).raise_for_status()
    wait_until(give, "all rounds are given", timeout_s=600)
    pull(http)
    answer = http.post(
        "/tasks",
        json={"name": "Build the monthly report", "type": "build-report", "queue": "reports"},
    )
    task_id: str = answer.raise_for_status().json()["id"]
    return task_id


def pull(http: httpx.Client) -> None:
    """Be a worker that pulls over HTTP: fail at some tasks, and keep others."""
    tasks = [
        {"name": f"Make thumbnail {number}", "type": "thumbnail", "queue": "images"}
        for number in range(30)
    ]
    http.post("/tasks/batch", json=tasks).raise_for_status()
    for number in range(20):
        claim = {"worker": "thumbnails-1", "types": ["thumbnail"], "wait_s": 5, "ttl_s": 600}
        lease = http.post("/leases", json=claim).raise_for_status().json()
        if number < len(TROUBLES):
            [task] = lease["tasks"]
            end = {
                "lease_id": lease["lease_id"],
                "claim_no": task["claim_no"],
                "error": dict(zip(("type", "message"), TROUBLES[number], strict=True)),
            }
            http.post(f"/tasks/{task['id']}/fail", json=end).raise_for_status()


def refuse(url: str) -> str:
    """Keep messages as refused, as an intake would have; return the id of one."""
    bodies = {
        "order-4711": b'{"name": "Send the invoice", "type": "send-email", "priority": 12, "queu": "mail"}',
        "order-4712": b"name=first&type=send-email",
        "export-17": bytes(range(256)),
        "order-4715": b'{"name": "Resize the photos", "payload": {"delay_s": "soon"}}',
    }
    messages = [judged(body, message_id) for message_id, body in bodies.items()]
    return keep_from_thread(url, messages)[0]


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
            yield program.facts["url"], http, refuse(env["TASKMILL_DATABASE_URL"])


def migrate(url: str) -> None:
    """Bring the database to the current schema."""
    from taskmill.storage.migrate import upgrade  # noqa: PLC0415 - it is ours, and slow to import

    upgrade(url)


def take(browser: Browser, address: str, name: str, view: tuple[str, str, str]) -> None:
    """Open a page, let it come alive, and keep what is seen."""
    context = a_context(browser, *view)
    page = context.new_page()
    page.goto(address)
    page.locator("#pulse.on").wait_for(state="attached")
    page.locator("#pulse.beat").wait_for(state="attached")
    page.screenshot(path=IMAGES / f"{name}.png")
    context.close()
    print(f"{name}: {(IMAGES / f'{name}.png').stat().st_size // 1024} KiB, {SIZES[view[0]]}")


def main() -> None:
    """Take all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, a_mill(Path(folder)) as (url, http, refused):
        running = feed(http)
        failed = http.get("/tasks", params={"status": "failed", "type": "charge-card", "limit": 1})
        broken = failed.json()["items"][0]["id"]
        workers = http.get("/workers").json()["items"]
        worker = next(one["id"] for one in workers if not one["remote"])
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium_path(), args=["--no-sandbox"]
            )
            for name, path, view in (
                ("overview", "/?window=15m", ("desktop", "light", "en")),
                ("overview-dark", "/?window=15m", ("desktop", "dark", "ru")),
                ("tasks", "/ui/tasks", ("desktop", "light", "en")),
                ("tasks-phone", "/ui/tasks", ("phone", "dark", "en")),
                ("task", f"/ui/tasks/{broken}", ("desktop", "light", "en")),
                ("queues", "/ui/queues?window=15m", ("desktop", "light", "en")),
                ("queues-phone", "/ui/queues?window=15m", ("phone", "dark", "ru")),
                ("workers", "/ui/workers", ("desktop", "dark", "en")),
                ("worker", f"/ui/workers/{worker}", ("desktop", "light", "en")),
                ("failures", "/ui/failures", ("desktop", "light", "en")),
                ("create", CREATE, ("desktop", "light", "en")),
                ("create-phone", CREATE, ("phone", "dark", "en")),
                ("rejections", "/ui/rejections", ("desktop", "light", "en")),
                ("rejection", f"/ui/rejections/{refused}", ("desktop", "dark", "en")),
                ("task-running", f"/ui/tasks/{running}", ("desktop", "dark", "en")),
            ):
                if name in (sys.argv[1:] or [name]):
                    take(browser, url + path, name, view)
            browser.close()


if __name__ == "__main__":
    main()
