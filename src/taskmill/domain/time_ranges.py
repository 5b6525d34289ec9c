"""Windows between two times, which statistics are shown over as over those that end now.

What happened is kept in steps that grow with its age: a range is shown in the shortest steps that are still there,
and that are not too many.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

RETAINED_DAYS: Final = {60: 1, 600: 7, 3_600: 35, 21_600: 100, 86_400: 400}
"""The steps of the roll-up in s, and for how many days their rows are retained: longer than windows read them."""

FAILURE_DAYS: Final = {600: 1, 3_600: 3, 86_400: 40}
"""The same of failures."""

LONGEST: Final = timedelta(days=100)
_MOST_STEPS: Final = 72
# Rows are pruned some time after they are due, never before; a reader must not come too late.
_MARGIN: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRange:
    """A window from `since` until `until`, in steps: both are where one begins. `until` may be in the future."""

    since: datetime
    until: datetime
    step: timedelta

    @classmethod
    def between(
        cls,
        since: datetime,
        until: datetime,
        now: datetime,
        retained_days: Mapping[int, int] = RETAINED_DAYS,
    ) -> "TimeRange":
        """Return the range of whole steps that has both times in it; `since` is before `until`."""
        step = _step(since, until, now, retained_days)
        return cls(since=_floor(since, step), until=_ceiling(until, step), step=step)

    @property
    def length(self) -> timedelta:
        """The time that it covers."""
        return self.until - self.since

    def ranges_since(self, now: datetime) -> list["TimeRange"]:
        """Return ranges that follow each other from the end of this one until `now`, one at least.

        Their steps get longer, each up to where a longer one begins: so they are few, however long ago it ended.
        """
        steps = [timedelta(seconds=one) for one in RETAINED_DAYS]
        found: list[TimeRange] = []
        begin = self.until
        for step, longer in pairwise(steps[steps.index(self.step) :]):
            end = _ceiling(begin, longer)
            if end >= now:
                return [*found, _until_now(begin, now, step)]
            if end > begin:
                found.append(TimeRange(since=begin, until=end, step=step))
            begin = end
        return [*found, _until_now(begin, now, steps[-1])]


def _until_now(since: datetime, now: datetime, step: timedelta) -> TimeRange:
    return TimeRange(since=since, until=max(_ceiling(now, step), since + step), step=step)


def _step(
    since: datetime, until: datetime, now: datetime, retained_days: Mapping[int, int]
) -> timedelta:
    """Return the shortest step that is retained from `since` on and that is not too many; else the longest one."""
    for seconds, days in retained_days.items():
        step = timedelta(seconds=seconds)
        is_there = now - since <= timedelta(days=days) - _MARGIN - step
        if is_there and until - since <= _MOST_STEPS * step:
            return step
    return timedelta(seconds=max(retained_days))


def _floor(moment: datetime, step: timedelta) -> datetime:
    """Return the beginning of the step, as PostgreSQL's `date_bin` from any midnight in UTC does."""
    midnight = datetime(2000, 1, 1, tzinfo=UTC)
    return moment - (moment - midnight) % step


def _ceiling(moment: datetime, step: timedelta) -> datetime:
    """Return the end of the step; the moment itself where one begins."""
    begin = _floor(moment, step)
    return begin if begin == moment else begin + step
