"""What is not allowed in a schedule's spec, beyond the form of its fields. It raises nothing."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Final

from taskmill.domain.errors import Violation
from taskmill.domain.schedules.spec import FIRST_TICK, ScheduleSpec
from taskmill.domain.schedules.ticks import ticks_after
from taskmill.domain.schedules.wall_times import NO_DATE, cron_fault, wall_times
from taskmill.domain.schedules.zones import nearest_zone, zone_names

SHORTEST: Final = timedelta(seconds=1)
"""The shortest distance of two ticks."""

CRON_WORDS: Final = (
    "a cron expression: minute 0-59, hour 0-23, day 1-31, month 1-12, weekday 0-7, or a second 0-59 and these; "
    "or @hourly, @daily, @weekly, @monthly or @yearly"
)

_SHOWN_CHARACTERS: Final = 60
_INSTANT: Final = timedelta.resolution


def spec_violations(spec: ScheduleSpec) -> list[Violation]:
    """Return all that is wrong with a spec; `cron` and `zone` may be any text."""
    found = [*_kind(spec), *_zone(spec), *_cron(spec), *_at(spec), *_bounds(spec)]
    return found or [*_never(spec), *_jitter(spec)]


def _given(spec: ScheduleSpec) -> list[str]:
    given = {"cron": spec.cron is not None, "every": spec.every is not None, "at": bool(spec.at)}
    return [name for name, is_given in given.items() if is_given]


def _kind(spec: ScheduleSpec) -> Iterator[Violation]:
    given = _given(spec)
    if not given:
        yield Violation(pointer="", expected="one of cron, every and at", got="none of them")
    for name in given[1:]:
        expected, got = "only one of cron, every and at", " and ".join(given)
        yield Violation(pointer=f"/{name}", expected=expected, got=got)
    if spec.anchor is not None and spec.every is None:
        yield Violation(pointer="/anchor", expected="no anchor without every", got="one")


def _zone(spec: ScheduleSpec) -> Iterator[Violation]:
    if spec.zone not in zone_names():
        near = nearest_zone(spec.zone)
        hint = "" if near is None else f' (did you mean "{near}"?)'
        expected = "the IANA name of a time zone, such as Europe/Berlin"
        yield Violation(pointer="/zone", expected=expected, got=_quoted(spec.zone) + hint)


def _cron(spec: ScheduleSpec) -> Iterator[Violation]:
    fault = None if spec.cron is None else cron_fault(spec.cron)
    if spec.cron is not None and fault is not None:
        expected = "one that matches a date" if fault == NO_DATE else CRON_WORDS
        got = f"{_quoted(spec.cron)}: {fault}"
        yield Violation(pointer="/cron", expected=expected, got=got)


def _at(spec: ScheduleSpec) -> Iterator[Violation]:
    for number, (before, after) in enumerate(pairwise(spec.at), start=1):
        if after - before < SHORTEST:
            got = f"{after.isoformat()} after {before.isoformat()}"
            yield Violation(
                pointer=f"/at/{number}", expected="times a second or more apart, ascending", got=got
            )


def _bounds(spec: ScheduleSpec) -> Iterator[Violation]:
    if spec.every is not None and spec.every < SHORTEST:
        yield Violation(pointer="/every", expected="a second or more", got=f"{spec.every}")
    start, end = spec.starts_at, spec.ends_at
    if start is not None and end is not None and end <= start:
        yield Violation(pointer="/ends_at", expected="a time after starts_at", got=end.isoformat())


def _never(spec: ScheduleSpec) -> Iterator[Violation]:
    ticks = ticks_after(spec, FIRST_TICK - _INSTANT)
    if all(tick.skipped_gap for tick in ticks):
        (name,) = _given(spec)
        expected = "a tick from starts_at on and before ends_at"
        yield Violation(pointer=f"/{name}", expected=expected, got="none")


def _jitter(spec: ScheduleSpec) -> Iterator[Violation]:
    distance = shortest_distance(spec) if spec.jitter_s else None
    if distance is not None and spec.jitter_s >= distance.total_seconds():
        expected = f"less than the shortest distance of two ticks, {distance.total_seconds():,g} s"
        yield Violation(pointer="/jitter_s", expected=expected, got=f"{spec.jitter_s:,g}")


def shortest_distance(spec: ScheduleSpec) -> timedelta | None:
    """Return the shortest time between two ticks on days without a clock change; None if there is only one."""
    if spec.cron is not None:
        return wall_times(spec.cron).shortest_distance()
    if spec.every is not None:
        return spec.every
    return min((after - before for before, after in pairwise(spec.at)), default=None)


def _quoted(text: str) -> str:
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return f'the string "{shown}"'
