"""The local times that a cron expression matches, whatever the zone.

`cronsim` reads the expression and knows which days match. What is added here is finding times in both directions,
and counting them without walking over each.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final

from cronsim import CronSim, CronSimError

_ANY_TIME: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - local times have no zone
_SECOND: Final = timedelta(seconds=1)
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_HOURS: Final = 24
_DAY_S: Final = _HOURS * _HOUR_S
NO_DATE: Final = "it matches no date"
_FIVE_OR_SIX: Final = (5, 6)
_MONTH: Final = -2
_NEVER: Final = 10**9  # more of any unit than ticks can be apart
_28_YEARS: Final = datetime(2001, 1, 1), datetime(2029, 1, 1)  # noqa: DTZ001 - as above

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""Names that stand for cron expressions."""


@lru_cache(maxsize=1024)
def wall_times(cron: str) -> "WallTimes":
    """Return the times of a cron expression. Raises `cronsim.CronSimError`."""
    return WallTimes(cron)


def cron_fault(cron: str) -> str | None:
    """Return what is wrong with an expression, such as `bad minute` or `NO_DATE`; None if nothing is."""
    try:
        return None if wall_times(cron).matches_some_day() else NO_DATE
    except CronSimError as error:
        fault = str(error)
    return NO_DATE if _is_in_another_month(cron) else fault[:1].lower() + fault[1:]


def _is_in_another_month(cron: str) -> bool:
    """Return whether what can't be read would be a date of another month: the library refuses 31 February."""
    fields = cron.split()
    if len(fields) not in _FIVE_OR_SIX:
        return False
    fields[_MONTH] += ",1"
    try:
        wall_times(" ".join(fields))
    except CronSimError:
        return False
    return True


class WallTimes:
    """The local times (without offset) that match; the times of the day are numbered from 0."""

    __slots__ = ("_hours", "_minutes", "_seconds", "_sim")

    def __init__(self, cron: str) -> None:
        self._sim = CronSim(ALIASES.get(cron.lower(), cron), _ANY_TIME)
        self._hours = sorted(self._sim.hours)
        self._minutes = sorted(self._sim.minutes)
        self._seconds = sorted(self._sim.seconds)

    @property
    def has_every_hour(self) -> bool:
        """Whether all hours match: it asks for a cadence, not for times of the day."""
        return len(self._hours) == _HOURS

    @property
    def per_day(self) -> int:
        """How many times match on a day that matches."""
        return len(self._hours) * len(self._minutes) * len(self._seconds)

    def between(
        self, start: datetime, end: datetime, *, newest_first: bool = False
    ) -> Iterator[datetime]:
        """Yield the times in [start, end)."""
        for day in self._days(start, end, newest_first=newest_first):
            numbers = self._numbers(day, start, end)
            for number in reversed(numbers) if newest_first else numbers:
                yield day + timedelta(seconds=self._second_of_day(number))

    def count(self, start: datetime, end: datetime) -> int:
        """Return how many times are in [start, end). Costs a microsecond for each day."""
        days = self._days(start, end)
        return sum(len(self._numbers(day, start, end)) for day in days)

    def has_any(self, start: datetime, end: datetime) -> bool:
        """Return whether a time is in [start, end)."""
        return next(self.between(start, end), None) is not None

    def in_words(self) -> str:
        """Return when it matches, in English: `at 02:30 every day`."""
        words = self._sim.explain()
        return words[:1].lower() + words[1:]

    def matches_some_day(self) -> bool:
        """Return whether it ever matches: after 28 years dates fall on the same days of the week again."""
        return next(self._days(*_28_YEARS), None) is not None

    def shortest_distance(self) -> timedelta:
        """Return the shortest time between two times that match; there must be a day that matches."""
        distances = [_closest(self._seconds)]
        span = self._seconds[-1] - self._seconds[0]
        distances.append(_MINUTE_S * _closest(self._minutes) - span)
        span += _MINUTE_S * (self._minutes[-1] - self._minutes[0])
        distances.append(_HOUR_S * _closest(self._hours) - span)
        span += _HOUR_S * (self._hours[-1] - self._hours[0])
        days = [day.toordinal() for day in self._days(*_28_YEARS)]
        distances.append(_DAY_S * _closest(days) - span)
        return timedelta(seconds=min(distances))

    def _days(
        self, start: datetime, end: datetime, *, newest_first: bool = False
    ) -> Iterator[datetime]:
        """Yield midnight of each day that matches, and has a part of [start, end)."""
        if start >= end:
            return
        ordinals = range(start.toordinal(), (end - timedelta.resolution).toordinal() + 1)
        for ordinal in reversed(ordinals) if newest_first else ordinals:
            day = date.fromordinal(ordinal)
            if day.month in self._sim.months and self._sim.match_day(day):
                yield datetime.fromordinal(ordinal)

    def _numbers(self, day: datetime, start: datetime, end: datetime) -> range:
        return range(self._before(start - day), self._before(end - day))

    def _before(self, time: timedelta) -> int:
        """Return how many times of the day are before this one."""
        seconds = -(-time // _SECOND)
        if seconds <= 0:
            return 0
        if seconds >= _DAY_S:
            return self.per_day
        return self._before_second(seconds)

    def _before_second(self, second: int) -> int:
        hour, minute, second = (
            second // _HOUR_S,
            second // _MINUTE_S % _MINUTE_S,
            second % _MINUTE_S,
        )
        hours = bisect_left(self._hours, hour)
        minutes = seconds = 0
        if hour in self._sim.hours:
            minutes = bisect_left(self._minutes, minute)
            if minute in self._sim.minutes:
                seconds = bisect_left(self._seconds, second)
        return (hours * len(self._minutes) + minutes) * len(self._seconds) + seconds

    def _second_of_day(self, number: int) -> int:
        number, second = divmod(number, len(self._seconds))
        hour, minute = divmod(number, len(self._minutes))
        return (
            self._hours[hour] * _HOUR_S + self._minutes[minute] * _MINUTE_S + self._seconds[second]
        )


def _closest(values: Sequence[int]) -> int:
    return min((after - before for before, after in pairwise(values)), default=_NEVER)
