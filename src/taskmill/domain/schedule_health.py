"""How well a schedule does: how often it makes tasks beside how often it was to, and what needs attention.

It reads nothing: the caller has the schedule and its latest fires. The schedule's page and the notices of what
needs attention have these rules, and no others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from taskmill.domain.fires import Fire, FireCause, FireOutcome, StoredSchedule
from taskmill.domain.schedules.missed import ON_TIME

MOST_JUDGED: Final = 40
"""So many of the latest fires say how a schedule does, wherever it is shown."""

FEWEST_JUDGED: Final = 3
"""So many ticks are needed to say how often a schedule makes tasks."""

_TOLERATED: Final = 0.05
# The owner asked for these to make none, or they are to make one yet.
_NOT_COUNTED: Final = frozenset({FireOutcome.SKIPPED_PAUSED, FireOutcome.SKIPPED_GAP})
_MADE: Final = frozenset({FireOutcome.CREATED, FireOutcome.HELD})


class ScheduleTrouble(StrEnum):
    """What needs attention about a schedule, the worst first.

    Request: what SQL has asked for was refused. Late: its tick is due, and nothing fires it. Unreadable: that is
    because a later release has stored it. Refused: its latest tick made no task, as that was refused. Slow: it
    makes tasks less often than asked, and its latest one was not refused.
    """

    REQUEST = "request"
    UNREADABLE = "unreadable"
    LATE = "late"
    REFUSED = "refused"
    SLOW = "slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often a schedule made tasks: of `ticks` ones, on the average `asked` apart, `created` did."""

    ticks: int
    created: int
    asked: timedelta

    @property
    def real(self) -> timedelta | None:
        """The average time between its tasks; None when it made none."""
        return self.asked * self.ticks / self.created if self.created else None

    @property
    def is_slow(self) -> bool:
        """Whether it made tasks less often than asked, beyond a chance tick."""
        return self.created < self.ticks * (1 - _TOLERATED)


def latest_tick(fires: Iterable[Fire]) -> Fire | None:
    """Return what became of the latest tick; fires are the newest first. Those by hand are for no tick."""
    return next((fire for fire in fires if fire.cause is not FireCause.MANUAL), None)


def cadence(schedule: StoredSchedule, fires: Sequence[Fire]) -> Cadence | None:
    """Return how often a schedule made tasks lately, since it was last changed, paused or resumed.

    None when there are too few ticks. A backfill makes the task of a tick long after it.
    """
    counted = [
        fire
        for fire in fires
        if fire.tick > schedule.updated_at
        and fire.cause is not FireCause.MANUAL
        and fire.outcome not in _NOT_COUNTED
    ]
    ticks = sum(fire.ticks for fire in counted)
    if ticks < FEWEST_JUDGED:
        return None
    newest, oldest = counted[0], counted[-1]
    span = (newest.until_tick or newest.tick) - oldest.tick
    created = sum(
        fire.outcome in _MADE and fire.cause is not FireCause.BACKFILL for fire in counted
    )
    return Cadence(ticks=ticks, created=created, asked=span / (ticks - 1))


def troubles(
    schedule: StoredSchedule, fires: Sequence[Fire], *, is_readable: bool
) -> tuple[ScheduleTrouble, ...]:
    """Return what needs attention about a schedule, given its latest fires; while it is paused only a request.

    `is_readable`: this release knows its spec. What became of earlier ticks counts only if nothing is late.
    """
    request = schedule.request
    found = [ScheduleTrouble.REQUEST] if request is not None and request.problem else []
    if schedule.paused_at is not None or not schedule.revision:
        return tuple(found)
    if late_since(schedule) is not None:
        found.append(ScheduleTrouble.LATE if is_readable else ScheduleTrouble.UNREADABLE)
    elif (trouble := _of_ticks(schedule, fires)) is not None:
        found.append(trouble)
    return tuple(found)


def late_since(schedule: StoredSchedule) -> datetime | None:
    """Return since when a tick is due that nothing fires, None if none is for more than a minute."""
    due_at = schedule.postponed_since or schedule.next_at
    return None if due_at is None or schedule.moment - due_at <= ON_TIME else due_at


def _of_ticks(schedule: StoredSchedule, fires: Sequence[Fire]) -> ScheduleTrouble | None:
    last, found = latest_tick(fires), cadence(schedule, fires)
    is_refused = last is not None and last.outcome is FireOutcome.REFUSED
    if is_refused and last is not None and last.tick > schedule.updated_at:
        return ScheduleTrouble.REFUSED
    return ScheduleTrouble.SLOW if found is not None and found.is_slow else None
