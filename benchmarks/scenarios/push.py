"""What a push costs over the endpoint's own time: tasks of type `http` with an empty body, one worker.

The endpoint's own time is what the simplest client measures: bytes over a socket that stays open. The worker's log
has how long a task took from its claim until its end was committed; no-op tasks show how much of that any task
takes. All three come one by one, fifty a second, in turns, so that none waits for another. Each push is compared
with the two right after it, because changes of the machine's pace affect all three.

At fifty a second the machine is idle in between, and each of them wakes it. So the three are also measured in a
row: waiting tasks, one after the other by a worker that runs one at once, and requests likewise. (The worker
claims the next task while it records the end of the last one, so the two share the machine.) Here the figure is
the whole time of a push over the endpoint's own time, including what any task takes. The endpoint responds in 0.02
ms if both ends are on one core, else in 0.09 ms (2026-11-26).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, median_grouped
from urllib.parse import urlsplit

import orjson

from benchmarks.figures import Figure, at_most, percentile
from benchmarks.lab import Lab
from benchmarks.observing import connected, until_counted
from benchmarks.producing import Producer, producing
from benchmarks.programs import ProgramFailed, running
from benchmarks.scenarios.noop_drain import NOOP, SPAN, SUCCEEDED
from taskmill.domain.task import TaskDraft

TITLE = "a push of an empty body over the endpoint's own time, 50 a second and in a row; and a rate"

_PAUSE_S = 0.02
_SETTLE_S = 1.0
_TIMEOUT_S = 120.0
# The resolution of the log.
_LOGGED_MS = 0.1
_ANY = TaskDraft(name="benchmark", payload=NOOP)
_REQUEST = b"POST / HTTP/1.1\r\nhost: endpoint\r\ncontent-length: 0\r\n\r\n"


async def run(lab: Lab) -> list[Figure]:
    count, many = (100, 1000) if lab.is_short else (500, 10_000)
    rounds: list[list[float]] = []
    in_a_row: list[float] = []
    rates: list[float] = []
    async with lab.script("benchmarks.push_endpoint") as endpoint:
        if endpoint.url is None:
            raise ProgramFailed("the endpoint did not report its address")
        for number in range(lab.rounds):
            rounds.append(await _measure_cost(lab, endpoint.url, count))
            in_a_row.append(await _measure_in_a_row(lab, endpoint.url, count))
            rates.append(await _measure_rate(lab, endpoint.url, many))
            costs = f"{percentile(rounds[-1], 0.5):.2f} ms, in a row {in_a_row[-1]:.2f} ms"
            text = f"p50 over the endpoint {costs}; {rates[-1]:.0f}/s when many wait"
            print(f"  round {number + 1}: {text}", flush=True)
    p50s, p99s = ([percentile(over, share) for over in rounds] for share in (0.5, 0.99))
    return [
        Figure(name="p50 over endpoint and any task", unit="ms", ours=p50s, target=at_most(1.0)),
        Figure(name="p99 over endpoint and any task", unit="ms", ours=p99s),
        Figure(
            name="p50 over the endpoint, in a row", unit="ms", ours=in_a_row, target=at_most(1.0)
        ),
        Figure(name="pushes when many wait", unit="/s", ours=rates),
    ]


async def _measure_cost(lab: Lab, endpoint: str, count: int) -> list[float]:
    """Return the milliseconds that each push took above any task and the endpoint."""
    async with lab.database() as url:
        async with producing(url) as producer, connected(url) as connection, _a_worker(lab, url):
            await asyncio.sleep(_SETTLE_S)
            bare = await _alternating(producer, endpoint, count)
            await until_counted(connection, SUCCEEDED, 2 * count, timeout_s=_TIMEOUT_S)
        took = _durations(lab.folder / "push-worker.log")
    parts = (took["http"], took["emulate"], bare)
    push, any_task, own = (percentile(part, 0.5) for part in parts)
    print(f"  push {push:.2f} ms, any task {any_task:.2f} ms, endpoint {own:.2f} ms", flush=True)
    return [push - any_task - own for push, any_task, own in zip(*parts, strict=True)]


async def _alternating(producer: Producer, endpoint: str, count: int) -> list[float]:
    bare_ms = []
    async with _requesting(endpoint) as request:
        for _ in range(count):
            for draft in (_push(endpoint), _ANY):
                await producer.creation.create(draft)
                await asyncio.sleep(_PAUSE_S)
            bare_ms.append(await request())
    return bare_ms


@asynccontextmanager
async def _requesting(endpoint: str) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """Connect to the endpoint; return a function that sends one request and returns its milliseconds."""
    address = urlsplit(endpoint)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)

    async def request() -> float:
        began = time.perf_counter()
        writer.write(_REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        return (time.perf_counter() - began) * 1000

    try:
        yield request
    finally:
        writer.close()


async def _measure_in_a_row(lab: Lab, endpoint: str, count: int) -> float:
    """Return how many milliseconds the median push takes over the median of the endpoint, all without pauses."""
    push = (await _one_by_one(lab, _push(endpoint), count))["http"]
    any_task = (await _one_by_one(lab, _ANY, count))["emulate"]
    async with _requesting(endpoint) as request:
        own = [await request() for _ in range(count)]
    pushed = median_grouped(push, _LOGGED_MS)
    parts = f"push {pushed:.2f} ms, any task {median_grouped(any_task, _LOGGED_MS):.2f} ms"
    print(f"  in a row: {parts}, endpoint {median(own):.2f} ms", flush=True)
    return pushed - median(own)


async def _one_by_one(lab: Lab, draft: TaskDraft, count: int) -> dict[str, list[float]]:
    """Return how long waiting tasks took, with a worker that runs one at once."""
    async with lab.database() as url, connected(url) as connection:
        async with producing(url) as producer:
            await producer.creation.create_all([draft] * count)
        async with _a_worker(lab, url, "--concurrency", "1"):
            await until_counted(connection, SUCCEEDED, count, timeout_s=_TIMEOUT_S)
    return _durations(lab.folder / "push-worker.log")


async def _measure_rate(lab: Lab, endpoint: str, count: int) -> float:
    async with (
        lab.database() as url,
        producing(url) as producer,
        connected(url) as connection,
    ):
        drafts = [_push(endpoint)] * 1000
        for _ in range(count // 1000):
            await producer.creation.create_all(drafts)
        async with _a_worker(lab, url):
            await until_counted(connection, SUCCEEDED, count, timeout_s=_TIMEOUT_S)
        return float(count / await connection.fetchval(SPAN))


def _push(endpoint: str) -> TaskDraft:
    return TaskDraft(
        name="benchmark", type="http", payload=orjson.dumps({"url": endpoint}).decode()
    )


@asynccontextmanager
async def _a_worker(lab: Lab, url: str, *options: str) -> AsyncIterator[None]:
    settings = {
        "TASKMILL_DATABASE_URL": url,
        "TASKMILL_BROKER": "postgres",
        "TASKMILL_OUTBOUND__ALLOW": "127.0.0.1",
        "TASKMILL_OUTBOUND__PUSH_SIGNING_KEYS": "whsec_" + "a" * 44,
    }
    command = ["-m", "taskmill", "run", "worker", *options]
    async with running("push-worker", command, folder=lab.folder, environment=settings):
        yield


def _durations(log: Path) -> dict[str, list[float]]:
    """Return how long tasks took, in ms, by type, in the order of the log."""
    took: dict[str, list[float]] = {"http": [], "emulate": []}
    for line in log.read_bytes().splitlines():
        entry = orjson.loads(line) if line.startswith(b"{") else {}
        if entry.get("event") == "task.succeeded":
            took[entry["type"]].append(entry["duration_ms"])
    return took
