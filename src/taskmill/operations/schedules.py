"""Schedules: storing, replacing, pausing, deleting, listing. `manual_fires` has them fire by hand.

A schedule that is replaced or goes on is first brought up to the present, so that no tick is lost and none is made
anew. Firing what is due is the matter of maintenance.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from taskmill.domain.advance import next_look, settled_until
from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.domain.errors import Unavailable
from taskmill.domain.fires import Fire, FireOutcome, ScheduleContent, StoredSchedule
from taskmill.domain.parts import Part
from taskmill.domain.quotas import Owner
from taskmill.domain.schedule_errors import (
    ScheduleLimitReached,
    ScheduleMismatch,
    ScheduleNotFound,
)
from taskmill.domain.schedules.spec import CatchUp
from taskmill.domain.schedules.zones import TZ_VERSION
from taskmill.observability.logs import get_logger
from taskmill.operations.audit import AuditLog
from taskmill.operations.firing import Fired, Firing
from taskmill.operations.ready_schedules import ScheduleReading
from taskmill.operations.visibility import current_visibility
from taskmill.storage import schedules as rows
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.servers import Connection
from taskmill.wire.schedule_requests import ScheduleDraft
from taskmill.wire.stored_schedules import read_spec, spec_json

log = get_logger(__name__)

MOST_SCHEDULES: Final = 100_000
"""So many schedules there may be."""
# Two may make a schedule of the same name at the same time.
_TRIES: Final = 3

Guard = Callable[[StoredSchedule], None]
"""Raises when the caller may not replace this schedule."""


class Schedules:
    """The schedules of the service. Every method raises `Unavailable` when the database is away."""

    def __init__(self, database: Database, firing: Firing, reading: ScheduleReading) -> None:
        self._database = database
        self._firing = firing
        self._reading = reading
        self._audit = AuditLog(database)

    async def put(
        self,
        name: str,
        draft: ScheduleDraft,
        *,
        owner: Owner | None = None,
        revisions: Collection[int] | None = None,
        guard: Guard = lambda _: None,
    ) -> tuple[StoredSchedule, bool]:
        """Create or replace a schedule, and return it and whether it is new. The same again changes nothing.

        `revisions` are those of which it must have one, None for any and none.

        Raises:
            InvalidInput: its template is not allowed.
            QueueLimitReached, UnservedTypeLimitReached, QuotaExceeded: so its queue or type can't be used.
            ScheduleMismatch: it has another revision, or is not there.
            ScheduleLimitReached: there are too many.
        """
        content = _content(draft, owner)
        await self._reading.check(name, content)
        details = {"queue": content.queue, "type": content.type}
        target = Target(TargetType.SCHEDULE, name)
        async with self._audit.record(AuditAction.SCHEDULE_PUT, target, details=details) as outcome:
            stored, is_new = await self._put(name, content, revisions, guard)
            outcome.update(revision=stored.revision, created=is_new)
        return stored, is_new

    async def get(self, name: str) -> StoredSchedule:
        """Return a schedule. Raises `ScheduleNotFound`."""
        found = await rows.get(self._database, name)
        if found is None:
            raise ScheduleNotFound(name)
        return found

    async def page(self, *, after: int | None, limit: int) -> Part[StoredSchedule]:
        """Return up to `limit` schedules, oldest first, after one or from the first."""
        queues = await self._visible_queues()
        return await rows.page(
            self._database, after=after or rows.FIRST_ID, limit=limit, queues=queues
        )

    async def fires(
        self, name: str, *, before: datetime, outcomes: Collection[FireOutcome], limit: int
    ) -> Part[Fire]:
        """Return what became of ticks before a moment, the latest first. Raises `ScheduleNotFound`."""
        schedule = await self.get(name)
        return await rows.fires(
            self._database, schedule.id, before=before, limit=limit, outcomes=outcomes or None
        )

    async def delete(self, name: str, revisions: Collection[int] | None = None) -> None:
        """Delete a schedule; its fires and tasks stay. Raises `ScheduleNotFound`, `ScheduleMismatch`."""
        target = Target(TargetType.SCHEDULE, name)
        async with self._audit.record(AuditAction.SCHEDULE_DELETE, target):
            if not await rows.delete(self._database, name, revisions):
                raise ScheduleMismatch(name, (await self.get(name)).revision)
        log.info("schedule.deleted", schedule=name)

    async def pause(self, name: str, revisions: Collection[int] | None = None) -> StoredSchedule:
        """Have a schedule make no tasks until it goes on; what is due now is fired before.

        Raises:
            ScheduleNotFound, ScheduleMismatch: as for `delete`.
        """
        target = Target(TargetType.SCHEDULE, name)
        async with self._audit.record(AuditAction.SCHEDULE_PAUSE, target):
            async with self._database.hot_transaction() as connection:
                locked = await _locked(connection, name, revisions)
                fired = await self._settled(connection, locked)
                paused = await rows.set_paused(connection, locked.id, paused=True)
            self._report(fired)
        log.info("schedule.paused", schedule=name)
        return paused

    async def resume(
        self,
        name: str,
        revisions: Collection[int] | None = None,
        *,
        catches_up: bool = False,
    ) -> StoredSchedule:
        """Have a paused schedule go on with its next tick; or first catch up with those that it missed.

        Raises:
            ScheduleNotFound, ScheduleMismatch: as for `delete`.
            Unavailable: it can't catch up yet, so it stays paused; or the database is away.
        """
        target, details = Target(TargetType.SCHEDULE, name), {"catch_up": catches_up}
        async with self._audit.record(AuditAction.SCHEDULE_RESUME, target, details=details):
            async with self._database.hot_transaction() as connection:
                locked = await _locked(connection, name, revisions)
                if catches_up and locked.paused_at is not None:
                    fired = await self._firing.fire(connection, [locked], catch_up=CatchUp.ALL)
                    _settled_until(await _locked(connection, name, None), locked.moment)
                else:
                    fired = await self._settled(connection, locked)
                resumed = await rows.set_paused(connection, locked.id, paused=False)
            self._report(fired)
        log.info("schedule.resumed", schedule=name)
        return resumed

    async def _put(
        self,
        name: str,
        content: ScheduleContent,
        revisions: Collection[int] | None,
        guard: Guard,
    ) -> tuple[StoredSchedule, bool]:
        for _ in range(_TRIES):
            fired = Fired()
            async with self._database.hot_transaction() as connection:
                locked = await rows.lock(connection, name)
                if locked is not None:
                    guard(locked)
                _check_revision(name, locked, revisions)
                if locked is None:
                    stored = await self._created(connection, name, content)
                else:
                    fired = await self._settled(connection, locked)
                    stored = await self._replaced(connection, locked, content)
            self._report(fired)
            if stored is not None:
                log.info("schedule.stored", schedule=name, revision=stored.revision)
                return stored, locked is None
        raise Unavailable(RETRY_AFTER_S, "a schedule that others make")

    async def _created(
        self, connection: Connection, name: str, content: ScheduleContent
    ) -> StoredSchedule | None:
        if await rows.count(connection, MOST_SCHEDULES) >= MOST_SCHEDULES:
            raise ScheduleLimitReached(MOST_SCHEDULES)
        moment = await rows.now(connection)
        spec, _ = read_spec(content.spec)
        return await rows.create(
            connection,
            name,
            content,
            cursor_at=moment,
            next_at=next_look(name, spec, moment),
            tz_version=TZ_VERSION,
        )

    async def _replaced(
        self, connection: Connection, locked: StoredSchedule, content: ScheduleContent
    ) -> StoredSchedule | None:
        """Replace what a schedule says that has been brought up to the moment at which it was locked."""
        name = locked.name
        settled = await rows.lock(connection, name)
        if settled is None or _says(settled, content):
            return settled
        cursor_at = _settled_until(settled, locked.moment)
        spec, _ = read_spec(content.spec)
        return await rows.replace(
            connection,
            settled,
            content,
            cursor_at=cursor_at,
            next_at=next_look(name, spec, cursor_at, held_until=settled.held_until),
            tz_version=TZ_VERSION,
        )

    async def _settled(self, connection: Connection, locked: StoredSchedule) -> Fired:
        """Bring a locked schedule up to the present: fire what is due, or skip what was due during a pause."""
        if locked.paused_at is not None:
            return await self._firing.skip_pause(connection, locked)
        if _is_due(locked):
            return await self._firing.fire(connection, [locked])
        return Fired()

    def _report(self, fired: Fired) -> None:
        self._database.notify_committed()
        self._firing.report(fired)

    async def _visible_queues(self) -> Collection[str] | None:
        visibility = current_visibility()
        if visibility is None:
            return None
        return frozenset(filter(visibility.shows, await rows.queues(self._database)))


async def _locked(
    connection: Connection, name: str, revisions: Collection[int] | None
) -> StoredSchedule:
    locked = await rows.lock(connection, name)
    if locked is None:
        raise ScheduleNotFound(name)
    _check_revision(name, locked, revisions)
    return locked


def _is_due(locked: StoredSchedule) -> bool:
    """Return whether a tick is due: also of one that was left for later, or planned by other rules of its zone."""
    if locked.next_at is not None and locked.next_at <= locked.moment:
        return True
    try:
        spec, _ = read_spec(locked.content.spec)
    except ValueError:
        return False
    due_at = next_look(locked.name, spec, locked.cursor_at)
    return due_at is not None and due_at <= locked.moment


def _check_revision(
    name: str, found: StoredSchedule | None, revisions: Collection[int] | None
) -> None:
    revision = None if found is None else found.revision
    if revisions is not None and revision not in revisions:
        raise ScheduleMismatch(name, revision)


def _content(draft: ScheduleDraft, owner: Owner | None) -> ScheduleContent:
    return ScheduleContent(
        spec=spec_json(draft.spec, draft.policy),
        task=draft.task,
        queue=draft.draft.queue,
        type=draft.draft.type,
        owner=None if owner is None else owner.name,
        owner_quotas=() if owner is None else owner.limits,
    )


def _says(stored: StoredSchedule, content: ScheduleContent) -> bool:
    """Return whether it has nothing to be replaced, so that the same request may come again.

    Its owner's quotas may have changed, or the queue that its type's contract says.
    """
    return stored.content == content


def _settled_until(settled: StoredSchedule, moment: datetime) -> datetime:
    """Return the new cursor. Raises `Unavailable` when what was due could not be fired yet."""
    try:
        spec, _ = read_spec(settled.content.spec)
    except ValueError:
        # A later release stored it: nobody here knows its ticks.
        return max(settled.cursor_at, moment)
    next_at = next_look(settled.name, spec, settled.cursor_at)
    if next_at is not None and next_at <= moment:
        raise Unavailable(RETRY_AFTER_S, "a queue that an open transaction makes")
    return settled_until(settled.name, spec, settled.cursor_at, moment)
