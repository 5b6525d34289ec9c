"""A spec in plain English: `at 02:30 every day, Europe/Moscow`."""

from datetime import UTC, datetime, timedelta
from typing import Final

from taskmill.domain.schedules.spec import ScheduleSpec
from taskmill.domain.schedules.wall_times import wall_times

_UNITS: Final = (
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
    ("second", timedelta(seconds=1)),
)


def in_words(spec: ScheduleSpec) -> str:
    """Return when a schedule has ticks, in one line."""
    if spec.cron is not None:
        return f"{wall_times(spec.cron).in_words()}, {spec.zone}"
    if spec.every is not None:
        anchor = "" if spec.anchor is None else f", counted from {_moment(spec.anchor)}"
        return f"every {_length(spec.every)}{anchor}"
    first, *others = spec.at
    if not others:
        return f"once, at {_moment(first)}"
    return f"{len(spec.at)} times, from {_moment(first)} to {_moment(others[-1])}"


def _length(duration: timedelta) -> str:
    """Return a length of time in the largest unit of which it is a whole number: `90 minutes`, `day`."""
    for name, unit in _UNITS:
        number, rest = divmod(duration, unit)
        if not rest:
            return name if number == 1 else f"{number:,} {name}s"
    return f"{duration.total_seconds():,g} seconds"


def _moment(moment: datetime) -> str:
    seconds = "%Y-%m-%d %H:%M:%S UTC" if moment.second else "%Y-%m-%d %H:%M UTC"
    return moment.astimezone(UTC).strftime(seconds)
