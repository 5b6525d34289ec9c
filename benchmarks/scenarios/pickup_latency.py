"""How soon an idle worker takes a task: from the call that creates it to the claim, by PostgreSQL's clock.

Tasks come one by one, fifty a second, so that none waits for another. Information only.
"""

import asyncio
import time

from benchmarks.figures import Figure, percentile
from benchmarks.lab import Lab, connected, producing, until_counted
from benchmarks.peer import SUCCESSFUL, pgqueuer
from benchmarks.scenarios.noop_drain import NOOP, SUCCEEDED
from taskmill.domain.task import TaskDraft

TITLE = "from the call that creates a task to its claim by an idle worker, 50 a second"

_PAUSE_S = 0.02
_SETTLE_S = 1.0
_TIMEOUT_S = 30.0


async def run(lab: Lab) -> list[Figure]:
    count = 100 if lab.is_quick else 400
    sides = {"taskmill": _measure_taskmill, "pgqueuer": _measure_pgqueuer}
    latencies: dict[str, list[list[float]]] = {side: [] for side in sides}
    for number in range(lab.rounds):
        for side in lab.turn(number, *sides):
            measured = await sides[side](lab, count)
            latencies[side].append(measured)
            p50, p99 = percentile(measured, 0.5), percentile(measured, 0.99)
            print(f"  round {number + 1}: {side} p50 {p50:.1f} ms, p99 {p99:.1f} ms", flush=True)
    return [
        Figure(
            name=name,
            unit="ms",
            ours=[percentile(round_, share) for round_ in latencies["taskmill"]],
            against="PgQueuer",
            theirs=[percentile(round_, share) for round_ in latencies["pgqueuer"]],
        )
        for name, share in (("p50", 0.5), ("p99", 0.99))
    ]


async def _measure_taskmill(lab: Lab, count: int) -> list[float]:
    async with (
        lab.database() as url,
        producing(url) as producer,
        connected(url) as connection,
        lab.taskmill("worker", url),
    ):
        await asyncio.sleep(_SETTLE_S)
        asked_at = {}
        for _ in range(count):
            began = time.time()
            created = await producer.creation.create(TaskDraft(name="benchmark", payload=NOOP))
            asked_at[created.task.id] = began
            await asyncio.sleep(_PAUSE_S)
        await until_counted(connection, SUCCEEDED, count, timeout_s=_TIMEOUT_S)
        rows = await connection.fetch("SELECT id, started_at FROM taskmill.task")
        return [(row["started_at"].timestamp() - asked_at[row["id"]]) * 1000 for row in rows]


async def _measure_pgqueuer(lab: Lab, count: int) -> list[float]:
    async with pgqueuer(lab) as (url, queue), connected(url) as connection:
        asked_at = {}
        async with queue.worker():
            await asyncio.sleep(_SETTLE_S)
            for _ in range(count):
                began = time.time()
                (job,) = await queue.enqueue(1)
                asked_at[job] = began
                await asyncio.sleep(_PAUSE_S)
            await until_counted(connection, SUCCESSFUL, count, timeout_s=_TIMEOUT_S)
        return [(at - asked_at[job]) * 1000 for job, at in queue.picks().items()]
