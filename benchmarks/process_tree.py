"""The processor time of a program with all that it has started, by what each process is."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
# What a command line has in it, and what is shown of it; the first that fits counts.
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
    """Return the seconds used so far by a process and what descends from it, by kind; ended children count."""
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
    """Yield each process's id, its parent's, and the time of itself and of the children that it has waited for."""
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and (stat := _read(folder / "stat")):
            # The name, in brackets, may have blanks.
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
        # It has ended meanwhile.
        return ""
