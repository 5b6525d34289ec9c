"""How well a schedule does: how often it makes tasks beside how often it was to, and what needs attention.

It reads nothing: the caller has the schedule and its latest fires.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from taskmill.domain.fires import Fire, FireCause, FireOutcome, StoredSchedule
from taskmill.domain.schedules.missed import ON_TIME

FEWEST_JUDGED: Final = 3
"""So many ticks are needed to say how often a schedule makes tasks."""

_TOLERATED: Final = 0.05
# The owner asked for these to make none, or they are to make one yet.
_NOT_COUNTED: Final = frozenset({FireOutcome.SKIPPED_PAUSED, FireOutcome.SKIPPED_GAP})
_MADE: Final = frozenset({FireOutcome.CREATED, FireOutcome.HELD})


class ScheduleTrouble(StrEnum):
    """What needs attention about a schedule, the worst first.

    Request: what SQL has asked for was refused. Unreadable: a later release has stored it. Late: nothing fires it.
    Refused: its latest tick made no task, as that was refused. Slow: it makes tasks less often than asked, and its
    latest one was not refused.
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
    """Return what needs attention about a schedule, given its latest fires; while it is paused only a request."""
    request = schedule.request
    of_request = request is not None and request.problem is not None
    if schedule.paused_at is not None or not schedule.revision:
        return (ScheduleTrouble.REQUEST,) if of_request else ()
    last, found = latest_tick(fires), cadence(schedule, fires)
    is_current = last is not None and last.tick > schedule.updated_at
    is_refused = is_current and last is not None and last.outcome is FireOutcome.REFUSED
    holds = {
        ScheduleTrouble.REQUEST: of_request,
        ScheduleTrouble.UNREADABLE: not is_readable,
        ScheduleTrouble.LATE: _is_late(schedule),
        ScheduleTrouble.REFUSED: is_refused,
        ScheduleTrouble.SLOW: found is not None and found.is_slow and not is_refused,
    }
    return tuple(trouble for trouble, is_so in holds.items() if is_so)


def _is_late(schedule: StoredSchedule) -> bool:
    return schedule.next_at is not None and schedule.moment - schedule.next_at > ON_TIME
