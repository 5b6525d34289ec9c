"""What metrics there are: a name, a kind, labels and a meaning for each, in sections, and the one registry.

A metric is declared once, by a method of its section; the reference page (docs/reference/metrics.md) is made of
the sections by scripts/metrics_page.py, and a test compares the two. Where things are counted is not known here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.metrics_core import GaugeMetricFamily

from taskmill.observability.tallies import Histogram, Reading, Tally

Kind = Literal["counter", "gauge", "histogram"]
Owned = TypeVar("Owned", bound=Counter | Gauge | Tally | Histogram | Reading)

# The format has no place for them: they would be one more gauge for each counter.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own gap

REGISTRY: Final = CollectorRegistry(auto_describe=True)
"""What this process counts; other figures are told beside it."""

SECTIONS: Final[list["Section"]] = []
"""All sections, in the order of the reference page."""

_PREFIX = "taskmill_"
_UNITS = ("seconds", "bytes", "transactions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A metric as it is told: the name with its prefix, the names of its labels, and what it means."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str

    @property
    def unit(self) -> str:
        """What one of it is."""
        words = self.name.removesuffix("_total").split("_")
        return words[-1] if words[-1] in _UNITS else "number"


class Section:
    """Metrics that belong together: who tells them, and what is to be known about them.

    Names are given without `taskmill_`. Those of counters end in `_total`, those of durations in `_seconds`, and
    no label may take values without bound: see `kinds`. `notes` are Markdown.
    """

    def __init__(self, title: str, *, told_by: str, notes: str = "") -> None:
        self.title = title
        self.told_by = told_by
        self.notes = notes
        self.metrics: list[Description] = []
        SECTIONS.append(self)

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        """Declare a counter that any thread may count up."""
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
        """Declare something that is read where it is, when it is told."""
        self._describe(name, "gauge", meaning, labels)
        return _registered(Reading(_PREFIX + name, meaning, labels))

    def histogram(
        self, name: str, meaning: str, *labels: str, bounds: Sequence[float]
    ) -> Histogram:
        """Declare how values are spread; each of `bounds` is the upper one of a bucket, the last is +Inf."""
        self._describe(name, "histogram", meaning, labels)
        return _registered(Histogram(_PREFIX + name, meaning, labels, bounds=bounds))

    def figure(
        self, name: str, meaning: str, *labels: str
    ) -> Callable[[Mapping[tuple[str, ...], float]], GaugeMetricFamily]:
        """Declare a gauge that is not of this process; returns what makes it of values by labels."""
        self._describe(name, "gauge", meaning, labels)

        def made(values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
            family = GaugeMetricFamily(_PREFIX + name, meaning, labels=labels)
            for label_values, value in values.items():
                family.add_metric(label_values, value)
            return family

        return made

    def _describe(self, name: str, kind: Kind, meaning: str, labels: tuple[str, ...]) -> None:
        self.metrics.append(
            Description(name=_PREFIX + name, kind=kind, labels=labels, meaning=meaning)
        )


def _registered(metric: Owned) -> Owned:
    REGISTRY.register(metric)
    return metric
