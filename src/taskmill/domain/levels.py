"""How many tasks waited and ran over time, and how many slots there were: from what is there, and what happened.

Nothing is sampled: what began and ended in each step is known exactly, so the number at its beginning follows from
that at its end. Tasks that were moved to another queue meanwhile count where they are now.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Final

from taskmill.domain.activity import Activity, Flow
from taskmill.domain.lifecycle import EventType

OTHERS: Final = "*"
"""Stands for all names beyond those that are shown."""

_BEGINS: Final = (EventType.CREATED, EventType.RUN_AGAIN)
_ENDS: Final = (
    EventType.SUCCEEDED,
    EventType.FAILED,
    EventType.EXPIRED,
    EventType.CANCELLED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedActivity:
    """What happened, and how many tasks waited and ran when that was read."""

    activity: Activity
    waiting: int
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How many tasks waited, whenever they were due, and how many ran at a time."""

    at: datetime
    waiting: int
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpan:
    """From when to when a worker was alive (None: it still is), its slots, and its version if that is known.

    `types` has `*` for all.
    """

    name: str
    version: str | None
    slots: int
    types: Collection[str] = ("*",)
    started_at: datetime
    ended_at: datetime | None
    is_lost: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpans:
    """The workers since a time: those that ended before it are not known."""

    known_since: datetime
    items: Sequence[WorkerSpan] = ()

    def slots_at(self, moments: Iterable[datetime]) -> list[int | None]:
        """Return how many slots there were at each of some times; None where that is not known."""
        starts = _Sums((one.started_at, one.slots) for one in self.items)
        ends = _Sums((one.ended_at, one.slots) for one in self.items if one.ended_at is not None)
        return [
            None if moment < self.known_since else starts.until(moment) - ends.until(moment)
            for moment in moments
        ]


class _Sums:
    """Numbers at times, added up."""

    def __init__(self, numbers: Iterable[tuple[datetime, int]]) -> None:
        ordered = sorted(numbers)
        self._times = [at for at, _ in ordered]
        self._sums = [0, *accumulate(number for _, number in ordered)]

    def until(self, moment: datetime) -> int:
        """Return the sum of those at a time or before."""
        return self._sums[bisect_right(self._times, moment)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedGroups:
    """How many tasks failed by queue, or by type, and step: the names with most first, `OTHERS` last."""

    counts: Mapping[str, Mapping[datetime, int]] = field(default_factory=dict)

    def total(self, name: str) -> int:
        """Return how many of a name failed."""
        return sum(self.counts[name].values())


def levels(
    steps: Iterable[tuple[datetime, Flow]], *, until: datetime, waiting: int, running: int
) -> list[Level]:
    """Return the levels at the beginning of each step, and at last those at `until`, which are given."""
    found = [Level(at=until, waiting=waiting, running=running)]
    unfinished = waiting + running
    for at, flow in reversed(list(steps)):
        unfinished -= _sum(flow, _BEGINS) - _sum(flow, _ENDS)
        # Every attempt that ends has its time counted.
        running -= flow.counts.get(EventType.CLAIMED, 0) - flow.running.tasks
        shown = max(running, 0)
        found.append(Level(at=at, waiting=max(unfinished - shown, 0), running=shown))
    return found[::-1]


def _sum(flow: Flow, event_types: Sequence[EventType]) -> int:
    return sum(flow.counts.get(one, 0) for one in event_types)
