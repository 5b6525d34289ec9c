"""The chart for Kubernetes: what Helm makes of it is valid, and does what the program needs."""

import re
from collections.abc import Mapping
from typing import Final

import pytest

from taskmill import settings as configuration
from taskmill.composition.process import API_GRACE_S
from taskmill.runtime.http_access import AccessRules
from tests.contract.test_containers import SERVICES, parse
from tests.support.charts import (
    CHART,
    EVERYTHING,
    LEAST,
    NAMESPACE,
    WITHOUT_BROKER,
    Json,
    by_name,
    environment,
    errors,
    findings,
    named,
    of_kind,
    pod_of,
    pods,
    render,
    secrets_used,
)
from tools.release import chart

pytestmark = pytest.mark.slow

# For handing back what still runs, and closing connections.
CLOSING_S: Final = 10
# Those that Compose runs, too.
SERVED: Final = {
    words[1] for one in SERVICES.values() if (words := one.get("command", ""))[:1] == ["run"]
}


@pytest.fixture(scope="module")
def releases() -> list[list[Json]]:
    """Three releases that differ in all that can be turned on and off."""
    return [render(LEAST), render(EVERYTHING), render(WITHOUT_BROKER)]


@pytest.fixture(scope="module")
def rendered(releases: list[list[Json]]) -> list[Json]:
    """The objects of all of them."""
    return [one for release in releases for one in release]


@pytest.fixture(scope="module")
def least(releases: list[list[Json]]) -> list[Json]:
    return releases[0]


@pytest.fixture(scope="module")
def everything(releases: list[list[Json]]) -> list[Json]:
    return releases[1]


def test_every_object_is_valid(rendered: list[Json]) -> None:
    for version in ("1.27", "1.32", "1.37"):
        assert errors(rendered, version) == []


def test_an_object_that_is_wrong_would_be_noticed() -> None:
    for kind, path, wrong in (
        ("Deployment", ("spec", "template", "spec"), {"enableServiceLink": False}),
        ("NetworkPolicy", ("spec",), {"egres": []}),
        ("Job", ("spec",), {"backoffLimit": "three"}),
    ):
        [changed, *_] = of_kind(render(LEAST), kind)
        part = changed
        for name in path:
            part = part[name]
        part |= wrong
        assert len(errors([changed], "1.32")) == 1


def test_helms_linter_finds_nothing() -> None:
    for values in (LEAST, EVERYTHING, WITHOUT_BROKER):
        assert findings(values) == []


def test_names_are_unique_and_belong_to_the_release(
    releases: list[list[Json]], rendered: list[Json]
) -> None:
    for release in releases:
        names = [(one["kind"], one["metadata"]["name"]) for one in release]
        assert len(set(names)) == len(names)
    for one in rendered:
        assert one["metadata"]["name"].startswith("taskmill")
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "taskmill"
        assert "namespace" not in one["metadata"]


def test_every_role_runs_twice_and_by_a_command_that_exists(least: list[Json]) -> None:
    deployments = of_kind(least, "Deployment")
    running = {one["metadata"]["name"].removeprefix("taskmill-") for one in deployments}
    assert running == (SERVED - {"worker"}) | {"worker-general"}
    assert {one["spec"]["replicas"] for one in deployments} == {2}
    for pod in pods(least):
        parse(pod["containers"][0]["args"])


def test_one_pod_of_each_can_be_had_and_be_evicted() -> None:
    small = render(LEAST | {"defaults": {"replicas": 1}})
    assert {one["spec"]["replicas"] for one in of_kind(small, "Deployment")} == {1}
    # At least one that stays would keep the node from being drained.
    budgets = [one["spec"] for one in of_kind(small, "PodDisruptionBudget")]
    assert all(budget["maxUnavailable"] == 1 for budget in budgets)
    assert not any("minAvailable" in budget for budget in budgets)


def test_without_a_broker_nothing_needs_one() -> None:
    bare = render(WITHOUT_BROKER)
    running = {one["metadata"]["name"] for one in of_kind(bare, "Deployment")}
    assert running == {"taskmill-api", "taskmill-maintenance", "taskmill-worker-general"}
    for pod in pods(bare):
        given = environment(pod)
        assert given["TASKMILL_BROKER"] == "postgres"
        assert "TASKMILL_BROKER_URL" not in given
    assert not of_kind(bare, "Job") + of_kind(bare, "NetworkPolicy")


def test_every_setting_is_known_and_has_a_good_value(
    rendered: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    for pod in pods(rendered):
        with monkeypatch.context() as patch:
            for name, value in environment(pod).items():
                patch.setenv(name, value)
            loaded = configuration.load()
            assert loaded.require_database_url().startswith("postgresql://")


def test_settings_reach_the_pods(everything: list[Json]) -> None:
    given = {
        one["metadata"]["name"]: environment(pod_of(one))
        for one in of_kind(everything, "Deployment")
    }
    for of_one in given.values():
        assert of_one["TASKMILL_LIMITS__BODY_BYTES"] == "2097152"
        assert of_one["TASKMILL_LEASE__TTL_S"] == "30.5"
    mail = given["taskmill-worker-mail"]
    assert mail["TASKMILL_WORKER__QUEUES"] == "mail=3,news.letters"
    assert mail["TASKMILL_TASK_LOG__LEVEL"] == "debug"
    assert "TASKMILL_TASK_LOG__LEVEL" not in given["taskmill-worker-reports"]
    assert given["taskmill-worker-reports"]["TASKMILL_WORKER__APP"] == "reports.tasks:app"
    assert given["taskmill-api"]["TASKMILL_API__TRUSTED_PROXIES"] == "10.0.0.0/8"


def test_images_are_those_that_were_named(everything: list[Json]) -> None:
    images = {
        one["metadata"]["name"]: pod_of(one)["containers"][0]["image"]
        for one in of_kind(everything, "Deployment")
    }
    assert images.pop("taskmill-worker-reports") == "registry.example.org/reports:17"
    assert set(images.values()) == {f"registry.example.org/taskmill@sha256:{'0' * 64}"}
    [job] = of_kind(render(LEAST), "Job")
    [container] = pod_of(job)["containers"]
    assert container["image"] == f"taskmill:{chart.version()}"


def test_a_digest_is_of_the_image_that_it_was_given_for() -> None:
    digest = f"sha256:{'1' * 64}"
    images = {"repository": "registry.example.org/taskmill", "digest": f"sha256:{'0' * 64}"}
    own = {"repository": "registry.example.org/own"}
    pools = {"general": None, "a": {"image": own}, "b": {"image": own | {"digest": digest}}}
    objects = by_name(render(LEAST | {"image": images, "pools": pools}), "Deployment")
    shown = {
        name: pod_of(one)["containers"][0]["image"]
        for name, one in objects.items()
        if "worker" in name
    }
    assert shown == {
        "taskmill-worker-a": f"registry.example.org/own:{chart.version()}",
        "taskmill-worker-b": f"registry.example.org/own@{digest}",
    }


def test_the_migration_can_be_given_certificates() -> None:
    file = {"name": "ca", "mountPath": "/ca", "readOnly": True}
    volume = {"name": "ca", "configMap": {"name": "postgres-ca"}}
    own: Json = {
        "env": [{"name": "PGSSLROOTCERT", "value": "/ca/ca.crt"}],
        "envFrom": [{"secretRef": {"name": "more"}}],
        "volumes": [volume],
        "volumeMounts": [file],
    }
    [job] = of_kind(render(LEAST | {"migration": own}), "Job")
    assert errors([job], "1.32") == []
    pod = pod_of(job)
    [container] = pod["containers"]
    assert own["env"][0] in container["env"]
    assert container["envFrom"] == own["envFrom"]
    assert file in container["volumeMounts"]
    assert volume in pod["volumes"]


def test_each_role_has_the_addresses_of_its_own_logins(least: list[Json]) -> None:
    used = {
        one["metadata"]["name"]: secrets_used(one)
        for one in of_kind(least, "Deployment") + of_kind(least, "Job")
    }
    app = {"TASKMILL_DATABASE_URL": ("db", "app-url")}

    def broker(key: str) -> dict[str, tuple[str, str]]:
        return {"TASKMILL_BROKER_URL": ("mq", key)}

    assert used == {
        "taskmill-api": app | broker("api-url"),
        "taskmill-webhooks": app | broker("api-url"),
        "taskmill-relay": app | broker("relay-url"),
        "taskmill-intake": app | broker("intake-url"),
        "taskmill-worker-general": app | broker("worker-url"),
        "taskmill-maintenance": {"TASKMILL_DATABASE_URL": ("db", "maintenance-url")}
        | broker("api-url"),
        "taskmill-migrate": {
            "TASKMILL_DATABASE_URL": ("db", "migrate-url"),
            "TASKMILL_ROLES__APP_PASSWORD": ("db", "app-password"),
            "TASKMILL_ROLES__MAINTENANCE_PASSWORD": ("db", "maintenance-password"),
        },
    }


def test_the_chart_makes_no_secret_and_has_no_password(rendered: list[Json]) -> None:
    assert not of_kind(rendered, "Secret")
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    assert not re.search(r"(?i)password: *[\"']?(?!app-password|maintenance-password)\w", values)


def test_only_those_who_need_the_key_of_secrets_see_it(everything: list[Json]) -> None:
    mounted = set()
    for one in of_kind(everything, "Deployment"):
        pod = pod_of(one)
        if any("secret" in volume for volume in pod["volumes"]):
            mounted.add(one["metadata"]["name"])
            [volume] = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
            # Root's file, that its group may read: storage/key_file.py accepts it.
            assert volume["defaultMode"] == 0o440
            [mount] = [
                m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "secrets-key"
            ]
            file = f"{mount['mountPath']}/{volume['items'][0]['path']}"
            assert environment(pod)["TASKMILL_SECRETS_KEY_FILE"] == file
    assert mounted == {"taskmill-api", "taskmill-webhooks"}


def test_every_pod_is_hardened(rendered: list[Json]) -> None:
    for pod in pods(rendered):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == 10001
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]  # noqa: S108 - a mount, not a file


def test_services_are_no_variables_of_pods(rendered: list[Json]) -> None:
    """A Service `taskmill-api` would be TASKMILL_API_SERVICE_HOST, which is not a setting, and an error."""
    for pod in pods(rendered):
        assert pod["enableServiceLinks"] is False


def test_probes_ask_the_admin_port(rendered: list[Json]) -> None:
    for one in of_kind(rendered, "Deployment"):
        pod = pod_of(one)
        [container] = pod["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        given = environment(pod)
        assert given["TASKMILL_ADMIN_PORT"] == str(ports["admin"])
        assert given["TASKMILL_ADMIN_HOST"] == "0.0.0.0"  # noqa: S104 - within the pods' network
        asked = {probe: container[probe]["httpGet"] for probe in container if "Probe" in probe}
        alive, ready = {"path": "/healthz", "port": "admin"}, {"path": "/readyz", "port": "admin"}
        assert asked == {"startupProbe": alive, "livenessProbe": alive, "readinessProbe": ready}
        # Without a database /readyz takes 5 s to say so.
        assert container["readinessProbe"]["timeoutSeconds"] > 5


def test_a_pod_gets_the_time_that_its_role_takes_to_stop(
    everything: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = {"TASKMILL_WORKER__STOP_TIMEOUT_S": 7.5, "TASKMILL_API__STOP_DELAY_S": 90}
    for one in of_kind(everything, "Deployment") + of_kind(
        render(LEAST | {"settings": slow}), "Deployment"
    ):
        pod = pod_of(one)
        with monkeypatch.context() as patch:
            for name, value in environment(pod).items():
                patch.setenv(name, value)
            loaded = configuration.load()
        longest_s = {
            "worker": loaded.worker.longest_stop_s,
            "api": drain_s(pod) + loaded.api.stop_delay_s + API_GRACE_S,
        }.get(one["spec"]["template"]["metadata"]["labels"]["taskmill/role"], API_GRACE_S)
        assert pod["terminationGracePeriodSeconds"] >= longest_s + CLOSING_S


def test_only_the_api_waits_before_it_stops(everything: list[Json]) -> None:
    for one in of_kind(everything, "Deployment"):
        expected = 12 if one["metadata"]["name"] == "taskmill-api" else 0
        assert drain_s(pod_of(one)) == expected


def drain_s(pod: Json) -> int:
    """How long a pod goes on after it was told to stop, before its process is."""
    hook = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("exec", {})
    return int(hook.get("command", ["sleep", "0"])[1])


def test_the_api_is_served_under_its_names_and_addresses(
    everything: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    [api] = named(everything, "Deployment", "taskmill-api")
    for name, value in environment(pod_of(api)).items():
        monkeypatch.setenv(name, value)
    loaded = configuration.load()
    rules = AccessRules.of(loaded.api)
    for host in (
        "taskmill-api",
        f"taskmill-api.{NAMESPACE}",
        f"taskmill-api.{NAMESPACE}.svc",
        f"taskmill-api.{NAMESPACE}.svc.cluster.local",
        "tasks.example.org",
        "inside.example.org",
        "10.1.2.3:8000",
    ):
        assert rules.allows_host(host.encode()), host
    assert not rules.allows_host(b"evil.test")
    assert loaded.auth == "required"


def test_services_and_disruption_budgets_select_the_pods_of_one_deployment(
    releases: list[list[Json]],
) -> None:
    for release in releases:
        deployments = by_name(release, "Deployment")
        budgets = by_name(release, "PodDisruptionBudget")
        assert budgets.keys() == deployments.keys()
        for name, budget in budgets.items():
            assert selected(deployments, budget["spec"]["selector"]["matchLabels"]) == {name}
        services = by_name(release, "Service")
        api, metrics = services["taskmill-api"]["spec"], services["taskmill-metrics"]["spec"]
        assert selected(deployments, api["selector"]) == {"taskmill-api"}
        assert selected(deployments, metrics["selector"]) == deployments.keys()


def selected(deployments: Mapping[str, Json], selector: dict[str, str]) -> set[str]:
    """The names of the Deployments whose pods have these labels."""
    return {
        name
        for name, one in deployments.items()
        if selector.items() <= one["spec"]["template"]["metadata"]["labels"].items()
    }


def test_the_migration_runs_before_the_pods_and_is_done_once(least: list[Json]) -> None:
    [job] = of_kind(least, "Job")
    assert job["metadata"]["annotations"] == {
        "helm.sh/hook": "pre-install,pre-upgrade",
        "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
    }
    pod = pod_of(job)
    assert pod["restartPolicy"] == "Never"
    # The release's own account does not exist yet when the hook runs.
    assert pod["serviceAccountName"] == "default"
    assert pod["containers"][0]["args"] == ["migrate", "--roles"]
