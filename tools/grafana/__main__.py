"""The command: `python -m tools.grafana` writes deploy/grafana/dashboards.

`tests/contract/test_grafana.py` fails while the files differ.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scripts.metrics_page import page as metrics_page
from taskmill.observability.catalogue import SECTIONS
from tools.grafana.panels import Dashboard, rendered
from tools.grafana.parts import DELIVERY, PROCESSES
from tools.grafana.work import OVERVIEW, QUEUES

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "deploy" / "grafana" / "dashboards"
DASHBOARDS: Final = (OVERVIEW, QUEUES, PROCESSES, DELIVERY)


def files() -> Mapping[Path, str]:
    """Return what is to be in the folder."""
    known = meanings()
    return {FOLDER / f"taskmill-{one.name}.json": text(one, known) for one in DASHBOARDS}


def text(dashboard: Dashboard, known: Mapping[str, str]) -> str:
    """Return the text of a dashboard's file: a panel a line, as whoever wants to read them reads tools/grafana."""
    whole = rendered(dashboard, known)
    panels = ",\n".join(json.dumps(panel, ensure_ascii=False) for panel in whole.pop("panels"))
    head = json.dumps(whole, indent=1, ensure_ascii=False).removesuffix("\n}")
    return f'{head},\n "panels": [\n{panels}\n ]\n}}\n'


def meanings() -> Mapping[str, str]:
    """Return the meanings of all metrics."""
    # It imports the modules that declare them.
    metrics_page()
    return {metric.name: metric.meaning for section in SECTIONS for metric in section.metrics}


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, content in files().items():
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
