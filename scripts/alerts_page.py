"""Writes docs/operations/alerts.md: every alert of deploy/prometheus/alerts.yml, in words.

`python scripts/alerts_page.py` writes the page anew; `tests/contract/test_prometheus.py` fails while the two
differ.
"""
# ruff: noqa: INP001 - a program of its own

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # no stubs for one call

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
PAGE = ROOT / "docs" / "operations" / "alerts.md"

INTRODUCTION = """\
# Alerts

<!-- Made by scripts/alerts_page.py of deploy/prometheus/alerts.yml. -->

`deploy/prometheus/alerts.yml` has these alerts for Prometheus ([how to run it](../how-to/monitor.md#prometheus)).
They are examples: the bounds fit a service whose tasks take seconds. What each metric means is in
[metrics](../reference/metrics.md), what a line in the log means in [log events](log-events.md).

`page` is for now, `ticket` for the morning. None of them means that a task was lost: what was accepted is in
PostgreSQL, and [`taskmill verify`](../how-to/verify.md) can tell.
"""


def alerts() -> Iterator[dict[str, Any]]:
    """Yield the alerts in the order of the file."""
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        yield from group["rules"]


def page() -> str:
    """Return the whole page."""
    return "\n".join([INTRODUCTION, *(line for alert in alerts() for line in _lines(alert))])


def _lines(alert: dict[str, Any]) -> Iterator[str]:
    notes = alert["annotations"]
    lasting = f", when it lasts for {alert['for']}" if "for" in alert else ""
    yield from (f"## {alert['alert']}", "", f"`{alert['labels']['severity']}`{lasting}:", "")
    yield from ("```", alert["expr"].strip(), "```", "")
    yield from (notes["meaning"], "", f"**To do.** {notes['to_do']}", "")


if __name__ == "__main__":
    PAGE.write_text(page().rstrip("\n") + "\n", encoding="utf-8")
