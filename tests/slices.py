"""Slow tests take turns: the build server runs one slice of them or more after all quick tests.

A test is slow when it is marked so, or when `slow.txt` lists it with the seconds that it took. One that is marked
`engine` is in no slice.
`python -m tests.slices` prints the slices, and `python -m tests.slices FILE...` makes `slow.txt` anew of what
`./scripts/test --durations` has printed into files, with `--all` or without: the longest time counts.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import pytest

SLICES: Final = 8
LISTED: Final = Path(__file__).with_name("slow.txt")
LIMIT_S: Final = 0.8
_IN_TURN: Final = "slow and not engine"
# What a marked test counts until it is listed.
_PRESUMED_S: Final = 20.0
_DURATION: Final = re.compile(r"([\d.]+)s (?:setup|call|teardown) +(tests/\S+::.+?)\s*")


@pytest.hookimpl
def pytest_addoption(parser: pytest.Parser) -> None:
    """Take `--slice`."""
    parser.addoption(
        "--slice",
        type=int,
        choices=range(1, SLICES + 1),
        help=f"run only this slice of the slow tests, 1 to {SLICES}",
    )


@pytest.hookimpl
def pytest_configure(config: pytest.Config) -> None:
    """Leave slow tests out of folders, unless `-m` or `--slice` chooses; not of files and tests that are named."""
    is_chosen = bool(config.option.markexpr) or config.getoption("--slice") is not None
    if not is_chosen and all(Path(one).is_dir() for one in config.args):
        config.option.markexpr = "not slow"


@pytest.hookimpl
def pytest_report_header(config: pytest.Config) -> str | None:
    """Say when slow tests are left out."""
    expression: str = config.option.markexpr
    return f"slow tests are left out: -m {expression!r}" if expression == "not slow" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is listed as slow, so that `-m` finds it, and deselect what is not in the slice."""
    seconds = read_listed()
    for item in items:
        if item.nodeid in seconds:
            item.add_marker(pytest.mark.slow)
    number: int | None = config.getoption("--slice")
    if number is None:
        return
    slow = [item.nodeid for item in items if is_in_a_slice(item)]
    chosen = set(slices(slow, seconds)[number - 1])
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
    items[:] = [item for item in items if item.nodeid in chosen]


def is_in_a_slice(item: pytest.Item) -> bool:
    """Whether a test is in a slice: it is slow, and not one for `./scripts/test --all` only."""
    return bool(item.get_closest_marker("slow")) and not item.get_closest_marker("engine")


def read_listed() -> Mapping[str, float]:
    """Return how many seconds the listed tests took, by their ids."""
    lines = (line.split(maxsplit=1) for line in LISTED.read_text("utf-8").splitlines())
    return {test_id: float(seconds) for seconds, test_id in lines}


def slices(test_ids: Iterable[str], seconds: Mapping[str, float]) -> list[list[str]]:
    """Share tests out to slices that take about as long: each, the longest first, to the shortest slice."""
    durations = {test_id: seconds.get(test_id, _PRESUMED_S) for test_id in test_ids}
    shared: list[list[str]] = [[] for _ in range(SLICES)]
    totals = [0.0] * SLICES
    for test_id in sorted(durations, key=lambda one: (-durations[one], one)):
        shortest = totals.index(min(totals))
        shared[shortest].append(test_id)
        totals[shortest] += durations[test_id]
    return shared


def measured(output: str) -> Mapping[str, float]:
    """Return the seconds of each slow test, of what pytest prints with `--durations=0`."""
    seconds: dict[str, float] = {}
    for line in output.splitlines():
        if found := _DURATION.fullmatch(line):
            seconds[found[2]] = seconds.get(found[2], 0.0) + float(found[1])
    return {test_id: taken for test_id, taken in seconds.items() if taken >= LIMIT_S}


def write_listed(runs: Iterable[Mapping[str, float]]) -> None:
    """List the slow tests of some runs."""
    longest: dict[str, float] = {}
    for seconds in runs:
        longest |= {test: max(taken, longest.get(test, 0.0)) for test, taken in seconds.items()}
    lines = (f"{taken:.1f} {test_id}\n" for test_id, taken in sorted(longest.items()))
    LISTED.write_text("".join(lines), "utf-8")


class _Collected:
    """A plugin that keeps the ids of what was collected."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.ids = [item.nodeid for item in session.items]


def main(arguments: list[str]) -> int:
    """Print the slices, or list what was measured."""
    if arguments:
        write_listed([measured(Path(name).read_text("utf-8", "replace")) for name in arguments])
        return 0
    collected = _Collected()
    status = pytest.main(["--collect-only", "-qqq", "--no-summary", "-m", _IN_TURN], [collected])
    seconds = read_listed()
    for number, ids in enumerate(slices(collected.ids, seconds), 1):
        total = sum(seconds.get(test_id, _PRESUMED_S) for test_id in ids)
        print(f"\nslice {number}: {len(ids)} tests, {total:.0f} s by one process")  # noqa: T201 - a command
        print("\n".join(f"  {test_id}" for test_id in sorted(ids)))  # noqa: T201 - a command
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
