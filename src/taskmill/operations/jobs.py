"""Jobs in the background that cancel or retry many tasks: start, show and stop them, and continue those of others.

A job is a row of the database, which one process holds at a time, and holds again at each step. If a process ends,
another one goes on where it was: at once if it ended in order, else when its time is over. A job waits through an
outage of the database. It ends when the API key that asked for it does.
"""

import asyncio
from importlib import import_module
from typing import Final
from uuid import UUID, uuid4

import asyncpg

from taskmill.domain import identity
from taskmill.domain.api_keys import KeyState
from taskmill.domain.audit import Actor, AuditAction, AuditOutcome, Target, TargetType
from taskmill.domain.errors import IdempotencyConflict, Unavailable
from taskmill.domain.job_errors import JobLimitReached, JobNotFound
from taskmill.domain.jobs import (
    MOST_OPEN,
    Job,
    JobProblem,
    JobRequest,
    JobState,
    NewJob,
    StartedJob,
)
from taskmill.domain.parts import Part
from taskmill.domain.system import SweepStart
from taskmill.domain.task import IdempotencyKey
from taskmill.domain.visibility import Visibility
from taskmill.observability.logs import get_logger
from taskmill.operations.audit import (
    SWEEP_ACTIONS,
    AuditLog,
    Details,
    current_origin,
    sweep_details,
)
from taskmill.operations.visibility import current_visibility, limited_to
from taskmill.runtime.ids import IdFactory
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.runtime.waiting import wake_on
from taskmill.storage import api_keys, jobs as rows
from taskmill.storage.database import Database

log = get_logger(__name__)

HOLD_S = 30.0
"""How long a job is held without a step: then its process has ended."""
POLL_S = 10.0
"""How often each process looks for jobs that nobody goes on with."""

_MOST_AT_ONCE: Final = 4
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 10.0
_LOWEST_ID: Final = UUID(int=0)
_AWAY: Final = (Unavailable, asyncpg.PostgresConnectionError)


class Jobs:
    """Starts, shows and stops jobs; as a service it goes on with jobs of the database."""

    name = "jobs"

    def __init__(self, database: Database, audit: AuditLog, ids: IdFactory) -> None:
        self.new_id = ids
        self._database = database
        self._audit = audit
        self._holder = uuid4()
        self._held: set[UUID] = set()
        self._woken = asyncio.Event()

    async def start(
        self, job_id: UUID, request: JobRequest, idempotency: IdempotencyKey | None = None
    ) -> StartedJob:
        """Start a job; the same id again returns the existing one, and so does the same idempotency key.

        Raises:
            JobLimitReached: as many jobs go on as may.
            IdempotencyConflict: the key was used for another request.
            Unavailable: the database is away; it may have been started.
        """
        visibility = current_visibility()
        now = await self._database.fetch_value("clock_now")
        new = NewJob(
            id=job_id,
            request=request,
            origin=current_origin(),
            scopes=() if visibility is None else visibility.scopes,
            start=SweepStart(after=_LOWEST_ID, until=identity.lower_bound(now)),
        )
        created = await rows.create(self._database, new, idempotency)
        if created is None:
            return StartedJob(await self._existing(new, idempotency), replayed=True)
        log.info("job.started", job=str(job_id), action=request.action, selected=len(request.ids))
        self._woken.set()
        return StartedJob(created, replayed=False)

    async def _existing(self, new: NewJob, idempotency: IdempotencyKey | None) -> Job:
        """Return the job that a request had started before. Raises `JobLimitReached`, `IdempotencyConflict`."""
        found = await rows.get(self._database, new.id)
        if found is None and idempotency is not None:
            key_id = new.origin.actor.key_id
            of_key = await rows.get_of_key(self._database, key_id, idempotency.key)
            if of_key is not None and of_key[1] != idempotency.request_hash:
                raise IdempotencyConflict(idempotency.key)
            found = of_key and of_key[0]
        if found is None:
            raise JobLimitReached(MOST_OPEN)
        return _required(found, new.id)

    async def get(self, job_id: UUID) -> Job:
        """Return a job; who may see some queues only finds those of the same API key. Raises `JobNotFound`."""
        return _required(await rows.get(self._database, job_id), job_id)

    async def page(self, *, before: UUID | None, limit: int) -> Part[Job]:
        """Return up to `limit` jobs, newest first, from `before` on or from the newest; of those as for `get`."""
        visibility = current_visibility()
        key_id = None if visibility is None else visibility.key.id
        return await rows.page(
            self._database, before=before or rows.LAST_ID, limit=limit, key_id=key_id
        )

    async def stop(self, job_id: UUID) -> Job:
        """Ask a job to stop after its current step, and return it; one that is over stays as it is.

        Raises:
            JobNotFound: there is none, as for `get`.
        """
        target = Target(TargetType.JOB, str(job_id))
        async with self._audit.record(AuditAction.JOB_STOP, target):
            found = await self.get(job_id)
            stopped = await rows.stop(self._database, job_id, _name(current_origin().actor))
        self._woken.set()
        return stopped or await self.get(found.id)

    async def run(self, stop: asyncio.Event) -> None:
        """Go on with jobs until stopped; what is under way ends after its current step."""
        async with asyncio.TaskGroup() as group, wake_on(stop, self._woken.set):
            while not stop.is_set():
                self._woken.clear()
                for job_id in await self._claimed():
                    self._held.add(job_id)
                    group.create_task(self._go_on(job_id, stop))
                await pause(self._woken, POLL_S)

    async def _claimed(self) -> list[UUID]:
        """Return jobs that this process holds from now on."""
        room = _MOST_AT_ONCE - len(self._held)
        if room <= 0:
            return []
        try:
            found = await rows.claim(self._database, self._holder, hold_s=HOLD_S, limit=room)
        except Exception as error:  # noqa: BLE001 - the loop's boundary: logged, tried again
            log.warning("job.unclaimed", error=repr(error))
            return []
        # One whose step takes too long is found again.
        return [job_id for job_id in found if job_id not in self._held]

    async def _go_on(self, job_id: UUID, stop: asyncio.Event) -> None:
        """Do the steps of a job until it is over, another process holds it, or this one stops."""
        try:
            await self._repeat(job_id, stop)
        except JobNotFound:
            log.info("job.lost", job=str(job_id))
        except Exception:
            log.exception("job.failed", job=str(job_id))
            await self._give_up(job_id)
        finally:
            self._held.discard(job_id)
            self._woken.set()

    async def _repeat(self, job_id: UUID, stop: asyncio.Event) -> None:
        await asyncio.to_thread(import_module, "taskmill.operations.job_steps")
        failures = 0
        while not stop.is_set():
            try:
                if await self._is_over(job_id, failures):
                    return
                failures = 0
            except _AWAY as error:
                failures += 1
                log.info("job.delayed", job=str(job_id), error=repr(error))
                await pause(
                    stop, backoff_s(failures, first=_FIRST_PAUSE_S, longest=_LONGEST_PAUSE_S)
                )
        try:
            await rows.release(self._database, job_id, self._holder)
        except _AWAY as error:  # then others go on with it when its time is over
            log.info("job.delayed", job=str(job_id), error=repr(error))

    async def _is_over(self, job_id: UUID, failures: int) -> bool:
        """Do a step, and return whether that was the last one. Raises `JobNotFound`, `Unavailable`."""
        from taskmill.operations import job_steps  # noqa: PLC0415 - see `_repeat`

        job = await rows.hold(self._database, job_id, self._holder, hold_s=HOLD_S)
        if job is None:
            raise JobNotFound(job_id)
        if job.entry_id is None:
            entry_id = await self._begin_entry(job)
            await rows.set_entry(self._database, job_id, self._holder, entry_id)
        if job.is_stopping:
            return await self._end(job_id, JobState.STOPPED)
        is_permitted, visibility = await self._rights(job)
        if not is_permitted:
            return await self._end(job_id, JobState.FAILED, JobProblem.KEY_ENDED)
        with limited_to(visibility):
            state = await job_steps.step(self._database, job, self._holder, failures=failures)
        return state is not None and await self._end(job_id, state)

    async def _rights(self, job: Job) -> tuple[bool, Visibility | None]:
        """Return whether a job may go on, and what limits it: its API key may have ended."""
        key_id = job.origin.actor.key_id
        if key_id is None:
            return True, None
        found = await api_keys.find(self._database, key_id)
        now = await self._database.fetch_value("clock_now")
        if found is None or found.key.state(now) is not KeyState.LIVE:
            return False, None
        return True, Visibility(key=found.key, scopes=job.scopes) if job.scopes else None

    async def _begin_entry(self, job: Job) -> UUID:
        """Record a job in the audit log as one action. Until that has an entry, nothing is done."""
        request = job.request
        details: Details = {"job": job.id}
        if request.ids:
            details["ids"] = list(request.ids)
        else:
            details.update(sweep_details(request.wanted, request.limit, request.pace))
        return await self._audit.begin(SWEEP_ACTIONS[request.action], job.origin, details)

    async def _end(self, job_id: UUID, state: JobState, problem: str | None = None) -> bool:
        """End a job, and return True. Raises `JobNotFound`."""
        job = await rows.end(self._database, job_id, self._holder, state, problem)
        if job is None:
            raise JobNotFound(job_id)
        counts = {"changed": job.changed, "requested": job.requested}
        log.info("job.ended", job=str(job_id), state=state, **counts)
        if job.entry_id is not None:
            outcome = AuditOutcome.FAILED if state is JobState.FAILED else AuditOutcome.DONE
            details: Details = {"state": state, "matched": job.matched, **counts}
            await self._audit.end(job.entry_id, outcome, problem, details)
        return True

    async def _give_up(self, job_id: UUID) -> None:
        """End a job that has failed; if that is not possible, others meet the fault when its time is over."""
        try:
            await self._end(job_id, JobState.FAILED, JobProblem.INTERNAL_ERROR)
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("job.unended", job=str(job_id), error=repr(error))


def _required(job: Job | None, job_id: UUID) -> Job:
    """Return a job if this context may see it. Raises `JobNotFound`."""
    visibility = current_visibility()
    if job is None or (visibility is not None and job.origin.actor.key_id != visibility.key.id):
        raise JobNotFound(job_id)
    return job


def _name(actor: Actor) -> str | None:
    return actor.name or actor.address
