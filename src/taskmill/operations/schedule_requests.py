"""Does what SQL has asked for of schedules: stores, pauses and resumes them, by the rules of a request over HTTP.

What is refused stays, with its problem, until the same name is asked for again or somebody changes the schedule; a
schedule that is there stays as it is then. Nothing that is asked for keeps what others ask for from being done.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import asyncpg

from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.domain.errors import InvalidInput, TaskmillError, Unavailable
from taskmill.domain.fires import ScheduleContent, StoredSchedule
from taskmill.domain.schedule_errors import ScheduleMismatch
from taskmill.domain.schedule_requests import ScheduleRequest
from taskmill.observability.logs import get_logger
from taskmill.operations.audit import AuditLog, Details
from taskmill.operations.contracts import Contracts
from taskmill.operations.firing import Fired, Firing
from taskmill.operations.ready_schedules import ScheduleReading, problem_of
from taskmill.operations.schedule_changes import ScheduleChanges, content_of
from taskmill.storage import faults, schedule_requests as requests, schedules as rows
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.servers import Connection
from taskmill.wire.rules import InputLimits
from taskmill.wire.schedule_requests import ScheduleDraft, to_schedule
from taskmill.wire.strict_json import parse

log = get_logger(__name__)

_NOTHING: Final[Mapping[str, object]] = {}


class _Superseded(TaskmillError):
    """Somebody else has done what is asked for, or asks for something else by now."""


class ScheduleRequests:
    """Does one request after the other; any number of processes may."""

    def __init__(
        self,
        database: Database,
        firing: Firing,
        reading: ScheduleReading,
        contracts: Contracts,
        limits: InputLimits,
    ) -> None:
        self._database = database
        self._firing = firing
        self._reading = reading
        self._contracts = contracts
        self._limits = limits
        self._changes = ScheduleChanges(firing)
        self._audit = AuditLog(database)

    async def do(self, request: ScheduleRequest) -> None:
        """Do what is asked for, or record why it can't be done; it may be left for later. Raises `Unavailable`."""
        try:
            if request.is_to_put:
                await self._put(request)
            else:
                await self._pause(request)
        except Unavailable:
            raise
        except TaskmillError as error:
            await self._refuse(request, error)
        except asyncpg.PostgresError as error:
            if not faults.is_item_fault(error):
                raise
            expected = "a schedule that can be stored"
            await self._refuse(request, InvalidInput.at("", expected, faults.message(error)))

    async def _put(self, request: ScheduleRequest) -> None:
        draft = await self._draft(request)
        content = _content(request, draft)
        await self._reading.check(request.name, content)
        details = {"queue": content.queue, "type": content.type}
        async with self._recorded(AuditAction.SCHEDULE_PUT, request, details) as outcome:
            async with self._database.hot_transaction() as connection:
                locked = await _locked(connection, request, content.queue)
                stored, fired = await self._changes.put(connection, request.name, content, locked)
                if stored is None:
                    raise Unavailable(RETRY_AFTER_S, "a schedule that others make")
                if request.paused is not None:
                    stored, more = await self._changes.set_paused(
                        connection, stored, paused=request.paused
                    )
                    fired.add(more)
            self._report(fired)
            outcome.update(revision=stored.revision, created=locked is None)
            log.info("schedule.stored", schedule=request.name, revision=stored.revision)

    async def _draft(self, request: ScheduleRequest) -> ScheduleDraft:
        body = (request.body or "").encode()
        read = partial(_read, body, self._limits)
        return await self._contracts.offload.run_if_large(len(body), read)

    async def _pause(self, request: ScheduleRequest) -> None:
        is_paused = request.paused is not False
        action = AuditAction.SCHEDULE_PAUSE if is_paused else AuditAction.SCHEDULE_RESUME
        async with self._recorded(action, request):
            async with self._database.hot_transaction() as connection:
                locked = await _locked(connection, request, None, only_pause=True)
                fired = Fired()
                if locked is not None:
                    _, fired = await self._changes.set_paused(
                        connection, locked, paused=bool(request.paused)
                    )
            self._report(fired)
            log.info("schedule.paused" if is_paused else "schedule.resumed", schedule=request.name)

    @asynccontextmanager
    async def _recorded(
        self,
        action: AuditAction,
        request: ScheduleRequest,
        details: Mapping[str, object] = _NOTHING,
    ) -> AsyncIterator[Details]:
        """Record in the audit log what is done within; it is left if another process has done it."""
        target = Target(TargetType.SCHEDULE, request.name)
        facts = {"asked_by": request.asked_by, **details}
        async with self._audit.record(action, target, details=facts) as outcome:
            try:
                yield outcome
            except _Superseded:
                outcome["superseded"] = True

    async def _refuse(self, request: ScheduleRequest, error: TaskmillError) -> None:
        if await requests.refuse(self._database, request, problem_of(error)):
            log.warning("schedule.request_refused", schedule=request.name, problem=str(error))

    def _report(self, fired: Fired) -> None:
        self._database.notify_committed()
        self._firing.report(fired)


def _content(request: ScheduleRequest, draft: ScheduleDraft) -> ScheduleContent:
    """Return what is stored, in the queue for which rights were checked: a newer contract may name another one."""
    content = content_of(draft)
    return content if request.queue is None else content._replace(queue=request.queue)


def _read(body: bytes, limits: InputLimits) -> ScheduleDraft:
    return to_schedule(parse(body), limits=limits)


async def _locked(
    connection: Connection, request: ScheduleRequest, queue: str | None, *, only_pause: bool = False
) -> StoredSchedule | None:
    """Lock the schedule, which may not be there, and take the request.

    Raises:
        ScheduleMismatch: it is another one by now, of a queue for which nobody has checked the rights.
    """
    locked = await rows.lock(connection, request.name)
    if not await requests.take(connection, request, only_pause=only_pause):
        raise _Superseded(request.name)
    if locked is not None and locked.content.queue not in {request.replaced_queue, queue}:
        raise ScheduleMismatch(request.name, locked.revision)
    return locked
