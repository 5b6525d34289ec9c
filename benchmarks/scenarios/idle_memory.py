"""The memory of all processes of `taskmill up`: after the start, and when it has worked and is idle again.

Every role runs, with PostgreSQL and RabbitMQ. The work is of every kind that a day has: bulk and single creates,
tasks that run, lists, searches and pages. What is measured is the proportional set size: a page of memory that
several processes share counts once. It is measured once, which takes ten minutes: it varies by 2 %.
"""

import asyncio
import shutil
from collections.abc import Mapping

import asyncpg
import httpx

from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab
from benchmarks.observing import connected, until_counted
from benchmarks.process_tree import count, memory_mb
from benchmarks.programs import Program, facts_of, running

TITLE = "memory of all processes of `taskmill up`, idle after the start and after work"

_MOST_IDLE_MB, _MOST_AFTER_WORK_MB = 300, 500
_START_S, _TIMEOUT_S = 180.0, 1200.0
_BATCH = 1000
_DRAFT = {"name": "noop", "payload": {"delay_s": 0, "failure_probability": 0}}
_CONNECTIONS = 32
_BATCHES_TO_SINGLES = 10
# Connections that are not used any more are closed within two minutes.
_SETTLE_S = 135.0
_READS = (
    *("/tasks", "/tasks?status=succeeded", "/tasks?name=oo", "/tasks?queue=default", "/stats"),
    *("/queues", "/workers", "/", "/ui/tasks", "/ui/queues", "/openapi.json"),
)
_READERS, _READ_ROUNDS = 4, 5
_WAITING = "SELECT count(*) FROM taskmill.dispatch"

Memory = Mapping[str, float]


async def run(lab: Lab) -> list[Figure]:
    tasks = lab.pick(quick=5_000, short=100_000, full=500_000)
    idle, after_work = await _measure(lab, tasks)
    print(f"  idle {_shown(idle)}; after work {_shown(after_work)}", flush=True)
    return [
        *_figures("idle", idle, _MOST_IDLE_MB),
        *_figures("after work", after_work, _MOST_AFTER_WORK_MB),
    ]


def _figures(when: str, memory: Memory, most_mb: int) -> list[Figure]:
    total = sum(memory.values())
    return [
        Figure(name=f"{when}, all processes", unit="MB", ours=[total], target=at_most(most_mb)),
        *(
            Figure(name=f"{when}, {kind}", unit="MB", ours=[megabytes])
            for kind, megabytes in sorted(memory.items())
        ),
    ]


def _shown(memory: Memory) -> str:
    parts = "; ".join(f"{kind} {megabytes:.0f}" for kind, megabytes in sorted(memory.items()))
    return f"{sum(memory.values()):.0f} MB ({parts})"


async def _measure(lab: Lab, tasks: int) -> tuple[Memory, Memory]:
    data = lab.folder / "up"
    shutil.rmtree(data, ignore_errors=True)
    arguments = ("--port", "0", "--data", str(data), "--broker", "rabbitmq")
    command = ["-m", "taskmill", "up", *arguments]
    async with running("up", command, folder=lab.folder, environment={}, start_s=_START_S) as up:
        settle_s = lab.pick(quick=15.0, short=_SETTLE_S, full=_SETTLE_S)
        await _until_complete(lab)
        await asyncio.sleep(settle_s)
        idle = memory_mb(up.pid)
        print(f"  {count(up.pid)} processes when idle", flush=True)
        async with asyncio.timeout(_TIMEOUT_S):
            await _work(lab, up, tasks)
        print(f"  {count(up.pid)} processes at the end of the work", flush=True)
        await asyncio.sleep(settle_s)
        return idle, memory_mb(up.pid)


async def _until_complete(lab: Lab) -> None:
    """Wait until the broker serves and intake consumes."""
    async with asyncio.timeout(_START_S):
        while facts_of(lab.folder / "up.ready").get("intake") != "ok":  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.2)


async def _work(lab: Lab, up: Program, tasks: int) -> None:
    async with httpx.AsyncClient(base_url=str(up.url), timeout=60, trust_env=False) as client:
        for _ in range(0, tasks, _BATCH):
            (await client.post("/tasks/batch", json=[_DRAFT] * _BATCH)).raise_for_status()
        async with asyncio.TaskGroup() as group:
            for _ in range(_CONNECTIONS):
                group.create_task(_post(client, tasks // _BATCHES_TO_SINGLES // _CONNECTIONS))
        async with asyncio.TaskGroup() as group:
            for _ in range(_READERS):
                group.create_task(_read(client))
    async with connected(str(facts_of(lab.folder / "up.ready")["database_url"])) as connection:
        await _until_ended(connection)


async def _post(client: httpx.AsyncClient, tasks: int) -> None:
    for _ in range(tasks):
        (await client.post("/tasks", json=_DRAFT)).raise_for_status()


async def _read(client: httpx.AsyncClient) -> None:
    for path in _READS * _READ_ROUNDS:
        (await client.get(path)).raise_for_status()


async def _until_ended(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    nothing_waits = f"SELECT (({_WAITING}) = 0)::int"
    await until_counted(connection, nothing_waits, 1, timeout_s=_TIMEOUT_S)
