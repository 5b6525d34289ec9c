"""Splits stretches of skipped ticks of a locked schedule, some of which get fires of their own by a backfill.

Afterwards each tick still has one fire, or lies in one stretch.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from taskmill.domain.errors import InvalidInput
from taskmill.domain.fires import Fire, FireCause, ScheduleRevision, StoredSchedule
from taskmill.domain.schedules.spec import ScheduleSpec
from taskmill.domain.skipped_stretches import lies_in, split_stretch
from taskmill.storage import schedules as rows
from taskmill.storage.servers import Connection
from taskmill.wire.stored_schedules import read_spec


class KnownStretch(NamedTuple):
    """A stretch of skipped ticks, and the spec that the schedule had then."""

    fire: Fire
    spec: ScheduleSpec


async def stretches_with(
    connection: Connection,
    schedule: StoredSchedule,
    fires: Iterable[Fire],
    ticks: Sequence[datetime],
) -> list[KnownStretch]:
    """Return those of some fires that are stretches in which one of these ticks, ascending, lies.

    Raises:
        InvalidInput: nobody here knows the ticks of one.
    """
    stretches = [fire for fire in fires if _has_any(fire, ticks)]
    if not stretches:
        return []
    revisions = await rows.revisions(connection, schedule.id)
    return [KnownStretch(fire, _spec_of(fire, revisions)) for fire in stretches]


async def split_stretches(
    connection: Connection, stretches: Sequence[KnownStretch], ticks: Collection[datetime]
) -> list[Fire]:
    """Shorten stretches to what is before these ticks; return what is left after each, which is to be stored."""
    shortened: list[Fire] = []
    rests: list[Fire] = []
    for stretch, spec in stretches:
        # Ticks that an earlier release filled lie in it although they have fires of their own.
        own = await rows.find_fires(
            connection, stretch.schedule_id, stretch.tick, stretch.until_tick or stretch.tick
        )
        taken = [fire.tick for fire in own if _is_own(fire, stretch)]
        for part in split_stretch(stretch, spec, [*ticks, *taken]):
            (shortened if part.tick == stretch.tick else rests).append(part)
    await rows.shorten(connection, shortened)
    return rests


def _has_any(fire: Fire, ticks: Sequence[datetime]) -> bool:
    place = bisect_left(ticks, fire.tick)
    return place < len(ticks) and lies_in(fire, ticks[place])


def _is_own(fire: Fire, stretch: Fire) -> bool:
    """Return whether a fire within a stretch is for a tick, and another one."""
    return fire.tick > stretch.tick and fire.cause is not FireCause.MANUAL


def _spec_of(stretch: Fire, revisions: Sequence[ScheduleRevision]) -> ScheduleSpec:
    """Return the spec that a schedule had in a stretch.

    Raises:
        InvalidInput: it is no longer stored, or a later release has stored it.
    """
    found = [one for one in revisions if one.from_tick < stretch.tick]
    try:
        return read_spec(found[-1].spec)[0]
    except (IndexError, ValueError):
        pass
    expected = "a range without skipped ticks of a spec that this release does not know"
    raise InvalidInput.at("/from", expected, f"those from {stretch.tick} to {stretch.until_tick}")
