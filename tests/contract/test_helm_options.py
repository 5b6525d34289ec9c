"""The chart for Kubernetes: networks, numbers of pods, monitoring, and values that are refused."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest
import yaml  # type: ignore[import-untyped]  # no stubs for one call
from pydantic import SecretStr

from taskmill import settings as configuration
from taskmill.observability.kinds import OTHER
from tests.support.charts import (
    CHART,
    EVERYTHING,
    LEAST,
    NAMESPACE,
    RELEASE,
    Json,
    errors,
    named,
    of_kind,
    refusal,
    render,
)
from tests.support.metrics_reference import described, labels_in, labels_of, metrics_in
from tests.support.processes import ROOT
from tools.release.chart import pack

pytestmark = pytest.mark.slow

PAGE: Final = (ROOT / "docs/operations/kubernetes.md").read_text(encoding="utf-8")
PEERS: Final = [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]


@pytest.fixture(scope="module")
def least() -> list[Json]:
    return render(LEAST)


@pytest.fixture(scope="module")
def everything() -> list[Json]:
    return render(EVERYTHING)


def policy(objects: list[Json], part: str = "") -> Json:
    [one] = named(objects, "NetworkPolicy", f"{RELEASE}{part}")
    spec: Json = one["spec"]
    return spec


def test_nothing_comes_in_but_requests_to_the_api(least: list[Json]) -> None:
    assert policy(least)["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy(least)
    assert policy(least, "-api")["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8000}]}]
    assert (
        policy(least, "-api")["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "api"
    )
    coming = [one for one in of_kind(least, "NetworkPolicy") if "ingress" in one["spec"]]
    assert len(coming) == 1


def test_metrics_are_for_those_who_are_named(everything: list[Json]) -> None:
    assert policy(everything)["ingress"] == [
        {"from": PEERS, "ports": [{"protocol": "TCP", "port": 8001}]}
    ]


def test_only_workers_and_webhooks_may_call_others(least: list[Json]) -> None:
    names, database = policy(least)["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert database == {"ports": [{"protocol": "TCP", "port": 5432}]}
    [broker] = policy(least, "-broker")["egress"]
    assert [port["port"] for port in broker["ports"]] == [5671, 5672]
    outbound = policy(least, "-outbound")
    [who] = outbound["podSelector"]["matchExpressions"]
    assert (who["key"], who["values"]) == ("taskmill/role", ["worker", "webhooks"])
    assert [to["ipBlock"]["cidr"] for to in outbound["egress"][0]["to"]] == ["0.0.0.0/0", "::/0"]


def test_every_pod_reaches_what_it_needs_and_nothing_else(everything: list[Json]) -> None:
    """All policies that select a pod add up: one that was selected by none would reach everything."""
    names, database, broker = {53}, {5432}, {5671, 5672}
    for one in of_kind(everything, "Deployment") + of_kind(everything, "Job"):
        labels = one["spec"]["template"]["metadata"]["labels"]
        role = labels.get("taskmill/role")
        leaving = [
            spec["egress"]
            for spec in (each["spec"] for each in of_kind(everything, "NetworkPolicy"))
            if "Egress" in spec["policyTypes"] and selects(spec["podSelector"], labels)
        ]
        rules = [rule for rules in leaving for rule in rules]
        assert leaving, one["metadata"]["name"]
        ports = {port["port"] for rule in rules for port in rule.get("ports", ())}
        assert ports == names | database | (broker if role else set())
        assert any("ports" not in rule for rule in rules) is (role in {"worker", "webhooks"})


def selects(selector: Json, labels: Json) -> bool:
    """Whether a selector matches labels, by what the chart uses of selectors."""
    asked = selector.get("matchExpressions", ())
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        one["key"] in labels and labels[one["key"]] in one.get("values", labels.values())
        for one in asked
    )


def test_peers_narrow_the_policies() -> None:
    objects = render(
        LEAST
        | {
            "networkPolicy": {
                "apiFrom": PEERS,
                "database": {"to": PEERS},
                "broker": {"to": PEERS},
                "outbound": [],
                "extraEgress": [{"to": PEERS}],
            }
        }
    )
    assert policy(objects, "-api")["ingress"][0]["from"] == PEERS
    assert policy(objects)["egress"][1]["to"] == PEERS
    assert policy(objects)["egress"][2] == {"to": PEERS}
    assert policy(objects, "-broker")["egress"][0]["to"] == PEERS
    assert not named(objects, "NetworkPolicy", f"{RELEASE}-outbound")


def test_what_is_scaled_has_no_number_of_its_own(everything: list[Json]) -> None:
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for one in of_kind(everything, kind)
    }
    assert scaled == {"taskmill-api", "taskmill-worker-general", "taskmill-worker-mail"}
    fixed = {
        one["metadata"]["name"]
        for one in of_kind(everything, "Deployment")
        if "replicas" in one["spec"]
    }
    every = {one["metadata"]["name"] for one in of_kind(everything, "Deployment")}
    assert fixed == every - scaled


def test_a_pool_grows_while_tasks_of_its_queues_wait(everything: list[Json]) -> None:
    [mail] = of_kind(everything, "ScaledObject")
    [trigger] = mail["spec"]["triggers"]
    expr = trigger["metadata"]["query"]
    own, others, none = expr.split(" or ")
    assert own == r"max(taskmill_queue_oldest_due_seconds{queue=~`mail|news\.letters`})"
    # Queues beyond TASKMILL_METRICS__KINDS have no series of their own.
    assert others == f"max(taskmill_queue_oldest_due_seconds{{queue=`{OTHER}`}})"
    assert none == "0 * max(taskmill_system_up{} == 1)"
    assert metrics_in(expr) <= described().keys()
    assert labels_in(expr.replace("`", '"')) <= labels_of(expr, described())
    # Of AverageValue two pods would do for twice the wait, however long that lasts.
    assert trigger["metricType"] == "Value"
    assert trigger["metadata"]["threshold"] == "10"


def test_a_pool_stays_as_it_is_while_there_are_no_figures(everything: list[Json]) -> None:
    """PostgreSQL or Prometheus is away then; KEDA would take an empty result for 0, and pods away."""
    [mail] = of_kind(everything, "ScaledObject")
    [trigger] = mail["spec"]["triggers"]
    assert trigger["metadata"]["ignoreNullValues"] == "false"


def test_a_pool_can_be_scaled_by_the_metrics_of_its_release_only() -> None:
    keda = {"enabled": True, "prometheusAddress": "http://prometheus:9090"}
    pools = {"general": {"keda": keda | {"labels": {"namespace": "tasks", "cluster": "a"}}}}
    [general] = of_kind(render(LEAST | {"pools": pools}), "ScaledObject")
    expr = general["spec"]["triggers"][0]["metadata"]["query"]
    assert re.findall(r"{(.*?)}", expr) == [
        "cluster=`a`,namespace=`tasks`,queue=~`.*`",
        f"cluster=`a`,namespace=`tasks`,queue=`{OTHER}`",
        "cluster=`a`,namespace=`tasks`",
    ]


def test_monitoring_is_as_without_kubernetes(everything: list[Json]) -> None:
    [rules] = of_kind(everything, "PrometheusRule")
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8"))
    assert rules["spec"] == alerts
    [monitor] = of_kind(everything, "ServiceMonitor")
    [endpoint] = monitor["spec"]["endpoints"]
    [service] = named(everything, "Service", "taskmill-metrics")
    assert (
        monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    )
    assert [endpoint["port"]] == [port["name"] for port in service["spec"]["ports"]]
    # The alerts look for this job.
    assert {"targetLabel": "job", "replacement": "taskmill"} in endpoint["relabelings"]
    shown: dict[str, str] = {}
    for one in of_kind(everything, "ConfigMap"):
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        shown |= one["data"]
    files = (ROOT / "deploy/grafana/dashboards").glob("*.json")
    assert {name: json.loads(text) for name, text in shown.items()} == {
        path.name: json.loads(path.read_text("utf-8")) for path in files
    }


def test_the_packed_chart_renders_the_same(tmp_path: Path, everything: list[Json]) -> None:
    packed = render(EVERYTHING, pack(tmp_path))
    assert sorted(packed, key=kind_and_name) == sorted(everything, key=kind_and_name)


def test_the_command_helm_renders_the_same(tmp_path: Path, everything: list[Json]) -> None:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("there is no helm here: its library has rendered the chart for all other tests")
    values = tmp_path / "values.json"
    values.write_text(json.dumps(EVERYTHING), encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - fixed words
        [helm, "template", RELEASE, CHART, "--namespace", NAMESPACE, "--values", values],
        check=True,
        capture_output=True,
        text=True,
    )
    shown = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert sorted(shown, key=kind_and_name) == sorted(everything, key=kind_and_name)


def kind_and_name(one: Json) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


REFUSED: Final[list[tuple[Json, str]]] = [
    ({"replicaCount": 3}, "replicaCount"),
    ({"api": {"replica": 3}}, "replica"),
    ({"pools": {"Mail": {}}}, "Mail"),
    ({"pools": {"mail": {"queues": ["a,b"]}}}, "queues"),
    ({"settings": {"LEASE_TTL": 30}}, "LEASE_TTL"),
    ({"settings": {"TASKMILL_DATABASE_URL": "postgresql://a:b@c/d"}}, "TASKMILL_DATABASE_URL"),
    ({"settings": {"TASKMILL_ADMIN_PORT": 9000}}, "instead of TASKMILL_ADMIN_PORT"),
    (
        {"pools": {"mail": {"settings": {"TASKMILL_WORKER__GRACE_S": 600}}}},
        "instead of TASKMILL_WORKER__GRACE_S set graceSeconds",
    ),
    ({"api": {"ingress": {"enabled": True}}}, "host"),
    ({"image": {"digest": "latest"}}, "digest"),
    ({"database": {"secret": {"name": ""}}}, "database.secret.name"),
    ({"broker": {"secret": {"name": ""}}}, "broker.secret.name"),
    (
        {"pools": {"a": {"autoscaling": {"enabled": True}, "keda": {"enabled": True}}}},
        "autoscaling and keda",
    ),
    ({"pools": {"a": {"keda": {"enabled": True}}}}, "keda.prometheusAddress"),
    ({"metrics": {"serviceMonitor": {"enabled": True}}}, "networkPolicy.metricsFrom"),
]


def test_values_that_can_not_work_are_refused() -> None:
    for values, why in REFUSED:
        assert why in refusal(LEAST | values)


def secrets_of(fields: dict[str, Any], prefix: str = "TASKMILL_") -> set[str]:
    """The names of settings whose values contain a secret."""
    found = set()
    for name, field in fields.items():
        kind = field.annotation
        if hasattr(kind, "model_fields"):
            found |= secrets_of(kind.model_fields, f"{prefix}{name.upper()}__")
        elif SecretStr.__name__ in str(kind):
            found.add(prefix + name.upper())
    return found


def test_no_secret_is_accepted_as_a_value() -> None:
    schema = jsonschema_rs.validator_for(
        json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    )
    secrets = secrets_of(dict(configuration.Settings.model_fields))
    assert {"TASKMILL_DATABASE_URL", "TASKMILL_OUTBOUND__PUSH_SIGNING_KEYS"} <= secrets
    for name in secrets:
        assert not schema.is_valid({"settings": {name: "x"}}), name
    known = {one.name for one in configuration.effective(configuration.Settings.model_construct())}
    for name in known - secrets:
        assert schema.is_valid({"settings": {name: "x"}}), name


def test_the_defaults_are_what_the_schema_knows() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert set(values) == set(schema["properties"]) - {"global"}


def test_the_page_shows_values_and_objects_that_are_valid() -> None:
    shown = re.findall(r"^```yaml(?: title=\"(.*?)\")?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    parts = [yaml.safe_load(text) for name, text in shown if name != "admin.yaml"]
    assert len(parts) > 4
    for part in parts:
        assert of_kind(render(LEAST | part), "Deployment")
    [key] = [yaml.safe_load(text) for name, text in shown if name == "admin.yaml"]
    assert errors([key], "1.31") == []
    assert key["spec"]["enableServiceLinks"] is False
