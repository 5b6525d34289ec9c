"""Schedules: storing, replacing, pausing, deleting, listing. `manual_fires` has them fire by hand.

What a change does is in `schedule_changes`. Firing what is due is the matter of maintenance. What SQL has asked
for, and is not done yet, is shown with the schedules, and dropped by whoever changes one of them.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.domain.errors import Unavailable
from taskmill.domain.fires import FireOutcome, FirePart, ScheduleContent, StoredSchedule
from taskmill.domain.parts import Part
from taskmill.domain.quotas import Owner
from taskmill.domain.schedule_errors import ScheduleMismatch, ScheduleNotFound
from taskmill.domain.schedule_requests import REQUESTED_IDS, ScheduleRequest
from taskmill.observability.logs import get_logger
from taskmill.operations.audit import AuditLog, Details
from taskmill.operations.firing import Fired, Firing
from taskmill.operations.ready_schedules import ScheduleReading
from taskmill.operations.schedule_access import require_access
from taskmill.operations.schedule_changes import (
    ScheduleChanges,
    check_revision,
    content_of,
    locked_schedule,
)
from taskmill.operations.visibility import current_visibility
from taskmill.storage import declared_schedules, schedule_requests, schedules as rows
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.servers import Connection
from taskmill.wire.schedule_requests import ScheduleDraft
from taskmill.wire.stored_schedules import requested_schedule

log = get_logger(__name__)

# Two may make a schedule of the same name at the same time.
_TRIES: Final = 3

Guard = Callable[[StoredSchedule], None]
"""Raises when the caller may not replace this schedule."""


class Schedules:
    """The schedules of the service. Every method raises `Unavailable` when the database is away."""

    def __init__(
        self, database: Database, firing: Firing, reading: ScheduleReading, *, quota: int = 0
    ) -> None:
        """`quota`: how many each API key may have, unless it says otherwise; 0 is any number."""
        self._database = database
        self._firing = firing
        self._reading = reading
        self._changes = ScheduleChanges(firing, quota=quota)
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
            QuotaExceeded: its owner has too many.
            ScheduleMismatch: it has another revision, or is not there.
            ScheduleLimitReached: there are too many.
        """
        content = content_of(draft, owner)
        asked = _asked_for((await schedule_requests.find(self._database, [name])).get(name))
        if asked is not None:
            guard(asked)
        await self._reading.check(name, content)
        details = {"queue": content.queue, "type": content.type}
        target = Target(TargetType.SCHEDULE, name)
        async with self._audit.record(AuditAction.SCHEDULE_PUT, target, details=details) as outcome:
            stored, is_new = await self._put(name, content, revisions, guard, outcome)
            outcome.update(revision=stored.revision, created=is_new)
        return stored, is_new

    async def get(self, name: str) -> StoredSchedule:
        """Return a schedule, or what SQL has asked for under its name. Raises `ScheduleNotFound`."""
        found = await rows.get(self._database, name)
        request = (await schedule_requests.find(self._database, [name])).get(name)
        if found is not None:
            require_access(found)
            return found._replace(request=request, undeclared_at=await self._undeclared_at(found))
        asked = _asked_for(request)
        if asked is None:
            raise ScheduleNotFound(name)
        require_access(asked)
        return asked

    async def page(self, *, after: int | None, limit: int) -> Part[StoredSchedule]:
        """Return up to `limit` schedules, oldest first, after one or from the first.

        Those that SQL has asked for and that are not there come last.
        """
        after = after or rows.FIRST_ID
        if after >= REQUESTED_IDS:
            return await self._requested(after, limit)
        queues = await self._visible_queues()
        page = await rows.page(self._database, after=after, limit=limit, queues=queues)
        names = [one.name for one in page]
        requests = await schedule_requests.find(self._database, names) if names else {}
        managed = [one.id for one in page if one.content.managed_by is not None]
        undeclared = await declared_schedules.find_undeclared(self._database, managed)
        shown = [
            one._replace(request=requests.get(one.name), undeclared_at=undeclared.get(one.id))
            for one in page
        ]
        if page.has_more or len(shown) == limit:
            has_more = page.has_more or bool(await self._requested(REQUESTED_IDS, 1))
            return Part(shown, has_more=has_more)
        rest = await self._requested(REQUESTED_IDS, limit - len(shown))
        return Part([*shown, *rest], has_more=rest.has_more)

    async def fires(
        self, name: str, *, before: datetime, outcomes: Collection[FireOutcome], limit: int
    ) -> FirePart:
        """Return what became of ticks before a moment, the latest first. Raises `ScheduleNotFound`.

        With `outcomes` it may return fewer though there are others, as `next_before` says.
        """
        schedule = await self.get(name)
        return await rows.fires(
            self._database, schedule.id, before=before, limit=limit, outcomes=outcomes or None
        )

    async def delete(self, name: str, revisions: Collection[int] | None = None) -> None:
        """Delete a schedule; its fires and tasks stay. Raises `ScheduleNotFound`, `ScheduleMismatch`."""
        target = Target(TargetType.SCHEDULE, name)
        async with self._audit.record(AuditAction.SCHEDULE_DELETE, target):
            if not await self._delete(name, revisions):
                raise ScheduleMismatch(name, (await self.get(name)).revision)
        log.info("schedule.deleted", schedule=name)

    async def _delete(self, name: str, revisions: Collection[int] | None) -> bool:
        """Delete a schedule, and what SQL has asked for under its name; False when there is neither."""
        async with self._database.hot_transaction() as connection:
            locked = await rows.lock(connection, name)
            request = await schedule_requests.lock(connection, name)
            found = locked or _asked_for(request)
            if found is not None:
                require_access(found)
            is_there = locked is not None
            if is_there and not await rows.delete(connection, name, revisions):
                return False
            if not is_there and revisions is not None:
                return False
            return (
                await schedule_requests.supersede(connection, name, put=True, pause=True)
                or is_there
            )

    async def pause(self, name: str, revisions: Collection[int] | None = None) -> StoredSchedule:
        """Have a schedule make no tasks until it goes on; what is due now is fired before.

        Raises:
            ScheduleNotFound, ScheduleMismatch: as for `delete`.
        """
        target = Target(TargetType.SCHEDULE, name)
        async with self._audit.record(AuditAction.SCHEDULE_PAUSE, target):
            async with self._database.hot_transaction() as connection:
                locked = await locked_schedule(connection, name, revisions)
                paused, fired = await self._changes.pause(connection, locked)
                await schedule_requests.supersede(connection, name, pause=True)
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
                locked = await locked_schedule(connection, name, revisions)
                resumed, fired = await self._changes.resume(
                    connection, locked, catches_up=catches_up
                )
                await schedule_requests.supersede(connection, name, pause=True)
            self._report(fired)
        log.info("schedule.resumed", schedule=name)
        return resumed

    async def _put(
        self,
        name: str,
        content: ScheduleContent,
        revisions: Collection[int] | None,
        guard: Guard,
        outcome: Details,
    ) -> tuple[StoredSchedule, bool]:
        for _ in range(_TRIES):
            async with self._database.hot_transaction() as connection:
                locked = await rows.lock(connection, name)
                request = await schedule_requests.lock(connection, name)
                for found in (locked, _asked_for(request)):
                    if found is not None:
                        guard(found)
                check_revision(name, locked, revisions)
                stored, fired = await self._changes.put(connection, name, content, locked)
                if stored is not None and request is not None:
                    pause = _pause_of(locked or stored, request)
                    stored, more = await self._supersede(connection, stored, pause=pause)
                    fired.add(more)
                    if pause is not None:
                        outcome.update(paused=pause, asked_by=request.asked_by)
            self._report(fired)
            if stored is not None:
                log.info("schedule.stored", schedule=name, revision=stored.revision)
                return stored, locked is None
        raise Unavailable(RETRY_AFTER_S, "a schedule that others make")

    async def _supersede(
        self, connection: Connection, stored: StoredSchedule, *, pause: bool | None
    ) -> tuple[StoredSchedule, Fired]:
        """Drop what SQL has asked to put, and do the pause that it has asked for, if there is one."""
        is_paused = pause is not None
        await schedule_requests.supersede(connection, stored.name, put=True, pause=is_paused)
        if pause is None:
            return stored, Fired()
        return await self._changes.set_paused(connection, stored, paused=pause)

    def _report(self, fired: Fired) -> None:
        self._database.notify_committed()
        self._firing.report(fired)

    async def _undeclared_at(self, found: StoredSchedule) -> datetime | None:
        if found.content.managed_by is None:
            return None
        return (await declared_schedules.find_undeclared(self._database, [found.id])).get(found.id)

    async def _requested(self, after: int, limit: int) -> Part[StoredSchedule]:
        """Return what SQL has asked for and is not there, after an id of `REQUESTED_IDS` on."""
        visibility = current_visibility()
        queues = None
        if visibility is not None:
            queues = visibility.of(await schedule_requests.queues(self._database))
        found = await schedule_requests.page_new(
            self._database, after=after - REQUESTED_IDS, limit=limit + 1, queues=queues
        )
        return Part(map(requested_schedule, found[:limit]), has_more=len(found) > limit)

    async def _visible_queues(self) -> Collection[str] | None:
        visibility = current_visibility()
        if visibility is None:
            return None
        return frozenset(filter(visibility.shows, await rows.queues(self._database)))


def _asked_for(request: ScheduleRequest | None) -> StoredSchedule | None:
    """Return the schedule that SQL has asked for, None if it has asked for none."""
    return None if request is None or request.body is None else requested_schedule(request)


def _pause_of(schedule: StoredSchedule, request: ScheduleRequest) -> bool | None:
    """Return the pause that SQL has asked for of a schedule before it is put; None if there is none.

    One of a schedule of another queue is left to maintenance, which refuses it: nobody has checked the rights.
    """
    is_of_it = (request.replaced_queue or request.queue) == schedule.content.queue
    return request.paused if is_of_it else None
