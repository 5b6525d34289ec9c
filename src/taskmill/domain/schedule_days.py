"""What became of a schedule's ticks by day, in its own zone. It reads nothing."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple

from taskmill.domain.fires import FireOutcome, StoredSchedule

DAYS: Final = 30
"""So many days are shown."""

MOST_OF_A_DAY: Final = 100
"""So many fires of a day are counted, the latest; more cost too much."""

SKIPPED: Final = (
    FireOutcome.SKIPPED_OVERLAP,
    FireOutcome.SKIPPED_MISSED,
    FireOutcome.SKIPPED_PAUSED,
    FireOutcome.SKIPPED_GAP,
)
"""The outcomes of ticks that made no task, though none was refused."""

_DAY: Final = timedelta(days=1)


class DayCount(NamedTuple):
    """Fires of one outcome that a day has: `ticks` in all, `failed` whose tasks have failed.

    `since` is when the day begins, `until_tick` the last tick of the longest stretch among them.
    """

    since: datetime
    outcome: FireOutcome
    fires: int
    ticks: int
    failed: int
    until_tick: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDay:
    """A day of a schedule: numbers of ticks by outcome, and of tasks that have failed.

    With `is_more` these are of its latest `MOST_OF_A_DAY` fires. `stretch` is an outcome of ticks in a row that
    began on an earlier day, which has their number.
    """

    day: date
    since: datetime
    until: datetime
    ticks: Mapping[FireOutcome, int] = field(default_factory=dict)
    failed: int = 0
    stretch: FireOutcome | None = None
    is_more: bool = False

    @property
    def created(self) -> int:
        """How many tasks were made that have not failed."""
        return self.ticks.get(FireOutcome.CREATED, 0) - self.failed

    @property
    def skipped(self) -> int:
        """How many ticks made no task."""
        return sum(self.ticks.get(outcome, 0) for outcome in SKIPPED)

    @property
    def refused(self) -> int:
        """How many ticks made no task, as that was refused."""
        return self.ticks.get(FireOutcome.REFUSED, 0)


def day_bounds(zone: tzinfo, moment: datetime) -> list[tuple[date, datetime, datetime]]:
    """Return the days until a moment in a zone, the oldest first, each with its beginning and its end."""
    today = moment.astimezone(zone).date()
    days = [today - _DAY * back for back in reversed(range(DAYS))]
    return [(day, _midnight(zone, day), _midnight(zone, day + _DAY)) for day in days]


def schedule_days(
    schedule: StoredSchedule,
    bounds: Sequence[tuple[date, datetime, datetime]],
    counts: Iterable[DayCount],
) -> list[ScheduleDay]:
    """Return the days of a schedule, the oldest first.

    A stretch of skipped ticks counts on its first day, and marks those until its end; so does a pause. Of what was
    before the first day, only a stretch that reaches into it counts.
    """
    by_day: dict[datetime, list[DayCount]] = defaultdict(list)
    for count in counts:
        by_day[count.since].append(count)
    marks = [(one.since, one.until_tick, one.outcome) for ones in by_day.values() for one in ones]
    if schedule.paused_at is not None:
        marks.append((schedule.paused_at, schedule.moment, FireOutcome.SKIPPED_PAUSED))
    return [_day(bound, by_day.get(bound[1], ()), marks) for bound in bounds]


def _day(
    bound: tuple[date, datetime, datetime],
    counts: Sequence[DayCount],
    marks: Iterable[tuple[datetime, datetime | None, FireOutcome]],
) -> ScheduleDay:
    day, since, until = bound
    reaching = (
        outcome
        for begin, end, outcome in marks
        if end is not None and begin < until and end >= since and begin != since
    )
    return ScheduleDay(
        day=day,
        since=since,
        until=until,
        ticks={count.outcome: count.ticks for count in counts},
        failed=sum(count.failed for count in counts),
        stretch=next(reaching, None),
        is_more=sum(count.fires for count in counts) >= MOST_OF_A_DAY,
    )


def _midnight(zone: tzinfo, day: date) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
