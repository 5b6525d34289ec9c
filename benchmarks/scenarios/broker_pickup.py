"""How soon an idle worker begins with a task over RabbitMQ: from the 201 to its handler.

The processes are those of `taskmill up`: API and maintenance, relay and intake, one worker. Tasks come one by
one after pauses of random length, so that none waits for another and none keeps step with a poll. The
handler's begin is the line that the worker logs right before: it tells whole milliseconds, of which the end
counts.
"""

import asyncio
import http.client
import json
import random
import time
from urllib.parse import urlsplit

from benchmarks.figures import Figure, at_most, percentile
from benchmarks.lab import Lab, connected, told_at, until_counted
from benchmarks.load import LoadFailed
from benchmarks.scenarios.noop_drain import NOOP, SUCCEEDED

TITLE = "from the 201 to the handler of an idle worker over RabbitMQ, one task at a time"

_PAUSES_S = (0.02, 0.06)
_SETTLE_S = 1.0
_TIMEOUT_S = 30.0
_A_MILLISECOND_S = 0.001
_BODY = json.dumps({"name": "benchmark", "payload": json.loads(NOOP)})
_JSON = {"Content-Type": "application/json"}


async def run(lab: Lab) -> list[Figure]:
    count = 100 if lab.is_quick else 300
    rounds = []
    async with lab.broker():
        for number in range(lab.rounds):
            measured = await _measure(lab, count)
            rounds.append(measured)
            p50, p99 = percentile(measured, 0.5), percentile(measured, 0.99)
            print(f"  round {number + 1}: p50 {p50:.1f} ms, p99 {p99:.1f} ms", flush=True)
    return [
        Figure(
            name=name,
            unit="ms",
            ours=[percentile(measured, share) for measured in rounds],
            target=at_most(limit),
        )
        for name, share, limit in (("p50", 0.5, 8), ("p99", 0.99, 25))
    ]


async def _measure(lab: Lab, count: int) -> list[float]:
    async with (
        lab.database() as url,
        connected(url) as connection,
        lab.vhost() as amqp_url,
        lab.taskmill("api", url, "maintenance", "--port", "0", broker_url=amqp_url) as api,
        lab.taskmill("relay", url, "intake", broker_url=amqp_url),
        lab.taskmill("worker", url, broker_url=amqp_url) as worker,
    ):
        client = _Client(api.url or "")
        # The first task makes the queue of hints.
        client.create()
        await until_counted(connection, SUCCEEDED, 1, timeout_s=_TIMEOUT_S)
        await asyncio.sleep(_SETTLE_S)
        created_at = {}
        for _ in range(count):
            task_id = client.create()
            created_at[task_id] = time.time()
            await asyncio.sleep(random.uniform(*_PAUSES_S))  # noqa: S311 - a pause
        await until_counted(connection, SUCCEEDED, count + 1, timeout_s=_TIMEOUT_S)
    began_at = told_at(lab.log_of(worker), "task.claimed", key="task_id")
    if missing := created_at.keys() - began_at.keys():
        raise LoadFailed(f"the worker's log lacks {len(missing)} tasks: the machine is overloaded")
    return [
        (began_at[task_id] + _A_MILLISECOND_S - at) * 1000 for task_id, at in created_at.items()
    ]


class _Client:
    """One connection that is kept."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_S)

    def create(self) -> str:
        """Create a task and return its id."""
        self._connection.request("POST", "/tasks", _BODY, _JSON)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != http.client.CREATED:
            raise LoadFailed(f"POST /tasks answered {answer.status}: {body[:200]!r}")
        task_id: str = json.loads(body)["id"]
        return task_id
