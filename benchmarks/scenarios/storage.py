"""The three statements of a task's life by themselves, on one connection: create, claim, end.

Rows a second by the size of the batch, in a database as after the first start and in one with the most
partitions. For information only: it shows which statement to examine when a drain is slow.
"""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

from benchmarks.figures import Figure
from benchmarks.lab import Lab
from benchmarks.producing import Producer, producing
from benchmarks.programs import ProgramFailed
from benchmarks.scenarios.noop_drain import NOOP
from taskmill.domain import identity
from taskmill.domain.lifecycle import AttemptFacts, Succeeded
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import Fence, TaskDraft
from taskmill.storage import claims, leases, partitions, tasks
from taskmill.storage.claims import AttemptEnd, Bucket, BucketStart, TakenTask
from taskmill.storage.database import Database
from taskmill.storage.leases import WorkerProfile
from taskmill.storage.tasks import NewTask
from taskmill.worker.ends import decided

TITLE = "create, claim and end statements on one connection, by batch size"

_BATCHES = ((1, 500), (10, 300), (100, 100), (500, 40))
_BUCKET = Bucket(queue="default", type="emulate", priority=4)
_WORKER = "benchmark"
_LEASE_S = 300.0
_LATENESS = timedelta(seconds=1)


async def run(lab: Lab) -> list[Figure]:
    return [
        *await _measure(lab, "6 partitions", weeks=6),
        *await _measure(lab, "60 partitions", weeks=partitions.MOST_ATTACHED),
    ]


async def _measure(lab: Lab, title: str, *, weeks: int) -> list[Figure]:
    rates: dict[str, list[float]] = {}
    async with lab.database() as url, producing(url) as producer:
        await _make_partitions(producer, weeks)
        await _live(producer, size=10, times=10)  # plans are made and caches filled
        for _ in range(lab.rounds):
            for size, times in _BATCHES:
                measured = await _live(producer, size, max(times // (5 if lab.is_short else 1), 3))
                for statement, rate in measured.items():
                    rates.setdefault(f"{statement}, k = {size}, {title}", []).append(rate)
    print(f"  {title}: measured", flush=True)
    return [Figure(name=name, unit="rows/s", ours=ours) for name, ours in rates.items()]


async def _make_partitions(producer: Producer, weeks: int) -> None:
    moment = producer.process.clock.now()
    while len(await partitions.attached(producer.process.database)) < weeks:
        moment -= timedelta(weeks=1)
        await partitions.ensure(producer.process.database, moment)


async def _live(producer: Producer, size: int, times: int) -> dict[str, float]:
    """Create, claim and end `times` batches of `size`, one statement at a time; return rows a second."""
    database, lease = producer.process.database, await _open_lease(producer)
    batches = [_new_tasks(producer, size) for _ in range(times)]
    began = time.perf_counter()
    for batch in batches:
        async with database.hot() as connection:
            await tasks.insert(connection, batch)
    created = time.perf_counter()
    taken = [taken async for taken in _claimed(database, lease, size, times)]
    claimed = time.perf_counter()
    for one in taken:
        await claims.end(database, [_end(task, lease) for task in one], worker=_WORKER)
    ended = time.perf_counter()
    return {
        "create": size * times / (created - began),
        "claim": size * times / (claimed - created),
        "end": size * times / (ended - claimed),
    }


def _new_tasks(producer: Producer, size: int) -> list[NewTask]:
    return [
        NewTask(
            id=task_id,
            created_at=identity.created_at(task_id),
            run_at=identity.created_at(task_id),
            draft=TaskDraft(name="benchmark", payload=NOOP),
            key_expires_at=identity.created_at(task_id),
        )
        for task_id in (producer.process.ids() for _ in range(size))
    ]


async def _claimed(
    database: Database, lease: UUID, size: int, times: int
) -> AsyncIterator[list[TakenTask]]:
    """Claim like the worker's transport, which continues where the last claim ended."""
    start = BucketStart()
    for _ in range(times):
        taken = await claims.take(
            database, lease_id=lease, worker=_WORKER, buckets=[(_BUCKET, start)], limit=size
        )
        if len(taken) != size:
            raise ProgramFailed(f"a claim of {size} took {len(taken)}")
        start = BucketStart(run_at=taken[-1].run_at - _LATENESS)
        yield taken


async def _open_lease(producer: Producer) -> UUID:
    lease = producer.process.ids()
    card = WorkerProfile(name=_WORKER, queues=(), types=("emulate",), slots=1)
    async with producer.process.database.hot() as connection:
        await leases.open_lease(connection, lease, card, ttl_s=_LEASE_S)
    return lease


def _end(taken: TakenTask, lease: UUID) -> AttemptEnd:
    task = taken.task
    fence = Fence(task_id=task.id, lease_id=lease, claim_no=task.claim_no)
    claim = AttemptFacts(
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        losses=task.losses,
        max_losses=task.max_losses,
        retry=RetryPolicy(),
    )
    return decided(fence, Succeeded(), claim, jitter=0)
