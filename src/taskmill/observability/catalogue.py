"""The metrics: name, kind, labels and meaning of each, in sections, and the one registry.

A metric is declared once, by a method of its section; scripts/metrics_page.py makes the reference page
(docs/reference/metrics.md) from the sections, and a test compares the two. Where things are counted is not known
here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.metrics_core import GaugeMetricFamily

from taskmill.observability.tallies import Histogram, Reading, Tally

Kind = Literal["counter", "gauge", "histogram"]
Owned = TypeVar("Owned", bound=Counter | Gauge | Tally | Histogram | Reading)

# The format has no field for them: they would be one more gauge for each counter.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own gap

REGISTRY: Final = CollectorRegistry(auto_describe=True)
"""What this process counts; other figures are exposed beside it."""

SECTIONS: Final[list["Section"]] = []
"""All sections, in the order of the reference page."""

_PREFIX = "taskmill_"
_UNITS = ("seconds", "bytes", "transactions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A metric as it is exposed: its name with the prefix, the names of its labels, and its meaning."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str

    @property
    def unit(self) -> str:
        """The unit of its values."""
        words = self.name.removesuffix("_total").split("_")
        return words[-1] if words[-1] in _UNITS else "number"


class Section:
    """Metrics that belong together: which roles report them, and notes about them in Markdown.

    Names are given without `taskmill_`. Those of counters end in `_total`, those of durations in `_seconds`, and
    the values of a label must be bounded: see `kinds`.
    """

    def __init__(self, title: str, *, reported_by: str, notes: str = "") -> None:
        self.title = title
        self.reported_by = reported_by
        self.notes = notes
        self.metrics: list[Description] = []
        SECTIONS.append(self)

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        """Declare a counter that any thread may increment."""
        self._describe(name, "counter", meaning, labels)
        return Counter(_PREFIX + name, meaning, labels, registry=REGISTRY)

    def tally(
        self, name: str, meaning: str, *labels: str, known: Sequence[tuple[str, ...]] = ()
    ) -> Tally:
        """Declare a counter for the event loop alone, ten times as cheap; `known` labels begin at 0."""
        self._describe(name, "counter", meaning, labels)
        return _registered(Tally(_PREFIX + name, meaning, labels, known=known))

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        """Declare something that is set, or goes up and down."""
        self._describe(name, "gauge", meaning, labels)
        return Gauge(_PREFIX + name, meaning, labels, registry=REGISTRY)

    def reading(self, name: str, meaning: str, *labels: str) -> Reading:
        """Declare a gauge whose value is read from its owners when it is exposed."""
        self._describe(name, "gauge", meaning, labels)
        return _registered(Reading(_PREFIX + name, meaning, labels))

    def histogram(
        self, name: str, meaning: str, *labels: str, bounds: Sequence[float]
    ) -> Histogram:
        """Declare a histogram; each of `bounds` is the upper bound of a bucket, and the last bucket is +Inf."""
        self._describe(name, "histogram", meaning, labels)
        return _registered(Histogram(_PREFIX + name, meaning, labels, bounds=bounds))

    def figure(
        self, name: str, meaning: str, *labels: str
    ) -> Callable[[Mapping[tuple[str, ...], float]], GaugeMetricFamily]:
        """Declare a gauge of the whole system; returns a function that builds it from values by labels."""
        self._describe(name, "gauge", meaning, labels)

        def build(values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
            family = GaugeMetricFamily(_PREFIX + name, meaning, labels=labels)
            for label_values, value in values.items():
                family.add_metric(label_values, value)
            return family

        return build

    def _describe(self, name: str, kind: Kind, meaning: str, labels: tuple[str, ...]) -> None:
        self.metrics.append(
            Description(name=_PREFIX + name, kind=kind, labels=labels, meaning=meaning)
        )


def _registered(metric: Owned) -> Owned:
    REGISTRY.register(metric)
    return metric
