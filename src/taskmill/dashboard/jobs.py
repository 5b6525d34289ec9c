"""Jobs in the background that cancel or retry many tasks for a user of the dashboard.

A job lives in this process and ends with it; what it has done stays done, and a new job continues with the others.
It waits through an outage of the database.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import asyncpg

from taskmill.domain.audit import Origin
from taskmill.domain.errors import Unavailable
from taskmill.domain.system import Pace, Sweep, SweepStart, TaskFilter
from taskmill.domain.visibility import Visibility
from taskmill.observability.logs import get_logger
from taskmill.operations.audit import current_origin, filter_details
from taskmill.operations.service import SWEEP_ACTIONS, TaskService
from taskmill.operations.visibility import current_visibility, limited_to
from taskmill.runtime.ids import IdFactory
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.runtime.waiting import wake_on

log = get_logger(__name__)

MOST_AT_ONCE = 4
MOST_UNTYPED = 1_000
"""A job changes at most so many tasks, unless the user has typed a larger number."""

_MOST_RETAINED = 50
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_RETRY_AFTER_S = 5.0


class TooManyJobs(Unavailable):
    """The limit of running jobs is reached, so no other was started."""

    def __init__(self) -> None:
        super().__init__(_RETRY_AFTER_S, "room for another job")


class JobState(StrEnum):
    """Where a job is."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    STOPPED = "stopped"
    LIMITED = "limited"
    FAILED = "failed"


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """A job and its progress. `expected` is how many tasks matched at first, where that is known.

    Its tasks are those with `ids`, or up to `most` that match `wanted`; it ends as `limited` if there are more.
    While the database is away it is `waiting`. It is recorded as one action, whose `origin` is the request, and
    changes only what the request could see. Tasks that it retries are due as its `pace` says, else at once.
    """

    id: UUID
    origin: Origin
    what: Sweep
    wanted: TaskFilter
    ids: Sequence[UUID] = ()
    most: int
    expected: int | None = None
    visibility: Visibility | None = None
    pace: Pace | None = None
    state: JobState = JobState.RUNNING
    matched: int = 0
    changed: int = 0
    requested: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state not in {JobState.RUNNING, JobState.WAITING}


class Jobs:
    """A service: starts jobs and runs each to its end."""

    name = "dashboard-jobs"

    def __init__(self, service: TaskService, ids: IdFactory) -> None:
        self._service = service
        self._ids = ids
        self._jobs: dict[UUID, Job] = {}
        self._waiting: asyncio.Queue[Job | None] = asyncio.Queue()

    def new_id(self) -> UUID:
        """Return an id for a new job."""
        return self._ids()

    def get(self, job_id: UUID) -> Job | None:
        """Return a job; None when this process does not know it, or no longer.

        Who may see some queues only finds the jobs of the same key.
        """
        job, visibility = self._jobs.get(job_id), current_visibility()
        if job is None or visibility is None:
            return job
        return job if job.origin.actor.key_id == visibility.key.id else None

    def start(
        self,
        job_id: UUID,
        what: Sweep,
        *,
        wanted: TaskFilter | None = None,
        ids: Sequence[UUID] = (),
        most: int = MOST_UNTYPED,
        expected: int | None = None,
        pace: Pace | None = None,
    ) -> Job:
        """Start a job; the same id again returns the existing one.

        Raises:
            TooManyJobs: the limit of running jobs is reached.
        """
        if job_id in self._jobs:
            return self._jobs[job_id]
        if sum(not job.is_over for job in self._jobs.values()) >= MOST_AT_ONCE:
            raise TooManyJobs
        job = Job(
            id=job_id,
            origin=current_origin(),
            what=what,
            wanted=wanted or TaskFilter(),
            ids=ids,
            most=most,
            expected=expected,
            visibility=current_visibility(),
            pace=pace,
        )
        self._jobs[job.id] = job
        self._forget_old()
        self._waiting.put_nowait(job)
        log.info("job.started", job=str(job.id), what=what, selected=len(ids))
        return job

    async def run(self, stop: asyncio.Event) -> None:
        """Run started jobs until stopped; running ones end after their current step."""
        async with asyncio.TaskGroup() as group, wake_on(stop, self._end):
            while (job := await self._waiting.get()) is not None:
                group.create_task(self._run(job))

    def _end(self) -> None:
        for job in self._jobs.values():
            job.stop.set()
        self._waiting.put_nowait(None)

    async def _run(self, job: Job) -> None:
        try:
            with limited_to(job.visibility):
                job.state = await self._recorded(job)
        except Exception:
            job.state = JobState.FAILED
            log.exception("job.failed", job=str(job.id))
            return
        log.info(
            "job.ended",
            job=str(job.id),
            state=job.state,
            changed=job.changed,
            requested=job.requested,
        )

    async def _recorded(self, job: Job) -> JobState:
        """Do it as one action of the audit log. Until that has an entry, nothing is done."""
        details = {"ids": list(job.ids)} if job.ids else filter_details(job.wanted)
        if job.pace is not None:
            details |= {"first_at": job.pace.first_at, "spacing_s": job.pace.spacing_s}
        failures = 0
        while not job.stop.is_set():
            try:
                async with self._service.audit.record(
                    SWEEP_ACTIONS[job.what], details=details, origin=job.origin
                ) as outcome:
                    state = await self._go_through(job)
                    outcome.update(state=state, matched=job.matched)
                    outcome.update(changed=job.changed, requested=job.requested)
                    return state
            except Unavailable as error:
                failures += 1
                await self._wait(job, error, failures)
        return JobState.STOPPED

    async def _go_through(self, job: Job) -> JobState:
        start: SweepStart | None = None
        failures = 0
        while not job.stop.is_set():
            try:
                start = await self._step(job, start)
            except (Unavailable, asyncpg.PostgresConnectionError) as error:
                failures += 1
                await self._wait(job, error, failures)
                continue
            job.state, failures = JobState.RUNNING, 0
            if start is None:
                return JobState.DONE
            if job.matched >= job.most:
                return JobState.LIMITED
        return JobState.STOPPED

    async def _wait(self, job: Job, error: Exception, failures: int) -> None:
        """Wait after a failure, unless the job is stopped."""
        log.info("job.delayed", job=str(job.id), error=repr(error))
        job.state = JobState.WAITING
        await pause(job.stop, backoff_s(failures, first=_FIRST_PAUSE_S, longest=_LONGEST_PAUSE_S))

    async def _step(self, job: Job, start: SweepStart | None) -> SweepStart | None:
        if job.ids:
            step = await self._service.sweep_ids(job.what, job.ids)
        else:
            remaining = job.most - job.matched
            pace = job.pace and job.pace.after(job.changed)
            step = await self._service.sweep_step(
                job.what, job.wanted, start, most=remaining, pace=pace
            )
        job.matched += step.matched
        job.changed += step.changed
        job.requested += step.requested
        return step.next_start

    def _forget_old(self) -> None:
        over = [job_id for job_id, job in self._jobs.items() if job.is_over]
        for job_id in over[: max(len(self._jobs) - _MOST_RETAINED, 0)]:
            del self._jobs[job_id]
