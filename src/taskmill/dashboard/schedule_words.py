"""When a schedule has ticks, and moments of its zone, in the reader's language.

Cron expressions of the usual shapes have texts of their own. Of others the words are English, as commands print
them.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from taskmill.dashboard.texts import DEFAULT
from taskmill.dashboard.wording import Words, utc
from taskmill.domain.schedules.spec import ScheduleSpec
from taskmill.domain.schedules.wall_times import ALIASES, wall_times

_NUMBER: Final = re.compile(r"[0-9]{1,2}", re.ASCII)
_STEP: Final = re.compile(r"\*/([0-9]{1,2})", re.ASCII)
_WORKDAYS: Final = "1-5"
_DAYS_OF_WEEK: Final = 7
_DAY: Final = timedelta(days=1)
_OFFSET: Final = len("+00:00")


class SpecText(NamedTuple):
    """When a schedule has ticks, in words, and their language."""

    words: str
    language: str


def spec_text(words: Words, spec: ScheduleSpec) -> SpecText:
    """Return when a schedule has ticks, without its zone."""
    return SpecText(*_spec_text(words, spec))


def _spec_text(words: Words, spec: ScheduleSpec) -> tuple[str, str]:
    language = words.language
    if spec.cron is not None:
        found = cron_text(words, spec.cron)
        return (wall_times(spec.cron).in_words(), DEFAULT) if found is None else (found, language)
    if spec.every is not None:
        return words.t("spec.every", span=words.span(spec.every.total_seconds())), language
    first, last = (f"{utc(moment)} UTC" for moment in (spec.at[0], spec.at[-1]))
    if len(spec.at) == 1:
        return words.t("spec.once", at=first), language
    return words.t("spec.times", n=len(spec.at), first=first, last=last), language


def cron_text(words: Words, cron: str) -> str | None:
    """Return a cron expression of a usual shape in words; None for others."""
    fields = ALIASES.get(cron.lower(), cron).split()
    if len(fields) != len(_FIELDS):
        return None
    found = _Cron(*fields)
    for shape in _SHAPES:
        if (shown := shape(words, found)) is not None:
            return shown
    return None


class _Cron(NamedTuple):
    minute: str
    hour: str
    day: str
    month: str
    weekday: str


_FIELDS: Final = _Cron._fields
_Shape = Callable[[Words, _Cron], str | None]


def _cadence(words: Words, cron: _Cron) -> str | None:
    """Return the words for one that names no hour and no day."""
    if cron[2:] != ("*", "*", "*"):
        return None
    if cron.hour == "*":
        if cron.minute == "*":
            return words.t("cron.minute")
        if (step := _step(cron.minute, 60)) is not None:
            return words.t("cron.minutes", n=step)
        if _NUMBER.fullmatch(cron.minute):
            return words.t("cron.hour", minute=f"{int(cron.minute):02}")
    if (step := _step(cron.hour, 24)) is not None and _NUMBER.fullmatch(cron.minute):
        return words.t("cron.hours", n=step, minute=f"{int(cron.minute):02}")
    return None


def _step(field: str, whole: int) -> int | None:
    """Return the step of a field such as `*/15`, if it divides the whole hour or day."""
    found = _STEP.fullmatch(field)
    step = 0 if found is None else int(found[1])
    return step if step > 1 and whole % step == 0 else None


def _time_of_day(words: Words, cron: _Cron) -> str | None:
    """Return the words for one that names one time of the day."""
    if not (_NUMBER.fullmatch(cron.minute) and _NUMBER.fullmatch(cron.hour)) or cron.month != "*":
        return None
    at = f"{int(cron.hour):02}:{int(cron.minute):02}"
    if cron.day == cron.weekday == "*":
        return words.t("cron.day", at=at)
    if cron.weekday == "*" and _NUMBER.fullmatch(cron.day):
        return words.t("cron.month", at=at, day=int(cron.day))
    if cron.day != "*":
        return None
    if cron.weekday == _WORKDAYS:
        return words.t("cron.workdays", at=at)
    days = ", ".join(_weekdays(words, cron.weekday.split(",")))
    return words.t("cron.weekdays", at=at, days=days) if days else None


def _weekdays(words: Words, numbers: Sequence[str]) -> Iterator[str]:
    """Yield the names of days that are given by their numbers; none if one is given otherwise."""
    if all(one.isascii() and one.isdigit() and int(one) <= _DAYS_OF_WEEK for one in numbers):
        for one in numbers:
            yield weekday(words, (int(one) - 1) % _DAYS_OF_WEEK)


_SHAPES: Final[Sequence[_Shape]] = (_cadence, _time_of_day)


def weekday(words: Words, number: int) -> str:
    """Return the short name of a day of the week, from Monday, which is 0."""
    return words.t(f"weekday.{number}")


class LocalText(NamedTuple):
    """A moment in a schedule's zone: the day and the time, and what that is ahead of UTC."""

    words: str
    offset: str


def local_text(words: Words, local: datetime) -> LocalText:
    """Return a moment that has its zone, with its day in words when that is near."""
    clock = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    here = words.now.astimezone(local.tzinfo).date()
    near = _NEAR.get(local.date() - here)
    day = words.t(f"day.{near}") if near else f"{weekday(words, local.weekday())} {local:%Y-%m-%d}"
    return LocalText(words.t("day.at", day=day, clock=clock), local.isoformat()[-_OFFSET:])


_NEAR: Final[Mapping[timedelta, str]] = {
    -_DAY: "yesterday",
    timedelta(0): "today",
    _DAY: "tomorrow",
}


def input_time(moment: datetime) -> str:
    """Return a moment as a browser's field for times has it, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
