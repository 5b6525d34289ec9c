"""Panels, rows and dashboards, and their form in Grafana's JSON.

What a panel shows is described by the metrics that it names: their meanings are taken from the catalogue.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Json = dict[str, Any]
Kind = Literal["timeseries", "stat", "table"]

NAMED: Final = re.compile(r"\btaskmill_\w+")
PARTS: Final = re.compile(r"_(bucket|sum|count)$")
COLUMNS: Final = 24
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
# By schema 39 Grafana 10.4 and all later ones can read it.
SCHEMA: Final = 39


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """An expression in PromQL, and what a series of it is called: `{{label}}` is the label's value."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture. `steps` colour a value from each bound on; the first one has no bound."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "timeseries"
    width: int = 8
    is_stacked: bool = False
    most: float | None = None
    steps: tuple[tuple[str, float | None], ...] = (("text", None),)
    words: Mapping[str, str] | None = None
    note: str = ""

    @property
    def height(self) -> int:
        """How many of Grafana's rows it takes."""
        return 4 if self.kind == "stat" else 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading, from left to right."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A list above the panels, of the values of a label. Its name is the label's."""

    label: str
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A dashboard. Its file and its address in Grafana are called by its name."""

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...] = ()


def rendered(dashboard: Dashboard, meanings: Mapping[str, str]) -> Json:
    """Return a dashboard in Grafana's JSON; `meanings` are those of all metrics, by name."""
    return {
        "uid": f"taskmill-{dashboard.name}",
        "title": f"Taskmill: {dashboard.title}",
        "description": dashboard.description,
        "tags": ["taskmill"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "links": [_LINKS],
        "templating": {"list": [_DATA_SOURCE, *map(_choice, dashboard.choices)]},
        "panels": list(_placed(dashboard.rows, meanings)),
    }


_LINKS: Final = {
    "type": "dashboards",
    "title": "Taskmill",
    "tags": ["taskmill"],
    "asDropdown": True,
    "includeVars": True,
    "keepTime": True,
}
_DATA_SOURCE: Final = {
    "name": "datasource",
    "label": "Prometheus",
    "type": "datasource",
    "query": "prometheus",
    "current": {},
}


def _choice(choice: Choice) -> Json:
    return {
        "name": choice.label,
        "label": choice.label,
        "type": "query",
        "datasource": SOURCE,
        "query": {
            "query": f"label_values({choice.metric}, {choice.label})",
            "refId": choice.label,
        },
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _placed(rows: Sequence[Row], meanings: Mapping[str, str]) -> Iterator[Json]:
    """Yield rows and panels with their places: a panel that does not fit beside others begins a line."""
    number, top = 0, 0
    for row in rows:
        number += 1
        yield _row(row, number, top)
        top, left, height = top + 1, 0, 0
        for panel in row.panels:
            number += 1
            if left + panel.width > COLUMNS:
                top, left, height = top + height, 0, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield _panel(panel, number, place, meanings)
            left, height = left + panel.width, max(height, panel.height)
        top += height


def _row(row: Row, number: int, top: int) -> Json:
    place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": row.title, "gridPos": place, "panels": []}


def _panel(panel: Panel, number: int, place: Json, meanings: Mapping[str, str]) -> Json:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": _description(panel, meanings),
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [_target(panel, query, place) for place, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _fields(panel), "overrides": []},
        "options": _options(panel),
    }


def _description(panel: Panel, meanings: Mapping[str, str]) -> str:
    names = dict.fromkeys(name for query in panel.queries for name in NAMED.findall(query.expr))
    lines = [panel.note] if panel.note else []
    lines += [f"`{name}`: {meanings[PARTS.sub('', name)]}." for name in names]
    return "\n\n".join(lines)


def _target(panel: Panel, query: Query, place: int) -> Json:
    is_instant = panel.kind == "table"
    return {
        "refId": chr(ord("A") + place),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": is_instant,
        "range": not is_instant,
        "format": "table" if is_instant else "time_series",
    }


def _fields(panel: Panel) -> Json:
    steps = [{"color": colour, "value": bound} for colour, bound in panel.steps]
    fields: Json = {
        "unit": panel.unit,
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.most is not None:
        fields["max"] = panel.most
    if panel.words:
        shown = {value: {"text": text} for value, text in panel.words.items()}
        fields["mappings"] = [{"type": "value", "options": shown}]
    if panel.kind == "timeseries":
        fields["custom"] = {
            "fillOpacity": 20 if panel.is_stacked else 5,
            "lineWidth": 1,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.is_stacked else "none", "group": "A"},
        }
    return fields


def _options(panel: Panel) -> Json:
    if panel.kind == "stat":
        return {
            "colorMode": "value",
            "graphMode": "area",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm"}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
