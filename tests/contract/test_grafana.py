"""The dashboards for Grafana: they show only metrics and labels that the reference page describes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # no stubs for one call

from tests.support.metrics_reference import (
    described,
    labels_in,
    labels_of,
    metrics_in,
    whole_system,
)
from tests.support.processes import ROOT
from tools.grafana.__main__ import FOLDER, files

Json = dict[str, Any]

GRAFANA: Final = ROOT / "deploy/grafana"
FILES: Final = sorted(FOLDER.glob("*.json"))
DASHBOARDS: Final[list[Json]] = [json.loads(path.read_text(encoding="utf-8")) for path in FILES]
PANELS: Final[list[Json]] = [
    panel for one in DASHBOARDS for panel in one["panels"] if panel["type"] != "row"
]
QUERIES: Final = [(panel, target) for panel in PANELS for target in panel["targets"]]
EXPRESSIONS: Final = sorted({target["expr"] for _, target in QUERIES})
KNOWN: Final = described()


def choices(dashboard: Json) -> Iterator[Json]:
    """The lists above the panels, without that of data sources."""
    yield from (one for one in dashboard["templating"]["list"] if one["type"] == "query")


def test_the_files_are_those_that_the_tool_writes() -> None:
    assert {path: path.read_text("utf-8") for path in FILES} == files(), (
        "run `python -m tools.grafana`"
    )


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_a_panel_uses_metrics_and_labels_that_the_page_describes(expr: str) -> None:
    assert metrics_in(expr), "it names no metric"
    assert metrics_in(expr) <= KNOWN.keys()
    assert labels_in(expr) <= labels_of(expr, KNOWN)


@pytest.mark.parametrize(
    "wrong",
    [
        "sum(taskmill_tasks_made_total)",
        'sum(taskmill_tasks_created_total{queu=~"$queue"})',
        "sum by (worker) (taskmill_worker_slots)",
        "sum(taskmill_task_wait_seconds)",
    ],
)
def test_a_metric_or_label_that_is_not_there_would_be_noticed(wrong: str) -> None:
    names = metrics_in(wrong)
    assert not names <= KNOWN.keys() or not labels_in(wrong) <= labels_of(wrong, KNOWN)


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_counters_are_shown_by_their_growth_and_figures_of_all_are_not_added_up(expr: str) -> None:
    for name in metrics_in(expr):
        if KNOWN[name].kind in {"counter", "histogram"}:
            assert re.search(rf"\b(?:rate|increase)\({name}\b", expr), f"{name} only ever grows"
        if name in whole_system():
            assert re.search(rf"\bmax(?: by \([^)]*\) )?\({name}\b", expr), f"{name}: use max"


@pytest.mark.parametrize(("panel", "target"), QUERIES)
def test_a_legend_names_only_labels_that_the_series_keep(panel: Json, target: Json) -> None:
    kept = re.search(r"\b(?:sum|max|count) by \(([^)]*)\)", target["expr"])
    shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    assert shown <= set(re.findall(r"\w+", kept[1] if kept else ""))
    if len(panel["targets"]) > 1:
        assert target["legendFormat"], "two series have the same name"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one["uid"])
def test_panels_lie_beside_each_other_and_have_numbers_of_their_own(dashboard: Json) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one["uid"])
def test_every_variable_that_a_panel_uses_can_be_chosen(dashboard: Json) -> None:
    offered = {one["name"] for one in choices(dashboard)} | {"__rate_interval", "datasource"}
    texts = json.dumps([*dashboard["panels"], *choices(dashboard)])
    assert set(re.findall(r"\$\{?(\w+)", texts)) <= offered | {"__all"}
    for one in choices(dashboard):
        [(metric, label)] = re.findall(r"label_values\((.+), (\w+)\)", one["query"]["query"])
        assert metrics_in(metric) <= KNOWN.keys()
        assert {label, *labels_in(metric)} <= labels_of(metric, KNOWN)


def test_every_panel_says_what_it_shows() -> None:
    for panel in PANELS:
        names = {name for target in panel["targets"] for name in metrics_in(target["expr"])}
        for name in names & {name for name in KNOWN if name.startswith("taskmill_")}:
            assert f"`{name}`: " in panel["description"], panel["title"]


def test_dashboards_are_unique_and_lead_to_each_other() -> None:
    assert len({one["uid"] for one in DASHBOARDS}) == len(DASHBOARDS) == 4
    assert all(one["links"][0]["tags"] == one["tags"] for one in DASHBOARDS)
    assert [path.stem for path in FILES] == [one["uid"] for one in DASHBOARDS]


def test_metrics_that_programs_of_others_have_too_are_of_our_job() -> None:
    shared = [expr for expr in EXPRESSIONS if re.search(r"\b(?:up|process_\w+)\{", expr)]
    assert len(shared) == 3
    assert all('job="taskmill"' in expr for expr in shared)
    bare = r"\b(?:up|process_\w+)\b(?!\{)"
    assert not [expr for expr in EXPRESSIONS if re.search(bare, re.sub(r"\{.*?\}", "{}", expr))]


def test_what_alerts_and_dashboards_say_of_the_job_agrees() -> None:
    jobs = {job for expr in EXPRESSIONS for job in re.findall(r'job="(\w+)"', expr)}
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    assert jobs == {one["job_name"] for one in prometheus["scrape_configs"]}


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    provisioned = GRAFANA / "provisioning"
    [source] = _read(provisioned / "datasources/prometheus.yml")["datasources"]
    services = _read(ROOT / "compose.yaml")["services"]
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"
    [provider] = _read(provisioned / "dashboards/taskmill.yml")["providers"]
    mounted = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    assert mounted["./deploy/grafana/dashboards"] == provider["options"]["path"]
    assert mounted["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"


def _read(path: Path) -> Json:
    whole: Json = yaml.safe_load(path.read_text(encoding="utf-8"))
    return whole
