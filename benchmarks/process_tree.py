"""The processor time of a program and its descendants, by kind of process."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
# A part of the command line, and the kind that it means; the first match counts.
_KINDS = (
    ("-m taskmill run worker", "worker"),
    ("-m taskmill run", "relay, intake, webhooks"),
    ("-m taskmill up", "API, maintenance"),
    ("beam.smp", "RabbitMQ"),
    ("erl_child_setup", "RabbitMQ"),
    ("epmd", "RabbitMQ"),
    ("rabbitmq", "RabbitMQ"),
    ("inet_gethost", "RabbitMQ"),
    ("postgres", "PostgreSQL"),
)


def used_s(pid: int) -> Mapping[str, float]:
    """Return the seconds used so far by a process and its descendants, by kind; ended children count."""
    used: defaultdict[str, float] = defaultdict(float)
    children: defaultdict[int, list[int]] = defaultdict(list)
    times: dict[int, float] = {}
    for one, parent, seconds in _processes():
        children[parent].append(one)
        times[one] = seconds
    left = [pid]
    while left:
        one = left.pop()
        left += children[one]
        used[_kind(one)] += times.get(one, 0.0)
    return used


def _processes() -> Iterator[tuple[int, int, float]]:
    """Yield each process's id, its parent's, and its time with that of ended children."""
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and (stat := _read(folder / "stat")):
            # The name, in parentheses, may have spaces.
            after_name = stat.rpartition(")")[2].split()
            ticks = sum(map(int, after_name[11:15]))
            yield int(folder.name), int(after_name[1]), ticks / _TICKS


def _kind(pid: int) -> str:
    command = _read(_PROC / str(pid) / "cmdline").replace("\0", " ")
    return next((shown for part, shown in _KINDS if part in command), "others")


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        # The process has ended.
        return ""
