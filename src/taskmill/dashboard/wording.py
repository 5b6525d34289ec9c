"""Formats values for people: times, durations, numbers, ids."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from taskmill.dashboard.texts import grouped, text
from taskmill.domain.error_kinds import title_of

NOTHING: Final = "\N{EN DASH}"
"""Shown where there is no value."""

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_SIZES: Final = (("mib", 1 << 20), ("kib", 1 << 10))
_EXACT_S: Final = 10
_MS: Final = 1000
_WHOLE: Final = 100
_LEAST: Final = 0.1
"""Smaller numbers are shown as less than this."""


def iso(moment: datetime) -> str:
    """Format a time for programs, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(moment: datetime) -> str:
    """Format a time for people, to the second in UTC; scripts show it in the reader's zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def duration_s(length: timedelta) -> float:
    """Return a duration in seconds, at least 0."""
    return max(length.total_seconds(), 0.0)


def short_id(task_id: object) -> str:
    """Return the end of an id, which differs between ids of the same time."""
    return str(task_id)[-8:]


def shortened(content: str, longest: int) -> str:
    """Return the beginning of a long text."""
    return content if len(content) <= longest else content[: longest - 1] + "…"


def is_traceback(message: str) -> bool:
    """Return whether a message is a traceback, which has the error at its end."""
    return message.lstrip().startswith("Traceback")


@dataclass(frozen=True, slots=True)
class Words:
    """Formats values in a language, relative to `now`."""

    language: str
    now: datetime

    def t(self, key: str, **values: object) -> str:
        """Return a text in the language."""
        return text(self.language, key, values)

    def number(self, value: float | None) -> str:
        """Format a number: whole ones with separated thousands, others in three digits at most, from 0.1 on."""
        if value is None:
            return NOTHING
        if isinstance(value, int):
            return grouped(self.language, value)
        if 0 < value < _LEAST:
            return f"<{self.number(_LEAST)}"
        if value >= 100:  # noqa: PLR2004 - three digits
            return grouped(self.language, round(value))
        shown = f"{value:.3g}"
        return shown if self.language == "en" else shown.replace(".", ",")

    def share(self, value: float) -> str:
        """Format a share of 1 in percent; it shows 0 and 100 only when they are exact."""
        percent = value * 100
        if _LEAST <= percent <= _WHOLE - _LEAST:
            percent = round(percent, 1)
        elif _WHOLE - _LEAST < percent < _WHOLE:
            return f">{self.number(_WHOLE - _LEAST)} %"
        return f"{self.number(percent)} %"

    def size(self, count: int) -> str:
        """Format a number of bytes: `120 B`, `1.5 KiB`, `2 MiB`."""
        for unit, size in _SIZES:
            if count >= size:
                return self._unit(round(count / size, 1) if count % size else count // size, unit)
        return self._unit(count, "b")

    def span(self, seconds: float | None) -> str:
        """Format a duration in at most two units: `120 ms`, `4.2 s`, `3 min 20 s`, `2 d 4 h`."""
        if seconds is None:
            return NOTHING
        seconds = max(seconds, 0.0)
        if seconds < 1:
            return self._unit(round(seconds * _MS), "ms")
        if seconds < _EXACT_S:
            return self._unit(round(seconds, 1), "s")
        remaining = round(seconds)
        parts: list[tuple[int, str]] = []
        for unit, size in _UNITS:
            count, remaining = divmod(remaining, size)
            if count or parts:
                parts.append((count, unit))
        return " ".join(self._unit(count, unit) for count, unit in parts[:2] if count)

    def ago(self, moment: datetime) -> str:
        """Format how far away a time is, in one unit."""
        away = (moment - self.now).total_seconds()
        key = "time.in" if away > 0 else "time.ago"
        seconds = abs(away)
        count, unit = next(
            ((int(seconds // size), unit) for unit, size in _UNITS if seconds >= size), (0, "s")
        )
        return text(self.language, key, {"span": self._unit(count, unit)})

    def error(self, error: str) -> str:
        """Format an error, which is JSON text, in one line."""
        found = orjson.loads(error)
        return f"{found.get('type', '')}: {title_of(str(found.get('message', '')))}"

    def since(self, moment: datetime) -> str:
        """Format how long ago a time was."""
        return self.span((self.now - moment).total_seconds())

    def _unit(self, count: float, unit: str) -> str:
        return f"{self.number(count)}\u00a0{text(self.language, f'unit.{unit}', {})}"
