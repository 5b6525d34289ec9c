"""What goes wrong in the scene, by the service's own doing: through its API, its broker, and a worker's death."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aio_pika
import httpx

from taskmill.amqp.names import CREATE_KEY, EXCHANGE
from taskmill.storage.key_file import NAME as SECRETS_KEY
from tests.support.fake_service import unused_url
from tests.support.polling import wait_until
from tests.support.processes import Program
from tests.support.roles import DATABASE
from tools.scene.courses import NUMBERS
from tools.scene.plan import (
    BY_TYPE,
    EXPIRING,
    HELD,
    HELD_TYPE,
    LARGE,
    LARGE_BYTES,
    LOST_TYPE,
    PAUSED_QUEUE,
    PRINTED,
    QUEUES,
    REFUSED,
    SCHEDULED,
    UNPAID,
    UNSERVED,
    UNSERVED_TYPE,
    payload_of,
)

Task = dict[str, Any]

DOOMED: Final = "worker-2"
HOOKED: Final = "confirm-order"
"""The type of tasks whose ends are sent to an endpoint that is gone."""
LAST_NAMES: Final = (
    "Import the prices of supplier 4711",
    "Выставить счёт по заказу 4711",
    "أرسل إشعارًا إلى العميل 4711",
    "Resize invoice-\u202efdp.exe of customer 4711",
)
"""The names of the newest tasks, the one with a large payload first."""

_SINGLE: Final = 2
MADE: Final = (
    *(SCHEDULED, HELD, UNSERVED, EXPIRING, PRINTED, UNPAID, LARGE, len(LAST_NAMES), _SINGLE),
)
"""How many tasks are created here, by what for."""

LEASE_S: Final = "5"

_URGENT: Final = 9
_DAY_S: Final = 86_400
_EXPIRE_AFTER: Final = timedelta(seconds=10)
_SLOTS: Final = 40
_LOADED: Final = 20
_PAUSE_S: Final = 0.2
_PAGES: Final = 3_000
_TOO_URGENT: Final = {
    "name": "Confirm order 4711",
    "type": HOOKED,
    "queue": "orders",
    "priority": 12,
}
_BODIES: Final[Mapping[str | None, Sequence[bytes]]] = {
    "orders": [json.dumps(_TOO_URGENT).encode()],
    None: [b"name=first&type=send-email", bytes(range(256))],
}


def until(condition: Callable[[], bool], what: str, *, timeout_s: float) -> None:
    """Return as soon as a condition is true, which is checked a few times a second: that takes a request."""

    def check() -> bool:
        threading.Event().wait(_PAUSE_S)
        return condition()

    wait_until(check, what, timeout_s=timeout_s)


def create(http: httpx.Client, tasks: list[Task]) -> list[str]:
    """Create tasks, and return their ids."""
    ids: list[str] = http.post("/tasks/batch", json=tasks).raise_for_status().json()["ids"]
    return ids


def make_queues(http: httpx.Client) -> None:
    """Make all queues, and pause one."""
    for name in QUEUES:
        change = {"paused": name == PAUSED_QUEUE}
        http.patch(f"/queues/{name}", json=change).raise_for_status()


def lose_an_endpoint(http: httpx.Client) -> None:
    """Have changes posted to where nothing listens, and change something."""
    webhook = {
        "url": f"{unused_url()}/orders",
        "description": "orders that need a look",
        "types": [HOOKED],
        "statuses": ["failed", "cancelled"],
    }
    http.post("/webhooks", json=webhook).raise_for_status()
    task = {"name": "Confirm order 1000", "type": HOOKED, "queue": "orders", "delay_s": 3600}
    [task_id] = create(http, [task])
    http.post(f"/tasks/{task_id}/cancel").raise_for_status()


def create_waiting(http: httpx.Client) -> None:
    """Create what waits: scheduled tasks, those of the paused queue, and those that nobody runs; some expire."""
    create(http, [*_scheduled(), *_held(), *_unserved()])
    soon = datetime.now(UTC) + _EXPIRE_AFTER  # noqa: TID251 - as a producer reads its clock
    held = {"name": "Train for the demo", "type": HELD_TYPE, "queue": PAUSED_QUEUE}
    create(http, [{**held, "expires_at": soon.isoformat()} for _ in range(EXPIRING)])


def _scheduled() -> Iterator[Task]:
    for number in NUMBERS[:SCHEDULED]:
        yield {
            "name": f"Send the newsletter to customer {number}",
            "type": "send-email",
            "queue": "mail",
            "payload": payload_of("send-email", number),
            "delay_s": 3600 + _DAY_S * (number % 24) / 24,
        }


def _held() -> Iterator[Task]:
    for number in NUMBERS[:HELD]:
        yield {
            "name": f"Train the model of region {number}",
            "type": HELD_TYPE,
            "queue": PAUSED_QUEUE,
        }


def _unserved() -> Iterator[Task]:
    for number in NUMBERS[:UNSERVED]:
        yield {
            "name": f"Transcode the video of article {number}",
            "type": UNSERVED_TYPE,
            "queue": "images",
        }


@contextmanager
def a_doomed_worker(facts: Mapping[str, Any], data: Path, folder: Path) -> Iterator[Program]:
    """Run a worker that is to be killed, beside the one of `up`, whose `facts` and `data` these are."""
    env = {
        DATABASE: facts["app_database_url"],
        "TASKMILL_SECRETS_KEY_FILE": str(data / SECRETS_KEY),
        "TASKMILL_BROKER": "postgres",
        "TASKMILL_WORKER__APP": "shop:doomed",
        "TASKMILL_WORKER__NAME": DOOMED,
        "TASKMILL_WORKER__CONCURRENCY": str(_SLOTS),
        "TASKMILL_LEASE__TTL_S": LEASE_S,
    }
    with Program("run", "worker", folder=folder, env=env) as worker:
        yield worker


def print_labels(http: httpx.Client) -> None:
    """Have the worker that is to be killed run tasks that must not run twice."""
    label = {"type": LOST_TYPE, "queue": "orders", "priority": _URGENT, "max_losses": 0}
    create(http, [{"name": f"Print label {number}", **label} for number in NUMBERS[:PRINTED]])
    until(lambda: running_of(http, DOOMED) >= PRINTED, "labels are printed", timeout_s=60)


def kill(http: httpx.Client, worker: Program) -> None:
    """Kill the worker as soon as it has much to do."""
    until(lambda: running_of(http, DOOMED) >= _LOADED, "it runs much", timeout_s=60)
    worker.process.kill()
    worker.process.wait()


def running_of(http: httpx.Client, worker: str) -> int:
    """Return how many tasks a worker runs, as it last said itself."""
    found = http.get("/workers").raise_for_status().json()["items"]
    return max((one["running"] for one in found if one["name"] == worker), default=0)


async def publish_refused(amqp_url: str) -> None:
    """Publish messages that can't become tasks."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange(EXCHANGE)
        for queue, messages in REFUSED.items():
            for number in range(messages):
                body = _BODIES[queue][number % len(_BODIES[queue])]
                message = aio_pika.Message(body, message_id=f"{queue or 'export'}-{number}")
                await exchange.publish(message, routing_key=CREATE_KEY)


def fail_to_charge(http: httpx.Client) -> None:
    """Have cards charged in a currency without a rate."""
    create(
        http,
        [
            {
                "name": f"Charge the card of customer {number}",
                "type": "charge-card",
                "queue": "billing",
                "priority": _URGENT,
                "payload": {"amount": 42, "currency": "XAU"},
                "labels": {"customer": str(number), "region": "ae"},
            }
            for number in NUMBERS[:UNPAID]
        ],
    )


def create_last(http: httpx.Client) -> str:
    """Create the newest tasks: large ones, those in other scripts, and a report; return the id of the report."""
    large = {"customer": 4711, "rows": "article;price\n" * (LARGE_BYTES // 14)}
    prices: Task = {"type": "import-prices", "queue": "imports", "priority": 8, "payload": large}
    names = [f"Import the prices of supplier {number}" for number in NUMBERS[:LARGE]]
    create(http, [{**prices, "name": name} for name in names])
    report = {
        "name": "Build the report of region 4711",
        "type": "build-report",
        "queue": "reports",
        "priority": _URGENT,
        "payload": {"customer": 4711, "pages": _PAGES},
    }
    [report_id] = create(http, [report])
    first, *others = LAST_NAMES
    types = ("issue-invoice", "push-message", "resize-photo")
    scripts = [
        {"name": name, "type": type_, "queue": BY_TYPE[type_].queue, "delay_s": 3600}
        for name, type_ in zip(others, types, strict=True)
    ]
    create(http, [*scripts, {**prices, "name": first}])
    return report_id
