"""The example for Prometheus: it is valid YAML, and names only metrics and labels that exist."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # no stubs for one call

from scripts.alerts_page import PAGE, alerts, page
from scripts.metrics_page import page as metrics_page
from taskmill.observability.catalogue import SECTIONS

ROOT: Final = Path(__file__).resolve().parents[2]
CONFIGURATION: Final = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
SERVICES: Final = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
ALERTS: Final = list(alerts())

# What may follow a metric's name: nothing for a number, one of these for a histogram.
PARTS: Final = ("_bucket", "_sum", "_count")
NAMED: Final = re.compile(r"\b(taskmill_\w+|up)\b(?:\{([^}]*(?:\{[^}]*\][^}]*)?)\})?")
# What Prometheus itself adds to each.
ADDED: Final = {"instance", "job", "le"}


def labels_by_name() -> dict[str, set[str]]:
    """All names that can stand in an expression, with their labels."""
    metrics_page()
    known = {"up": set[str]()}
    for metric in (metric for section in SECTIONS for metric in section.metrics):
        labels = set(metric.labels)
        parts = PARTS if metric.kind == "histogram" else ("",)
        known |= {metric.name + part: labels for part in parts}
    return known


def named(alert: dict[str, Any]) -> set[str]:
    return {name for name, _ in NAMED.findall(alert["expr"])}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_uses_metrics_and_labels_that_exist(alert: dict[str, Any]) -> None:
    known = labels_by_name()
    assert named(alert), "it names no metric"
    assert named(alert) <= known.keys()
    available = ADDED.union(*(known[name] for name in named(alert)))
    labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", alert["expr"])
    grouped = re.findall(r"\b(?:by|on|without) \(([^)]*)\)", alert["expr"])
    assert {*labels, *re.findall(r"\w+", " ".join(grouped))} <= available


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_counters_are_used_by_their_growth(alert: dict[str, Any]) -> None:
    for name in named(alert):
        if name.endswith(("_total", "_bucket")):
            grows = re.search(rf"(rate|increase)\({name}|{name} offset", alert["expr"])
            assert grows, f"{name} only ever grows"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_has_a_meaning_and_advice(alert: dict[str, Any]) -> None:
    assert alert.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Taskmill[A-Z][A-Za-z]+", alert["alert"])
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"].keys() == {"summary", "meaning", "to_do"}
    assert re.fullmatch(r"\d+[mh]", alert.get("for", "1m"))
    for word in ("meaning", "to_do"):
        assert alert["annotations"][word].endswith((".", "?"))
        assert "{{" not in alert["annotations"][word], "the page shows it as it is"
    known = labels_by_name()
    available = ADDED.union(*(known[name] for name in named(alert)))
    shown = re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"])
    assert set(shown) <= available


def test_figures_of_the_whole_system_are_never_added_up() -> None:
    metrics_page()
    [whole] = [section for section in SECTIONS if section.title == "The whole system"]
    names = {metric.name for metric in whole.metrics}
    for alert in ALERTS:
        for name in named(alert) & names:
            assert re.search(rf"max (?:by \([^)]*\) )?\({name}|max\({name}", alert["expr"])


def test_a_process_without_a_certificate_raises_no_alert() -> None:
    """It exports 0, which would be a certificate that expired in 1970."""
    [alert] = [one for one in ALERTS if one["alert"] == "TaskmillCertificateExpires"]
    [name] = named(alert)
    assert f"{name} > 0" in alert["expr"]


def test_alerts_are_unique() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)


def test_the_page_matches_the_rules() -> None:
    assert PAGE.read_text(encoding="utf-8") == page().rstrip("\n") + "\n", (
        "run `python scripts/alerts_page.py`"
    )


def test_prometheus_finds_the_roles_of_the_compose_file() -> None:
    [job] = CONFIGURATION["scrape_configs"]
    [discovery] = job["dns_sd_configs"]
    ours = {name for name, one in SERVICES.items() if one.get("command", "")[:1] == ["run"]}
    # The second of a role has the name of the first one, too.
    assert set(discovery["names"]) == {name.removeprefix("second-") for name in ours}
    ports = {SERVICES[name]["environment"]["TASKMILL_ADMIN_PORT"] for name in ours}
    assert ports == {str(discovery["port"])}
    hosts = {SERVICES[name]["environment"]["TASKMILL_ADMIN_HOST"] for name in ours}
    assert hosts == {"0.0.0.0"}  # noqa: S104 - within the containers' network
    assert CONFIGURATION["rule_files"] == ["alerts.yml"]
    jobs = {job["job_name"]}
    assert {job for a in ALERTS for job in re.findall(r'job="(\w+)"', a["expr"])} <= jobs
