"""Renders the chart for Kubernetes with Helm's own library, and finds things in what comes out.

The library and the schemas of Kubernetes take 350 MB, so they have an environment of their own,
`.venv-chart`, which the first test that needs it makes.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # no stubs for one call

from tests.support.processes import ROOT

Json = dict[str, Any]

CHART: Final = ROOT / "deploy/helm/taskmill"
RELEASE: Final = "taskmill"
NAMESPACE: Final = "tasks"
ENVIRONMENT: Final = ROOT / ".venv-chart"
PROGRAM: Final = ROOT / "tests/contract/chart/program.py"

LEAST: Final[Json] = {
    "database": {"secret": {"name": "db"}},
    "broker": {"secret": {"name": "mq"}},
}
EVERYTHING: Final[Json] = LEAST | {
    "image": {"repository": "registry.example.org/taskmill", "digest": f"sha256:{'0' * 64}"},
    "imagePullSecrets": [{"name": "pull"}],
    "secretsKey": {"secret": {"name": "keys"}},
    "settings": {"TASKMILL_LIMITS__BODY_BYTES": 2097152, "TASKMILL_LEASE__TTL_S": 30.5},
    "api": {
        "drainSeconds": 12,
        "allowedHosts": ["inside.example.org"],
        "trustedProxies": ["10.0.0.0/8"],
        "autoscaling": {"enabled": True},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "host": "tasks.example.org",
            "tlsSecretName": "tls",
        },
    },
    "pools": {
        "general": {"autoscaling": {"enabled": True}},
        "mail": {
            "queues": ["mail=3", "news.letters"],
            "settings": {"TASKMILL_TASK_LOG__LEVEL": "debug"},
            "keda": {"enabled": True, "prometheusAddress": "http://prometheus:9090"},
        },
        "reports": {
            "image": {"repository": "registry.example.org/reports", "tag": "17"},
            "app": "reports.tasks:app",
            "graceSeconds": 600,
            "env": [{"name": "REPORTS", "value": "1"}],
            "nodeSelector": {"disk": "fast"},
            "podAnnotations": {"of": "reports"},
            "priorityClassName": "low",
        },
    },
    "networkPolicy": {"metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]},
    "metrics": {
        "serviceMonitor": {"enabled": True},
        "rules": {"enabled": True},
        "dashboards": {"enabled": True},
    },
}
WITHOUT_BROKER: Final[Json] = {
    "database": {"secret": {"name": "db"}},
    "broker": {"enabled": False},
    "webhooks": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "serviceAccount": {"create": False},
    "migration": {"enabled": False},
}
# Defined by operators, not by Kubernetes.
CUSTOM: Final = {"PrometheusRule", "ScaledObject", "ServiceMonitor"}


@cache
def _program() -> subprocess.Popen[str]:
    """Start the program that answers; it ends with its input, which is with this process."""
    make, lock = ROOT / "scripts/make_environment.py", ROOT / "requirements/chart.txt"
    subprocess.run([sys.executable, "-I", make, ENVIRONMENT, lock, ""], check=True)  # noqa: S603 - our own script
    return subprocess.Popen(  # noqa: S603 - our own program
        [ENVIRONMENT / "bin/python", "-I", PROGRAM, CHART, RELEASE, NAMESPACE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _result_of(question: Json) -> Any:  # noqa: ANN401 - any JSON
    program = _program()
    assert program.stdin
    assert program.stdout
    program.stdin.write(json.dumps(question) + "\n")
    program.stdin.flush()
    return json.loads(program.stdout.readline())


def render(values: Json, chart: Path = CHART) -> list[Json]:
    """Return the objects that Helm makes of these values, those of hooks included; of a folder or an archive."""
    result = _result_of({"render": values, "chart": str(chart)})
    assert "texts" in result, result
    texts = {path: text for path, text in result["texts"].items() if not path.endswith(".txt")}
    return [one for text in texts.values() for one in yaml.safe_load_all(text) if one]


def refusal(values: Json) -> str:
    """Return why Helm refuses these values."""
    result = _result_of({"render": values, "chart": str(CHART)})
    assert "refused" in result, "the values are accepted"
    refused: str = result["refused"]
    return refused


def findings(values: Json) -> list[Json]:
    """Return what `helm lint` finds, beside hints."""
    found: list[Json] = _result_of({"lint": values})
    return [one for one in found if one["severity"] > 1]


def errors(objects: list[Json], version: str) -> list[str]:
    """Return what is wrong with objects, by the strict schemas of this version of Kubernetes."""
    known = [one for one in objects if one["kind"] not in CUSTOM]
    found: list[str] = _result_of({"validate": known, "version": version})
    return found


def of_kind(objects: list[Json], kind: str) -> list[Json]:
    """Return the objects of a kind."""
    return [one for one in objects if one["kind"] == kind]


def named(objects: list[Json], kind: str, name: str) -> list[Json]:
    """Return the objects of a kind with this name."""
    return [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]


def by_name(objects: list[Json], kind: str) -> Mapping[str, Json]:
    """Return the objects of a kind by their names."""
    return {one["metadata"]["name"]: one for one in of_kind(objects, kind)}


def pod_of(one: Json) -> Json:
    """Return the pod that a Deployment or a Job makes."""
    pod: Json = one["spec"]["template"]["spec"]
    return pod


def pods(objects: list[Json]) -> Iterator[Json]:
    """Yield the pods of all Deployments and Jobs."""
    yield from map(pod_of, of_kind(objects, "Deployment") + of_kind(objects, "Job"))


def environment(pod: Json) -> dict[str, str]:
    """Return the variables of a pod's container; values of Secrets are made up, and fit."""
    given = {}
    for one in pod["containers"][0]["env"]:
        value = one.get("value", MADE_UP.get(one["name"], "made-up-for-tests"))
        given[one["name"]] = value
    return given


MADE_UP: Final = {
    "TASKMILL_DATABASE_URL": "postgresql://user:password-of-tests@db/taskmill",
    "TASKMILL_BROKER_URL": "amqp://user:password-of-tests@mq/taskmill",
}


def secrets_used(one: Json) -> dict[str, tuple[str, str]]:
    """Return the variables of a pod that come from Secrets: the Secret and its key, by name."""
    found = {}
    for variable in pod_of(one)["containers"][0]["env"]:
        source = variable.get("valueFrom", {}).get("secretKeyRef")
        if source:
            found[variable["name"]] = (source["name"], source["key"])
    return found
