"""Reads a page of metrics as Prometheus does, and checks it as `promtool check metrics` would."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

Labels = frozenset[tuple[str, str]]

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_BAD_UNITS = re.compile(r"_(ms|milliseconds|minutes|hours|days|kb|mb|kilobytes|percent)(_|$)")
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


class Page:
    """The metrics of a page, by their names."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = list(text_string_to_metric_families(text))
        self.samples: dict[tuple[str, Labels], float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """Return a sample's value, None if it is missing."""
        return self.samples.get((name, frozenset(labels.items())))

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of a name that have these labels, whatever others they have."""
        wanted = set(labels.items())
        return sum(v for (n, own), v in self.samples.items() if n == name and wanted <= own)

    def declared_kinds(self) -> Mapping[str, str]:
        """Return the kinds of our own metrics, by their names as declared."""
        return {
            family.name + ("_total" if family.type == "counter" else ""): family.type
            for family in self.families
            if family.name.startswith("taskmill_")
        }

    def faults(self) -> list[str]:
        """Return what is wrong with the page."""
        names = Counter(family.name for family in self.families)
        lines = Counter(
            line.rpartition(" ")[0] for line in self.text.splitlines() if line[:1] != "#"
        )
        repeated = [name for one in (names, lines) for name, times in one.items() if times > 1]
        return [
            *(f"{name} appears twice" for name in repeated),
            *(fault for family in self.families for fault in _faults(family)),
        ]


def _faults(family: Metric) -> Iterator[str]:
    name = family.name
    if not family.documentation:
        yield f"{name} has no HELP"
    if family.type not in _SUFFIXES:
        yield f"{name} is of no known kind: {family.type}"
        return
    if not _NAME.fullmatch(name) or _BAD_UNITS.search(name):
        yield f"{name} is no good name"
    if family.type != "counter" and name.endswith("_total"):
        yield f"{name} looks like a counter"
    for sample in family.samples:
        yield from _sample_faults(family, sample)
    if family.type == "histogram":
        yield from _histogram_faults(family)


def _sample_faults(family: Metric, sample: Sample) -> Iterator[str]:
    if sample.name not in {family.name + suffix for suffix in _SUFFIXES[family.type]}:
        yield f"{sample.name} does not belong to {family.name}, a {family.type}"
    if not math.isfinite(sample.value):
        yield f"{sample.name}{sample.labels} is {sample.value}"
    if family.type != "gauge" and sample.value < 0:
        yield f"{sample.name}{sample.labels} is below 0"


def _histogram_faults(family: Metric) -> Iterable[str]:
    buckets: dict[Labels, list[tuple[float, float]]] = {}
    counts: dict[Labels, float] = {}
    for sample in family.samples:
        labels = frozenset(item for item in sample.labels.items() if item[0] != "le")
        if sample.name.endswith("_bucket"):
            buckets.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[labels] = sample.value
    for labels, pairs in buckets.items():
        bounds, values = [bound for bound, _ in pairs], [value for _, value in pairs]
        if bounds != sorted(set(bounds)) or bounds[-1] != math.inf:
            yield f"{family.name}{set(labels)}: the buckets are {bounds}"
        if values != sorted(values) or values[-1] != counts.get(labels):
            yield f"{family.name}{set(labels)}: {values} in the buckets, {counts.get(labels)} in all"
    if buckets.keys() != counts.keys():
        yield f"{family.name}: not every series has both buckets and a count"
