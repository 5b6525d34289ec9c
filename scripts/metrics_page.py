"""Writes docs/reference/metrics.md: every metric as the program declares it.

`python scripts/metrics_page.py` writes the page anew; `tests/architecture/test_metrics_page.py` fails while the
two differ.
"""
# ruff: noqa: INP001 - a program of its own

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "metrics.md"

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))

from taskmill import observability  # noqa: E402 - see above
from taskmill.observability.catalogue import SECTIONS, Section  # noqa: E402

INTRODUCTION = """\
# Metrics

<!-- Made by scripts/metrics_page.py of what the program declares in src/taskmill/observability. -->

Every process of Taskmill tells what it has counted since it started, in Prometheus' text format: the API at
`/metrics` of its own port, every role at `/metrics` of its admin port, if `TASKMILL_ADMIN_PORT` is set
([monitor it](../how-to/monitor.md)). A process tells what it does itself: add the processes up, but for
[the whole system](#the-whole-system). Which alerts are worth having: [alerts](../operations/alerts.md).

Things are counted after their commit, by the process that did them. When an answer of PostgreSQL is lost, a change
may be counted late, twice or not at all; `GET /stats` is exact.

`queue` and `type` come from whoever creates tasks. Therefore the first 200 pairs that a process meets
(`TASKMILL_METRICS__KINDS`) have series of their own; all later ones share the series of `_other`, a name that no
queue can have. No label has ids. Units are in the names; what has none is a number of things.

A histogram `x` is told as `x_bucket` (how many were at most `le`), `x_sum` and `x_count`. A series with a queue
and a type begins with its first count, which `rate` and `increase` do not see.
"""


def page() -> str:
    """Return the whole page."""
    for module in sorted(Path(observability.__path__[0]).glob("*.py")):
        # Others may need what is not installed everywhere.
        if " = Section(" in module.read_text(encoding="utf-8"):
            importlib.import_module(f"{observability.__name__}.{module.stem}")
    sections = sorted(SECTIONS, key=lambda section: section.title)
    return "\n".join([INTRODUCTION, *(line for section in sections for line in _lines(section))])


def _lines(section: Section) -> Iterator[str]:
    yield from (f"## {section.title}", "", f"Reported by: {section.reported_by}.", "")
    yield from ("| metric | kind | labels | unit | what |", "|---|---|---|---|---|")
    for metric in section.metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.unit} | {metric.meaning} |"
    yield ""
    if section.notes:
        yield section.notes


if __name__ == "__main__":
    PAGE.write_text(page().rstrip("\n") + "\n", encoding="utf-8")
