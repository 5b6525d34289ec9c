"""Jobs as tests start and drive them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID, uuid4

from taskmill.domain.audit import Actor, ActorKind, Origin
from taskmill.domain.jobs import Job, JobRequest, JobState, NewJob
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Sweep, SweepStart, TaskFilter
from taskmill.operations import job_steps
from taskmill.operations.jobs import Jobs
from taskmill.storage import jobs as rows
from taskmill.storage.database import Database
from tests.support.polling import eventually
from tests.support.stage import Stage

CANCEL: Final = JobRequest(action=Sweep.CANCEL, wanted=TaskFilter(queue="a"))
FAILED: Final = TaskFilter(statuses=frozenset({Status.FAILED}))


def another(stage: Stage) -> Jobs:
    """Return the jobs of another process on the same database."""
    return Jobs(stage.database, stage.service.audit, stage.ids)


async def started(stage: Stage, request: JobRequest) -> Job:
    """Start a job; nothing goes on with it yet."""
    return (await stage.service.jobs.start(stage.ids(), request)).job


async def ended_job(stage: Stage, request: JobRequest) -> Job:
    """Start a job, where a process runs jobs, and wait until it is over."""
    return await over(stage, await started(stage, request))


async def over(stage: Stage, job: Job) -> Job:
    """Wait until a job is over, and return it as it is then."""

    async def probe() -> Job | None:
        found = await stage.service.jobs.get(job.id)
        return found if found.is_over else None

    found = await eventually(probe, "the end of the job")
    assert found is not None
    return found


@asynccontextmanager
async def running(jobs: Jobs) -> AsyncIterator[asyncio.Task[None]]:
    """Run a process's jobs within the block; at its end it stops in order."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(jobs.run(stop))
        try:
            yield task
        finally:
            stop.set()


async def waiting(stage: Stage, count: int, queue: str = "a") -> list[UUID]:
    """Create tasks that wait, and return their ids."""
    return [(await stage.created(queue=queue)).id for _ in range(count)]


async def statuses(stage: Stage, ids: list[UUID]) -> list[Status]:
    """Return the statuses of tasks."""
    return [(await stage.task(one)).status for one in ids]


async def held(stage: Stage, job: Job, holder: UUID) -> Job:
    """Claim a job as a process does, and return it as it is."""
    assert job.id in await rows.claim(stage.database, holder, hold_s=60, limit=10)
    found = await rows.hold(stage.database, job.id, holder, hold_s=60)
    assert found is not None
    return found


async def change_as_a_job(
    database: Database, job_id: UUID, action: Sweep, ids: Sequence[UUID]
) -> None:
    """Change tasks in a step of a job that does nothing else."""
    holder = uuid4()
    new = NewJob(
        id=job_id,
        request=JobRequest(action=action, ids=ids),
        origin=Origin(actor=Actor(kind=ActorKind.MACHINE)),
        scopes=(),
        start=SweepStart(after=UUID(int=0), until=rows.LAST_ID),
    )
    job = await rows.create(database, new)
    assert job is not None
    await rows.claim(database, holder, hold_s=60, limit=1)
    await job_steps.step(database, job, holder)
    await rows.end(database, job.id, holder, JobState.DONE)
