"""What a push costs over the endpoint's own time: tasks of type `http` with an empty body, one worker.

The endpoint's own time is what the barest client sees: bytes over a socket that stays open. The worker's log
tells how long a task took from its claim until its end was committed; tasks that do nothing tell how much of that
any task takes. All three come one by one, fifty a second, in turns, so that none waits for another. Each push is
held against the two that came right after it: a machine that changes its pace changes all three.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from benchmarks.figures import Figure, at_most, percentile
from benchmarks.lab import Lab
from benchmarks.looking import connected, until_counted
from benchmarks.producing import Producer, producing
from benchmarks.programs import ProgramFailed, running
from benchmarks.scenarios.noop_drain import NOOP, SUCCEEDED
from taskmill.domain.task import TaskDraft

TITLE = "a push of an empty body over the endpoint's own time, 50 a second; and how many in a row"

_PAUSE_S = 0.02
_SETTLE_S = 1.0
_TIMEOUT_S = 120.0
_REQUEST = b"POST / HTTP/1.1\r\nhost: endpoint\r\ncontent-length: 0\r\n\r\n"


async def run(lab: Lab) -> list[Figure]:
    count, many = (100, 1000) if lab.is_short else (500, 10_000)
    rounds: list[list[float]] = []
    rates: list[float] = []
    async with lab.script("benchmarks.push_endpoint") as endpoint:
        if endpoint.url is None:
            raise ProgramFailed("the endpoint did not say where it is")
        for number in range(lab.rounds):
            rounds.append(await _measure_cost(lab, endpoint.url, count))
            rates.append(await _measure_rate(lab, endpoint.url, many))
            p50 = f"p50 over the endpoint {percentile(rounds[-1], 0.5):.2f} ms"
            print(f"  round {number + 1}: {p50}; {rates[-1]:.0f}/s in a row", flush=True)
    p50s, p99s = ([percentile(over, share) for over in rounds] for share in (0.5, 0.99))
    return [
        Figure(name="p50 over the endpoint", unit="ms", ours=p50s, target=at_most(1.0)),
        Figure(name="p99 over the endpoint", unit="ms", ours=p99s),
        Figure(name="pushes in a row", unit="/s", ours=rates),
    ]


async def _measure_cost(lab: Lab, endpoint: str, count: int) -> list[float]:
    """Return for each push the milliseconds that it took more than any task and the endpoint itself do."""
    async with lab.database() as url:
        async with producing(url) as producer, connected(url) as connection, _a_worker(lab, url):
            await asyncio.sleep(_SETTLE_S)
            bare = await _in_turns(producer, endpoint, count)
            await until_counted(connection, SUCCEEDED, 2 * count, timeout_s=_TIMEOUT_S)
        took = _durations(lab.folder / "push-worker.log")
    parts = (took["http"], took["emulate"], bare)
    push, any_task, own = (percentile(part, 0.5) for part in parts)
    print(f"  push {push:.2f} ms, any task {any_task:.2f} ms, endpoint {own:.2f} ms", flush=True)
    return [push - any_task - own for push, any_task, own in zip(*parts, strict=True)]


async def _in_turns(producer: Producer, endpoint: str, count: int) -> list[float]:
    place = urlsplit(endpoint)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    bare_ms = []
    for _ in range(count):
        for draft in (_draft(endpoint), TaskDraft(name="benchmark", payload=NOOP)):
            await producer.creation.create(draft)
            await asyncio.sleep(_PAUSE_S)
        began = time.perf_counter()
        writer.write(_REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        bare_ms.append((time.perf_counter() - began) * 1000)
    writer.close()
    return bare_ms


async def _measure_rate(lab: Lab, endpoint: str, count: int) -> float:
    async with (
        lab.database() as url,
        producing(url) as producer,
        connected(url) as connection,
    ):
        drafts = [_draft(endpoint)] * 1000
        for _ in range(count // 1000):
            await producer.creation.create_all(drafts)
        async with _a_worker(lab, url):
            await until_counted(connection, SUCCEEDED, count, timeout_s=_TIMEOUT_S)
        seconds = await connection.fetchval(
            "SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM taskmill.task"
        )
        return float(count / seconds)


def _draft(endpoint: str) -> TaskDraft:
    return TaskDraft(
        name="benchmark", type="http", payload=orjson.dumps({"url": endpoint}).decode()
    )


@asynccontextmanager
async def _a_worker(lab: Lab, url: str) -> AsyncIterator[None]:
    settings = {
        "TASKMILL_DATABASE_URL": url,
        "TASKMILL_BROKER": "postgres",
        "TASKMILL_OUTBOUND__ALLOW": "127.0.0.1",
        "TASKMILL_OUTBOUND__SIGNING_KEYS": "whsec_" + "a" * 44,
    }
    command = ["-m", "taskmill", "run", "worker"]
    async with running("push-worker", command, folder=lab.folder, environment=settings):
        yield


def _durations(log: Path) -> dict[str, list[float]]:
    """Return how long tasks took, in ms, by their type, in the order in which they came."""
    took: dict[str, list[float]] = {"http": [], "emulate": []}
    for line in log.read_bytes().splitlines():
        told = orjson.loads(line) if line.startswith(b"{") else {}
        if told.get("event") == "task.succeeded":
            took[told["type"]].append(told["duration_ms"])
    return took
