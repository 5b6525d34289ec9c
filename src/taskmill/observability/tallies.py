"""Counters, histograms and readings of our own, for the event loop's thread alone.

The library's take a lock and look up an object for each count. These are numbers in dictionaries, and are
converted to the library's form when they are collected.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

Owner = TypeVar("Owner")
Values = Mapping[tuple[str, ...], float]


class Tally:
    """A counter by the values of its labels, which are given in the order of their declaration."""

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Sequence[str],
        *,
        known: Iterable[tuple[str, ...]] = (),
    ) -> None:
        self._family = (name.removesuffix("_total"), meaning)
        self._labels = labels
        self._counts: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self._counts.update(dict.fromkeys(known if labels else [()], 0.0))

    def add(self, amount: float, labels: tuple[str, ...] = ()) -> None:
        """Count `amount` more."""
        self._counts[labels] += amount

    def value(self, *labels: str) -> float:
        """Return the count so far."""
        return self._counts.get(labels, 0)

    def describe(self) -> Iterable[Metric]:
        """Name the metric, as the registry requires."""
        yield CounterMetricFamily(*self._family, labels=self._labels)

    def collect(self) -> Iterable[Metric]:
        """Return the counts."""
        family = CounterMetricFamily(*self._family, labels=self._labels)
        for labels, count in self._counts.items():
            family.add_metric(labels, count)
        yield family


class _Series:
    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.total = 0.0


class Histogram:
    """How values are spread over buckets, by the values of its labels."""

    def __init__(
        self, name: str, meaning: str, labels: Sequence[str], *, bounds: Sequence[float]
    ) -> None:
        self._family = (name, meaning)
        self._labels = labels
        self._bounds = tuple(bounds)
        self._names = [*map(floatToGoString, self._bounds), "+Inf"]
        self._series: dict[tuple[str, ...], _Series] = {}
        if not labels:
            self._series[()] = _Series(len(self._names))

    def observe(self, value: float, labels: tuple[str, ...] = ()) -> None:
        """Count a value."""
        series = self._series.get(labels) or self._add_series(labels)
        series.counts[bisect_left(self._bounds, value)] += 1
        series.total += value

    def observe_all(self, values: Sequence[float], labels: tuple[str, ...]) -> None:
        """Count many values."""
        series = self._series.get(labels) or self._add_series(labels)
        counts, bounds = series.counts, self._bounds
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        series.total += sum(values)

    def _add_series(self, labels: tuple[str, ...]) -> _Series:
        series = self._series[labels] = _Series(len(self._names))
        return series

    def count(self, *labels: str) -> int:
        """Return how many values there were."""
        series = self._series.get(labels)
        return sum(series.counts) if series else 0

    def describe(self) -> Iterable[Metric]:
        """Name the metric, as the registry requires."""
        yield HistogramMetricFamily(*self._family, labels=self._labels)

    def collect(self) -> Iterable[Metric]:
        """Return the cumulative buckets, the count and the sum."""
        family = HistogramMetricFamily(*self._family, labels=self._labels)
        for labels, series in self._series.items():
            buckets = list(zip(self._names, accumulate(series.counts), strict=True))
            family.add_metric(labels, buckets=buckets, sum_value=series.total)
        yield family


class Reading:
    """A gauge that is read from its owners when it is collected; their values are added up."""

    def __init__(self, name: str, meaning: str, labels: Sequence[str]) -> None:
        self._family = (name, meaning)
        self._labels = labels
        self._owners: WeakKeyDictionary[object, Callable[[Any], Values]] = WeakKeyDictionary()

    def watch(self, owner: Owner, read: Callable[[Owner], Values]) -> None:
        """Read `owner` by `read` from now on, until it is forgotten or collected; `read` must not refer to it."""
        self._owners[owner] = cast("Callable[[Any], Values]", read)

    def forget(self, owner: object) -> None:
        """Stop reading `owner`."""
        self._owners.pop(owner, None)

    def describe(self) -> Iterable[Metric]:
        """Name the metric, as the registry requires."""
        yield GaugeMetricFamily(*self._family, labels=self._labels)

    def collect(self) -> Iterable[Metric]:
        """Read all owners."""
        family = GaugeMetricFamily(*self._family, labels=self._labels)
        values: dict[tuple[str, ...], float] = {} if self._labels else {(): 0.0}
        for owner, read in list(self._owners.items()):
            for labels, value in read(owner).items():
                values[labels] = values.get(labels, 0.0) + value
        for labels, value in values.items():
            family.add_metric(labels, value)
        yield family
