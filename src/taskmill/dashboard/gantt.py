"""Draws the attempts of a task as bars over time, each run on an axis of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

import orjson

from taskmill.domain.course import AttemptCourse, PhaseKind

_WHOLE: Final = 100.0
_THINNEST: Final = 0.4
_MOST_STEPS: Final = 5
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_STEPS: Final = (
    *(digit * size for size in (0.001, 0.01, 0.1) for digit in (1, 2, 5)),
    *(1, 2, 5, 10, 15, 30),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 5, 10, 30, 90)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A phase: where it begins and how wide it is, in percent of the axis."""

    kind: PhaseKind
    start: float
    width: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An attempt and its bars; `error` is the class of the error that ended it."""

    course: AttemptCourse
    bars: Sequence[Bar]
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A line of the axis, and how long after its begin it is; `is_odd` are those that a narrow page leaves out."""

    at: float
    seconds: float
    is_odd: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChart:
    """A run: its attempts in order, and the axis below which they are drawn."""

    run: int
    begin: datetime
    seconds: float
    rows: Sequence[Row]
    ticks: Sequence[Tick]

    @property
    def kind(self) -> PhaseKind:
        """What became of it, or what happens now."""
        return self.rows[-1].course.kind

    @property
    def kinds(self) -> Sequence[PhaseKind]:
        """The kinds of its bars, in a fixed order."""
        found = {bar.kind for row in self.rows for bar in row.bars}
        return [one for one in PhaseKind if one in found]


def run_charts(courses: Sequence[AttemptCourse]) -> list[RunChart]:
    """Return the runs of a task, the latest first."""
    runs = groupby(courses, lambda one: one.run)
    return [_run_chart(run, list(attempts)) for run, attempts in runs][::-1]


def _run_chart(run: int, attempts: Sequence[AttemptCourse]) -> RunChart:
    begin = attempts[0].phases[0].begin
    seconds = (attempts[-1].phases[-1].end - begin).total_seconds()
    rows = [
        Row(course=one, bars=list(_bars(one, begin, seconds)), error=_error_of(one))
        for one in attempts
    ]
    return RunChart(run=run, begin=begin, seconds=seconds, rows=rows, ticks=list(_ticks(seconds)))


def _bars(course: AttemptCourse, begin: datetime, whole_s: float) -> Iterator[Bar]:
    for phase in course.phases:
        start = _share((phase.begin - begin).total_seconds(), whole_s)
        width = max(_share(phase.seconds, whole_s), _THINNEST)
        yield Bar(
            kind=phase.kind,
            start=min(start, _WHOLE - width),
            width=width,
            seconds=phase.seconds,
        )


def _share(seconds: float, whole_s: float) -> float:
    return round(seconds / whole_s * _WHOLE, 3) if whole_s > 0 else 0.0


def _ticks(whole_s: float) -> Iterator[Tick]:
    """Yield lines at whole seconds, minutes and so on, at most six."""
    step = next((one for one in _STEPS if whole_s / one <= _MOST_STEPS), whole_s / _MOST_STEPS)
    for number in range(_MOST_STEPS + 1):
        at = number * step
        if at <= whole_s:
            yield Tick(at=_share(at, whole_s), seconds=at, is_odd=number % 2 == 1)


def _error_of(course: AttemptCourse) -> str | None:
    if course.end is None or course.end.error is None:
        return None
    return str(orjson.loads(course.end.error).get("type", ""))
