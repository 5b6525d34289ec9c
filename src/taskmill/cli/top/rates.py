"""Rates of the last seconds: the difference between the counts of two snapshots."""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from taskmill.client.views.activity import ActivityView
from taskmill.domain.lifecycle import EventType

PerSecond: TypeAlias = Mapping[EventType, float]

_SPAN = timedelta(seconds=10)
_SHORTEST = timedelta(seconds=0.1)


class _Sample(NamedTuple):
    """Counts from `since` to `until`, by queue; None is all of them."""

    since: datetime
    until: datetime
    counts: Mapping[str | None, Mapping[EventType, int]]


class Rates:
    """Rates of the last ten seconds, by queue and of all.

    A window moves by whole steps. Counts before and after such a move can't be compared: the old rates stay until
    there are two new snapshots. Before the first two, the rates are those of the whole window.
    """

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()
        self._rates: Mapping[str | None, PerSecond] = {}
        self.are_of_now = False

    def add(self, activity: ActivityView) -> None:
        """Add the counts of a snapshot."""
        counts = {None: activity.total.counts} | {one.queue: one.counts for one in activity.queues}
        sample = _Sample(activity.since, activity.until, counts)
        if self._samples and self._samples[-1].since != sample.since:
            self._samples.clear()
        self._samples.append(sample)
        while len(self._samples) > 2 and sample.until - self._samples[1].until >= _SPAN:  # noqa: PLR2004 - two make a difference
            self._samples.popleft()
        first = self._samples[0]
        if sample.until - first.until >= _SHORTEST:
            self._rates, self.are_of_now = _between(first, sample), True
        elif not self.are_of_now:
            whole = {None: activity.total.per_second}
            self._rates = whole | {one.queue: one.per_second for one in activity.queues}

    def of(self, queue: str | None, *event_types: EventType) -> float:
        """Return how often these happen in a second, in a queue or (None) in all."""
        rates = self._rates.get(queue, {})
        return sum(rates.get(event_type, 0.0) for event_type in event_types)


def _between(first: _Sample, last: _Sample) -> Mapping[str | None, PerSecond]:
    seconds = (last.until - first.until) / timedelta(seconds=1)
    return {
        queue: {
            event_type: max(count - first.counts.get(queue, {}).get(event_type, 0), 0) / seconds
            for event_type, count in counts.items()
        }
        for queue, counts in last.counts.items()
    }
