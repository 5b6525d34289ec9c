"""Changes a schedule in a transaction of the caller: creates, replaces or pauses it, or has it go on.

A schedule that is there is locked by the caller, and first brought up to the present, so that no tick is lost and
none is made anew.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from taskmill.domain.advance import next_look, settled_until
from taskmill.domain.errors import Unavailable
from taskmill.domain.fires import ScheduleContent, StoredSchedule
from taskmill.domain.quotas import Owner, Quota
from taskmill.domain.schedule_errors import (
    ScheduleLimitReached,
    ScheduleMismatch,
    ScheduleNotFound,
)
from taskmill.domain.schedules.spec import CatchUp
from taskmill.domain.schedules.zones import TZ_VERSION
from taskmill.operations.firing import Fired, Firing
from taskmill.operations.quotas import exceeded
from taskmill.operations.schedule_access import require_access
from taskmill.storage import schedules as rows
from taskmill.storage.database import RETRY_AFTER_S
from taskmill.storage.servers import Connection
from taskmill.wire.schedule_requests import ScheduleDraft
from taskmill.wire.stored_schedules import read_spec, spec_json

MOST_SCHEDULES: Final = 100_000
"""So many schedules there may be."""


class ScheduleChanges:
    """What may be done with a schedule. Ticks that fire meanwhile are the caller's to report after its commit."""

    def __init__(self, firing: Firing, *, quota: int = 0) -> None:
        """`quota`: how many each API key may have, unless it says otherwise; 0 is any number."""
        self._firing = firing
        self._quota = quota

    async def put(
        self,
        connection: Connection,
        name: str,
        content: ScheduleContent,
        locked: StoredSchedule | None,
    ) -> tuple[StoredSchedule | None, Fired]:
        """Create a schedule, or replace the locked one; None when others have just created one of that name.

        Raises:
            ScheduleLimitReached: there are too many.
            QuotaExceeded: its owner has too many.
            Unavailable: what is due could not be fired yet.
        """
        if locked is None or locked.content.owner != content.owner:
            await self._check_quota(connection, content)
        if locked is None:
            return await _created(connection, name, content), Fired()
        fired = await self.settle(connection, locked)
        return await _replaced(connection, locked, content), fired

    async def _check_quota(self, connection: Connection, content: ScheduleContent) -> None:
        if content.owner is None:
            return
        most = Owner(content.owner, content.owner_quotas).most(Quota.SCHEDULES, self._quota)
        if most is not None and await rows.count_of(connection, content.owner, most) >= most:
            raise exceeded(Quota.SCHEDULES, most)

    async def pause(
        self, connection: Connection, locked: StoredSchedule
    ) -> tuple[StoredSchedule, Fired]:
        """Have a locked schedule make no tasks until it goes on; what is due now is fired before."""
        fired = await self.settle(connection, locked)
        return await rows.set_paused(connection, locked.id, paused=True), fired

    async def resume(
        self, connection: Connection, locked: StoredSchedule, *, catches_up: bool = False
    ) -> tuple[StoredSchedule, Fired]:
        """Have a locked schedule go on with its next tick; or first catch up with those that it missed.

        Raises:
            Unavailable: it can't catch up yet.
        """
        if catches_up and locked.paused_at is not None:
            fired = await self._firing.fire(connection, [locked], catch_up=CatchUp.ALL)
            _settled_until(await locked_schedule(connection, locked.name), locked.moment)
        else:
            fired = await self.settle(connection, locked)
        return await rows.set_paused(connection, locked.id, paused=False), fired

    async def set_paused(
        self, connection: Connection, locked: StoredSchedule, *, paused: bool
    ) -> tuple[StoredSchedule, Fired]:
        """Pause a locked schedule, or have it go on with its next tick."""
        if paused:
            return await self.pause(connection, locked)
        return await self.resume(connection, locked)

    async def settle(self, connection: Connection, locked: StoredSchedule) -> Fired:
        """Bring a locked schedule up to the present: fire what is due, or skip what was due during a pause."""
        if locked.paused_at is not None:
            return await self._firing.skip_pause(connection, locked)
        if _is_due(locked):
            return await self._firing.fire(connection, [locked])
        return Fired()


async def locked_schedule(
    connection: Connection, name: str, revisions: Collection[int] | None = None
) -> StoredSchedule:
    """Lock a schedule and return it, if it has one of these revisions (None: any).

    Raises:
        ScheduleNotFound, ScopeMissing: there is none with which this context may do something.
        ScheduleMismatch: it has another revision.
    """
    locked = await rows.lock(connection, name)
    if locked is None:
        raise ScheduleNotFound(name)
    require_access(locked)
    check_revision(name, locked, revisions)
    return locked


def check_revision(
    name: str, found: StoredSchedule | None, revisions: Collection[int] | None
) -> None:
    """Check that a schedule has one of these revisions, None for any and none. Raises `ScheduleMismatch`."""
    revision = None if found is None else found.revision
    if revisions is not None and revision not in revisions:
        raise ScheduleMismatch(name, revision)


def content_of(
    draft: ScheduleDraft, owner: Owner | None = None, *, managed_by: str | None = None
) -> ScheduleContent:
    """Return what is stored of a request."""
    return ScheduleContent(
        spec=spec_json(draft.spec, draft.policy),
        task=draft.task,
        queue=draft.draft.queue,
        type=draft.draft.type,
        managed_by=managed_by,
        owner=None if owner is None else owner.name,
        owner_quotas=() if owner is None else owner.limits,
    )


async def _created(
    connection: Connection, name: str, content: ScheduleContent
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
    connection: Connection, locked: StoredSchedule, content: ScheduleContent
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
