"""What `verify` checks of schedules: no tick has two fires, each has one, and no cursor goes back.

A tick has one if a fire has it, or it lies in a stretch of ticks that made no task. Which ticks there were is
computed from the specs that the schedule had. Ticks that were computed with other rules of time zones than those
of this program, or whose fires were deleted for their age, are left out.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from taskmill.domain.checks import Check, Finding
from taskmill.domain.fires import ScheduleRevision
from taskmill.domain.schedules.spec import ScheduleSpec
from taskmill.domain.schedules.ticks import ticks_after
from taskmill.domain.schedules.zones import TZ_VERSION
from taskmill.storage.verification import CheckedSchedule, RepeatedFire, Snapshot
from taskmill.wire.stored_schedules import read_spec

_SCHEDULES_AT_ONCE: Final = 1_000
_MOST_REPEATED: Final = 1_000
# Fires are deleted up to a day before what is computed here.
_MARGIN: Final = timedelta(days=1)


async def schedule_findings(
    snapshot: Snapshot, *, keep_fires: timedelta, since: timedelta | None
) -> list[Finding]:
    """Return what is wrong with schedules and their fires; with `since` only of ticks within that time."""
    found = [_repeated(one) for one in await snapshot.repeated_fires(_MOST_REPEATED)]
    start = await snapshot.moment() - min(keep_fires - _MARGIN, since or keep_fires)
    after = 0
    while True:
        part = await snapshot.schedules(after, _SCHEDULES_AT_ONCE)
        for schedule in part:
            found += _cursor_back(schedule)
            found += await _missing(snapshot, schedule, start)
        if len(part) < _SCHEDULES_AT_ONCE:
            return found
        after = part[-1].id


def _repeated(fire: RepeatedFire) -> Finding:
    what = "a tick" if fire.task_id is None else "the task of a tick"
    return Finding(
        check=Check.SCHEDULE_TICK_TWICE,
        task_id=fire.task_id,
        subject=f"schedule {fire.schedule_id}, tick {fire.tick.isoformat()}",
        expected=f"one fire for {what}",
        found=f"{fire.fires} fires",
    )


def _cursor_back(schedule: CheckedSchedule) -> Iterator[Finding]:
    latest = schedule.latest_tick
    if latest is not None and latest > schedule.cursor_at:
        yield Finding(
            check=Check.SCHEDULE_CURSOR_BACK,
            subject=f"schedule {schedule.name}",
            expected=f"a cursor at {latest.isoformat()} or later, its latest fire",
            found=schedule.cursor_at.isoformat(),
        )


async def _missing(snapshot: Snapshot, schedule: CheckedSchedule, start: datetime) -> list[Finding]:
    revisions = await snapshot.revisions(schedule.id)
    missing = 0
    first: datetime | None = None
    for revision, until in _reigns(revisions, schedule.cursor_at):
        async for tick in _without_fire(snapshot, revision, start, until):
            missing += 1
            first = first or tick
    if first is None:
        return []
    return [
        Finding(
            check=Check.SCHEDULE_TICK_MISSING,
            subject=f"schedule {schedule.name}",
            expected="a fire for each tick",
            found=f"none for {missing}, the first at {first.isoformat()}",
        )
    ]


def _reigns(
    revisions: Sequence[ScheduleRevision], cursor_at: datetime
) -> Iterator[tuple[ScheduleRevision, datetime]]:
    """Yield each revision, and the tick up to which it held."""
    for before, after in pairwise(revisions):
        yield before, after.from_tick
    if revisions:
        yield revisions[-1], cursor_at


async def _without_fire(
    snapshot: Snapshot, revision: ScheduleRevision, start: datetime, until: datetime
) -> AsyncIterator[datetime]:
    """Yield the ticks of a revision that have no fire, from the first fire on where older ones were deleted."""
    spec = _spec(revision)
    after = max(revision.from_tick, start)
    if spec is None or after >= until:
        return
    ticks = (tick.at for tick in ticks_after(spec, after))
    tick = next(ticks, None)
    is_whole = after == revision.from_tick
    async for fire in snapshot.fires(revision.schedule_id, after, until):
        while tick is not None and tick < fire.tick:
            if is_whole:
                yield tick
            tick = next(ticks, None)
        # What was asked for by hand may be in a stretch that began before.
        is_whole = is_whole or not fire.is_by_hand
        end = fire.until_tick or fire.tick
        while tick is not None and tick <= end:
            tick = next(ticks, None)
    while tick is not None and tick <= until and is_whole:
        yield tick
        tick = next(ticks, None)


def _spec(revision: ScheduleRevision) -> ScheduleSpec | None:
    if revision.tz_version != TZ_VERSION:
        return None
    try:
        return read_spec(revision.spec)[0]
    except ValueError:
        return None
