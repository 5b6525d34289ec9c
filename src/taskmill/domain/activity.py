"""What happened over a span of time: counts by event type, and how long tasks waited and ran.

Durations are kept as a histogram. Its buckets grow by e^0.2: the first is up to 1 ms, bucket b is up to e^(b/5)
ms, the last is 34 days and everything longer. So a percentile is off by a factor of e^0.1 (1.11) at most.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from typing import Final, TypeAlias, TypeVar

from taskmill.domain.lifecycle import EventType
from taskmill.domain.time_ranges import TimeRange

Key = TypeVar("Key")

_UNCOUNTED: Final = frozenset({EventType.CANCEL_REQUESTED, EventType.RESCHEDULED})
COUNTED: Final = tuple(one for one in EventType if one not in _UNCOUNTED)
"""The types of events that move a task, in the order in which they are shown."""

OTHER_TYPES: Final = "*"
"""Stands for all types of a queue beyond the number that is counted separately."""

LAST_BUCKET: Final = 110
_BUCKETS_TO_E: Final = 5


class Window(StrEnum):
    """How far to look back."""

    MINUTES_5 = "5m"
    MINUTES_15 = "15m"
    HOUR = "1h"
    HOURS_6 = "6h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"

    @property
    def length(self) -> timedelta:
        """The time that it covers, at least."""
        return _WINDOWS[self][0]

    @property
    def step(self) -> timedelta:
        """The distance between the points of its series."""
        return _WINDOWS[self][1]


_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_WINDOWS: Final[Mapping[Window, tuple[timedelta, timedelta]]] = {
    Window.MINUTES_5: (5 * _MINUTE, _MINUTE),
    Window.MINUTES_15: (15 * _MINUTE, _MINUTE),
    Window.HOUR: (_HOUR, _MINUTE),
    Window.HOURS_6: (6 * _HOUR, 10 * _MINUTE),
    Window.DAY: (_DAY, _HOUR),
    Window.WEEK: (7 * _DAY, 6 * _HOUR),
    Window.MONTH: (30 * _DAY, _DAY),
}

AnyWindow: TypeAlias = Window | TimeRange
"""A window that ends now, or one between two times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long many tasks took: their sum, and how many fell into each bucket."""

    seconds: float = 0.0
    buckets: Mapping[int, int] = field(default_factory=dict)

    @property
    def tasks(self) -> int:
        """The number of tasks."""
        return sum(self.buckets.values())

    @property
    def mean_s(self) -> float | None:
        """The exact mean; None when there are no tasks."""
        tasks = self.tasks
        return self.seconds / tasks if tasks else None

    def percentiles_s(self, *shares: float) -> list[float | None]:
        """Return for each share (over 0, up to 1) about what so many did not exceed; None when there are none."""
        if not self.buckets:
            return [None for _ in shares]
        buckets = sorted(self.buckets)
        ranks = list(accumulate(self.buckets[bucket] for bucket in buckets))
        indexes = (bisect_left(ranks, math.ceil(share * ranks[-1])) for share in shares)
        return [_middle_s(buckets[index]) for index in indexes]

    @classmethod
    def total(cls, durations: Sequence["Durations"]) -> "Durations":
        """Return the sum of several."""
        return cls(
            seconds=sum(one.seconds for one in durations),
            buckets=_added(one.buckets for one in durations),
        )


def _added(counts: Iterable[Mapping[Key, int]]) -> dict[Key, int]:
    """Return the sum of several counts, without those that are 0."""
    total: dict[Key, int] = {}
    for one in counts:
        for key, count in one.items():
            total[key] = total.get(key, 0) + count
    return {key: count for key, count in total.items() if count}


def _middle_s(bucket: int) -> float:
    """Return the value that is off by the same factor from both ends of a bucket."""
    if bucket in (0, LAST_BUCKET):
        return math.exp(max(bucket - 1, 0) / _BUCKETS_TO_E) / 1000
    return math.exp((bucket - 0.5) / _BUCKETS_TO_E) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What happened: how often each, how long claimed tasks had been due, and how long ended attempts ran."""

    counts: Mapping[EventType, int] = field(default_factory=dict)
    waiting: Durations = field(default_factory=Durations)
    running: Durations = field(default_factory=Durations)

    @property
    def changes(self) -> int:
        """The number of events."""
        return sum(self.counts.values())

    @classmethod
    def total(cls, flows: Sequence["Flow"]) -> "Flow":
        """Return the sum of several."""
        return cls(
            counts=_added(flow.counts for flow in flows),
            waiting=Durations.total([flow.waiting for flow in flows]),
            running=Durations.total([flow.running for flow in flows]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRequest:
    """Over which window to report what happened, and of which queue and type (None: of all).

    `by_group` reports it by queue and type as well, which takes twice as long.
    """

    window: AnyWindow
    queue: str | None = None
    type: str | None = None
    by_group: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What happened from `since`, the beginning of a step, until `until`.

    `groups` are by (queue, type), sorted; `points` by the beginning of each step in order, without gaps.
    """

    request: ActivityRequest
    since: datetime
    until: datetime
    total: Flow
    groups: Mapping[tuple[str, str], Flow]
    points: Sequence[tuple[datetime, Flow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueActivity:
    """What happened in some queues from `since`, the beginning of a step, until `until`; `steps` began meanwhile.

    `flows` have what was created, succeeded and failed, and buckets of durations. `ended` is how many attempts
    ended, well or badly, by the beginning of each step that had some. Queues without any are left out.
    """

    since: datetime
    until: datetime
    steps: Sequence[datetime]
    flows: Mapping[str, Flow]
    ended: Mapping[str, Mapping[datetime, int]]
