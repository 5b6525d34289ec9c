"""Stores the schedules that an app's code declares, when a worker of it starts.

Which declarations are in force is decided for all of an app's schedules at once, by their digest: those that were
never there before are at once, those that were replaced already only when the caller insists. So an older version
that starts once more in a rolling restart changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import orjson

from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.domain.errors import TaskmillError, Unavailable
from taskmill.domain.fires import ScheduleContent, StoredSchedule
from taskmill.observability.logs import get_logger
from taskmill.operations.audit import AuditLog
from taskmill.operations.firing import Fired, Firing
from taskmill.operations.ready_schedules import ScheduleReading
from taskmill.operations.schedule_changes import ScheduleChanges, content_of
from taskmill.storage import declared_schedules as rows, schedules
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.declared_schedules import Declaration
from taskmill.storage.servers import Connection
from taskmill.wire.schedule_requests import ScheduleDraft

log = get_logger(__name__)

_MOST_REPLACED: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """The schedules that a version of an app's code declares, by name; `worker` is who registers them."""

    app: str
    worker: str
    drafts: Mapping[str, ScheduleDraft]

    @property
    def digest(self) -> str:
        """What is the same for the same schedules."""
        contents = {name: content_of(draft) for name, draft in self.drafts.items()}
        facts = [(name, one.spec, one.task) for name, one in sorted(contents.items())]
        return sha256(orjson.dumps(facts)).hexdigest()


class _Superseded(TaskmillError):
    """Another version of the code declares something else by now."""


class DeclaredSchedules:
    """Stores declarations; any number of workers may at once, and what is stored already is not written again."""

    def __init__(self, database: Database, firing: Firing, reading: ScheduleReading) -> None:
        self._database = database
        self._firing = firing
        self._reading = reading
        self._changes = ScheduleChanges(firing)
        self._audit = AuditLog(database)

    async def register(self, wanted: Declarations, *, insists: bool = False) -> bool:
        """Store what is declared, and pause what the app manages and does not declare any more.

        False, and nothing is done, if it was in force before and was replaced, unless the caller `insists`. A
        schedule that can't be stored, or that is somebody else's, is left out with a warning.

        Raises:
            Unavailable: the database is away; to register again is safe.
        """
        managed = await rows.managed(self._database, wanted.app)
        if not (wanted.drafts or managed):
            return True
        if not await self._comes_into_force(wanted, insists=insists):
            return False
        try:
            for name, draft in wanted.drafts.items():
                await self._declare(wanted, name, draft, is_marked=managed.get(name) is not None)
            for name, undeclared_at in managed.items():
                if name not in wanted.drafts and undeclared_at is None:
                    await self._undeclare(wanted, name)
        except _Superseded:
            log.info("schedule.declarations_replaced", app=wanted.app, worker=wanted.worker)
        return True

    async def _comes_into_force(self, wanted: Declarations, *, insists: bool) -> bool:
        found = await rows.get(self._database, wanted.app)
        if found is not None and found.digest == wanted.digest:
            return True
        async with self._database.hot_transaction() as connection:
            found = await rows.lock(connection, wanted.app, wanted.digest)
            if found.digest == wanted.digest:
                return True
            if wanted.digest in found.replaced and not insists:
                return False
            earlier = [one for one in (*found.replaced, found.digest) if one != wanted.digest]
            now = Declaration(digest=wanted.digest, replaced=earlier[-_MOST_REPLACED:])
            await rows.replace(connection, wanted.app, now)
        log.info("schedule.declarations_changed", app=wanted.app, worker=wanted.worker)
        return True

    async def _declare(
        self, wanted: Declarations, name: str, draft: ScheduleDraft, *, is_marked: bool
    ) -> None:
        content = content_of(draft, managed_by=wanted.app)
        found = await schedules.get(self._database, name)
        if found is not None and found.content.managed_by != wanted.app:
            _report_foreign(wanted, found)
        elif found is None or is_marked or found.content != content:
            try:
                await self._reading.check(name, content)
                await self._put(wanted, name, content)
            except (_Superseded, Unavailable):
                raise
            except TaskmillError as error:
                log.warning(
                    "schedule.not_declared", schedule=name, app=wanted.app, problem=str(error)
                )

    async def _put(self, wanted: Declarations, name: str, content: ScheduleContent) -> None:
        details = {"queue": content.queue, "type": content.type, **_by(wanted)}
        target = Target(TargetType.SCHEDULE, name)
        async with self._audit.record(AuditAction.SCHEDULE_PUT, target, details=details) as outcome:
            async with self._database.hot_transaction() as connection:
                locked = await self._locked(connection, wanted, name)
                if locked is not None and locked.content.managed_by != wanted.app:
                    _report_foreign(wanted, locked)
                    return
                stored, fired = await self._changes.put(connection, name, content, locked)
                if stored is None:
                    raise Unavailable(RETRY_AFTER_S, "a schedule that others make")
                fired.add(await self._declared_again(connection, stored))
            self._report(fired)
            outcome.update(revision=stored.revision, created=locked is None)
        log.info("schedule.stored", schedule=name, revision=stored.revision, app=wanted.app)

    async def _declared_again(self, connection: Connection, stored: StoredSchedule) -> Fired:
        """Have it go on if it was paused because it was not declared; other pauses hold."""
        undeclared_at = await rows.undeclared_at(connection, stored.id)
        if undeclared_at is None:
            return Fired()
        await rows.mark(connection, stored.id, is_undeclared=False)
        if stored.paused_at != undeclared_at:
            return Fired()
        _, fired = await self._changes.resume(connection, stored)
        return fired

    async def _undeclare(self, wanted: Declarations, name: str) -> None:
        target = Target(TargetType.SCHEDULE, name)
        async with self._audit.record(AuditAction.SCHEDULE_PAUSE, target, details=_by(wanted)):
            async with self._database.hot_transaction() as connection:
                locked = await self._locked(connection, wanted, name)
                if locked is None or locked.content.managed_by != wanted.app:
                    return
                fired = Fired()
                if locked.paused_at is None:
                    _, fired = await self._changes.pause(connection, locked)
                await rows.mark(connection, locked.id, is_undeclared=True)
            self._report(fired)
        log.warning("schedule.undeclared", schedule=name, app=wanted.app)

    async def _locked(
        self, connection: Connection, wanted: Declarations, name: str
    ) -> StoredSchedule | None:
        """Lock a schedule, as long as what is wanted is in force. Raises `_Superseded`."""
        found = await rows.lock(connection, wanted.app, wanted.digest)
        if found.digest != wanted.digest:
            raise _Superseded
        return await schedules.lock(connection, name)

    def _report(self, fired: Fired) -> None:
        self._database.notify_committed()
        self._firing.report(fired)


def _by(wanted: Declarations) -> Mapping[str, object]:
    return {"by": wanted.worker, "managed_by": wanted.app}


def _report_foreign(wanted: Declarations, found: StoredSchedule) -> None:
    """Warn of a schedule of that name that somebody else has made: it stays as it is."""
    owner = found.content.managed_by
    problem = (
        "somebody else has made the schedule of this name: rename the type, or delete that one"
        if owner is None
        else f"the app {owner} manages the schedule of this name: rename one of the types"
    )
    log.warning("schedule.not_declared", schedule=found.name, app=wanted.app, problem=problem)
