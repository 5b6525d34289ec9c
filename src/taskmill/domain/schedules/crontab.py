"""Reads a crontab as `crontab -l` prints it, or `/etc/crontab`, whose lines have a user, too.

It runs nothing. What can't be a schedule (`@reboot`, a time that is left to chance) is returned as a problem.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from taskmill.domain.schedules.wall_times import ALIASES, cron_fault
from taskmill.domain.schedules.zones import nearest_zone, zone_names

_SETTING: Final = re.compile(r"""["']?([A-Za-z_][A-Za-z0-9_]*)["']?\s*=\s*(.*)""")
_STDIN: Final = re.compile(r"(?<!\\)%")
_QUOTED: Final = re.compile(r"""(["'])(.*)\1""")
_ZONE: Final = "CRON_TZ"
_FIELDS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CrontabEntry:
    """A line that has a time and a command.

    `zone` is that of `CRON_TZ`, if it was set before; `stdin` what the command reads, given after a `%`.
    """

    line: int
    cron: str
    command: str
    stdin: str | None = None
    user: str | None = None
    zone: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrontabProblem:
    """A line that can't be a schedule, and why."""

    line: int
    text: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Crontab:
    """What a crontab has, in the order of its lines, counted from 1."""

    entries: tuple[CrontabEntry, ...]
    problems: tuple[CrontabProblem, ...]


def parse_crontab(text: str, *, has_users: bool = False) -> Crontab:
    """Read a crontab; `has_users` says that each command has the name of a user before it."""
    read = tuple(_lines(text, has_users=has_users))
    return Crontab(
        entries=tuple(one for one in read if isinstance(one, CrontabEntry)),
        problems=tuple(one for one in read if isinstance(one, CrontabProblem)),
    )


def _lines(text: str, *, has_users: bool) -> Iterator[CrontabEntry | CrontabProblem]:
    environment: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()  # noqa: PLW2901 - the same line, without its margins
        if not line or line.startswith("#"):
            continue
        if setting := _SETTING.fullmatch(line):
            environment = {**environment, setting[1]: _unquoted(setting[2].strip())}
            continue
        try:
            yield _entry(number, line, environment, has_users=has_users)
        except ValueError as error:
            yield CrontabProblem(line=number, text=line, why=str(error))


def _unquoted(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    return quoted[2] if quoted else value


def _entry(number: int, line: str, environment: dict[str, str], *, has_users: bool) -> CrontabEntry:
    """Return the entry of a line. Raises `ValueError` with what is wrong."""
    cron, rest = _split(line, 1 if line.startswith("@") else _FIELDS)
    user, rest = _split(rest, 1) if has_users else (None, rest)
    if not rest:
        raise ValueError("it has no command")
    command, *stdin = (part.replace(r"\%", "%") for part in _STDIN.split(rest))
    return CrontabEntry(
        line=number,
        cron=_checked(cron),
        command=command.strip(),
        stdin="\n".join(stdin) if stdin else None,
        user=user,
        zone=_zone(environment.get(_ZONE)),
        environment={name: value for name, value in environment.items() if name != _ZONE},
    )


def _split(line: str, words: int) -> tuple[str, str]:
    """Return the first words, with single spaces, and the rest."""
    parts = line.split(maxsplit=words)
    return " ".join(parts[:words]), parts[words] if len(parts) > words else ""


def _checked(cron: str) -> str:
    if cron.startswith("@") and cron.lower() not in ALIASES:
        raise ValueError(f"{cron} is no time of a schedule")
    fault = cron_fault(cron)
    if fault is not None:
        raise ValueError(f"its time can't be used: {fault}")
    return cron


def _zone(name: str | None) -> str | None:
    if name is not None and name not in zone_names():
        near = nearest_zone(name)
        hint = "" if near is None else f"; did you mean {near}?"
        raise ValueError(f"there is no time zone {name}{hint}")
    return name
