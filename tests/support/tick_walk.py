"""Cron expressions to try, and what their ticks are by walking over every minute: slow, and plain to read.

It shares no code with the product but the zones' data: a cron expression is made together with the sets of numbers
that it matches, so that nothing has to read it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from taskmill.domain.schedules.spec import Fold

MINUTE = timedelta(minutes=1)
# No local time has come again after a longer time since 2000.
LONGEST_FOLD = timedelta(hours=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """An expression of five fields, and the numbers that each matches."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    needs_both: bool
    """Whether both day and weekday must match; else one of them is enough."""

    def matches(self, wall: datetime) -> bool:
        if wall.minute not in self.minutes or wall.hour not in self.hours:
            return False
        day, weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        is_day = (day and weekday) if self.needs_both else (day or weekday)
        return is_day and wall.month in self.months


@dataclass(frozen=True, slots=True)
class Field:
    """A field as text, and its numbers."""

    text: str
    numbers: frozenset[int]


@st.composite
def fields(draw: st.DrawFn, low: int, high: int) -> Field:
    kind = draw(st.sampled_from(["*", "*/", "list", "range", "one"]))
    number = st.integers(low, high)
    if kind == "*":
        return Field("*", frozenset(range(low, high + 1)))
    if kind == "*/":
        step = draw(st.integers(1, high))
        return Field(f"*/{step}", frozenset(range(low, high + 1, step)))
    if kind == "list":
        chosen = draw(st.sets(number, min_size=2, max_size=4))
        return Field(",".join(map(str, sorted(chosen))), frozenset(chosen))
    first = draw(number)
    last = draw(st.integers(first, high)) if kind == "range" else first
    text = f"{first}-{last}" if kind == "range" else str(first)
    return Field(text, frozenset(range(first, last + 1)))


@st.composite
def crons(draw: st.DrawFn, *, hours: st.SearchStrategy[Field] | None = None) -> Cron:
    """Expressions that match on most days, so that clock changes matter."""
    minute = draw(fields(0, 59))
    hour = draw(hours or st.one_of(fields(0, 3), fields(0, 23)))
    if hour.text.startswith("*"):  # of 0 to 3, written as if it were of all hours
        hour = Field(",".join(map(str, sorted(hour.numbers))), hour.numbers)
    every_day = Field("*", frozenset(range(1, 32)))
    every_weekday = Field("*", frozenset(range(7)))
    day = draw(st.one_of(st.just(every_day), st.just(every_day), fields(1, 31)))
    weekday = draw(st.one_of(st.just(every_weekday), st.just(every_weekday), fields(0, 6)))
    return Cron(
        text=f"{minute.text} {hour.text} {day.text} * {weekday.text}",
        minutes=minute.numbers,
        hours=hour.numbers,
        days=day.numbers,
        months=frozenset(range(1, 13)),
        weekdays=weekday.numbers,
        needs_both=day.text.startswith("*") or weekday.text.startswith("*"),
    )


class Walk:
    """All minutes of a zone in [start, end), with their local times, and some more on both sides."""

    def __init__(self, zone: ZoneInfo, start: datetime, end: datetime) -> None:
        self.start, self.end = start, end
        self._last: tuple[Cron, list[tuple[datetime, datetime, bool]]] | None = None
        self.minutes: list[tuple[datetime, datetime]] = []
        self.first: dict[datetime, datetime] = {}
        self.last: dict[datetime, datetime] = {}
        moment = start - LONGEST_FOLD
        while moment < end + LONGEST_FOLD:
            wall = moment.astimezone(zone).replace(tzinfo=None, fold=0)
            self.minutes.append((moment, wall))
            self.first.setdefault(wall, moment)
            self.last[wall] = moment
            moment += MINUTE

    def ticks(self, cron: Cron, fold: Fold) -> list[tuple[datetime, bool]]:
        """Return the ticks, and of each whether it stands for times in a gap before it."""
        names_hours = len(cron.hours) < 24
        found = []
        for at, wall, is_gap in self._matching(cron):
            counts = not names_hours or is_gap or self._counts(at, wall, fold)
            if counts and (names_hours or not is_gap) and self.start <= at < self.end:
                found.append((at, is_gap))
        return found

    def _matching(self, cron: Cron) -> list[tuple[datetime, datetime, bool]]:
        """Return the minutes that match, and those after a gap in which one would have matched."""
        if self._last is None or self._last[0] is not cron:
            self._last = cron, list(self._matched(cron))
        return self._last[1]

    def _matched(self, cron: Cron) -> Iterator[tuple[datetime, datetime, bool]]:
        _, before = self.minutes[0]
        for at, wall in self.minutes[1:]:
            if cron.matches(wall):
                yield at, wall, False
            elif wall - before > MINUTE and any(map(cron.matches, _between(before, wall))):
                yield at, wall, True
            before = wall

    def _counts(self, at: datetime, wall: datetime, fold: Fold) -> bool:
        if fold is Fold.FIRST:
            return self.first[wall] == at
        return fold is Fold.BOTH or self.last[wall] == at


def _between(before: datetime, after: datetime) -> Iterator[datetime]:
    """Yield the minutes that are left out between two; none if they follow each other, or go back."""
    wall = before + MINUTE
    while wall < after:
        yield wall
        wall += MINUTE


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)
