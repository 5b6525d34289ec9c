"""The processor time and the memory of a program and its descendants, by kind of process."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

# Of each kind of process, seconds, or megabytes.
Used = Mapping[str, float]

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
# A part of the command line, and the kind that it means; the first match counts.
_KINDS = (
    ("taskmill run worker", "worker"),
    ("taskmill run", "relay, intake, webhooks"),
    ("-m taskmill up", "API, maintenance"),
    ("beam.smp", "RabbitMQ"),
    ("erl_child_setup", "RabbitMQ"),
    ("epmd", "RabbitMQ"),
    ("rabbitmq", "RabbitMQ"),
    ("inet_gethost", "RabbitMQ"),
    ("postgres", "PostgreSQL"),
)


def used_s(pid: int) -> Used:
    """Return the seconds used so far by a process and its descendants, by kind; ended children count."""
    used: defaultdict[str, float] = defaultdict(float)
    for one, seconds in _tree(pid):
        used[_kind(one)] += seconds
    return used


def memory_mb(pid: int) -> Used:
    """Return the memory of a process and its descendants in MB (10⁶ bytes), by kind.

    It is the proportional set size: of a page that several processes share, each has its part.
    """
    memory: defaultdict[str, float] = defaultdict(float)
    for one, _ in _tree(pid):
        memory[_kind(one)] += _pss_kib(one) * 1024 / 1e6
    return memory


def count(pid: int) -> int:
    """Return how many processes there are, with the first one."""
    return len(list(_tree(pid)))


def _tree(pid: int) -> Iterator[tuple[int, float]]:
    """Yield a process and its descendants, each with its processor time."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    times: dict[int, float] = {}
    for one, parent, seconds in _processes():
        children[parent].append(one)
        times[one] = seconds
    left = [pid]
    while left:
        one = left.pop()
        left += children[one]
        yield one, times.get(one, 0.0)


def _pss_kib(pid: int) -> int:
    sizes = dict(
        line.split(":", 1) for line in _read(_PROC / str(pid) / "smaps_rollup").splitlines()[1:]
    )
    return int(sizes.get("Pss", "0 kB").split()[0])


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
