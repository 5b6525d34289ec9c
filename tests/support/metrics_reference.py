"""The reference page of metrics, read as text, and what an expression in PromQL names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.support.processes import ROOT

PAGE: Final = ROOT / "docs/reference/metrics.md"
ROW: Final = re.compile(r"^\| `(taskmill_\w+)` \| (\w+) \| ([^|]*) \| (\w+) \| ", re.MULTILINE)
PARTS: Final = ("_bucket", "_sum", "_count")
# What the page names in words: Prometheus' own, and its Python library's.
OTHERS: Final = {
    "ALERTS": {"alertname", "alertstate", "severity"},
    "up": set[str](),
    "process_cpu_seconds_total": set[str](),
    "process_resident_memory_bytes": set[str](),
}
# What Prometheus adds to each series.
ADDED: Final = {"instance", "job", "le"}
NAMED: Final = re.compile(rf"\b(taskmill_\w+|{'|'.join(OTHERS)})\b")
MATCHED: Final = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
GROUPED: Final = re.compile(r"\b(?:by|on|without) \(([^)]*)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A name that may stand in an expression."""

    kind: str
    labels: set[str]


def described() -> Mapping[str, Described]:
    """Return all names that may stand in an expression; those of a histogram with their endings."""
    known = {name: Described(kind="other", labels=labels) for name, labels in OTHERS.items()}
    for name, kind, labels, _ in ROW.findall(PAGE.read_text(encoding="utf-8")):
        one = Described(kind=kind, labels=set(re.findall(r"`(\w+)`", labels)))
        known |= {name + part: one for part in (PARTS if kind == "histogram" else ("",))}
    return known


def metrics_in(expr: str) -> set[str]:
    """Return the metrics that an expression names."""
    return set(NAMED.findall(re.sub(r'"[^"]*"', '""', expr)))


def labels_in(expr: str) -> set[str]:
    """Return the labels that an expression matches, or groups by."""
    groups = " ".join(GROUPED.findall(expr))
    return {*MATCHED.findall(expr), *re.findall(r"\w+", groups)}


def labels_of(expr: str, known: Mapping[str, Described]) -> set[str]:
    """Return the labels that the series of an expression may have before they are grouped."""
    return ADDED.union(*(known[name].labels for name in metrics_in(expr)))


def whole_system() -> set[str]:
    """Return the metrics that each process reports alike."""
    [section] = re.findall(
        r"^## The whole system$(.*?)^## ",
        PAGE.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    return {name for name, *_ in ROW.findall(section)}
