"""The Compose file, as far as it can be checked without a container engine."""

import re
from pathlib import Path
from typing import Any, Final

import click
import jsonschema_rs
import orjson
import pytest
import yaml  # type: ignore[import-untyped]  # no stubs for one call

from taskmill import settings as configuration
from taskmill.amqp.users import ROLES
from taskmill.cli.main import program
from taskmill.composition.process import API_GRACE_S
from taskmill.runtime.http_access import AccessRules
from taskmill.settings.client_key import ADMIN_KEY_FILE
from taskmill.storage.key_file import NAME as SECRETS_KEY

Json = dict[str, Any]

ROOT: Final = Path(__file__).resolve().parents[2]
COMPOSE: Final = (ROOT / "compose.yaml").read_text(encoding="utf-8")
DOCKERFILE: Final = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
EXAMPLE: Final = (ROOT / ".env.example").read_text(encoding="utf-8")
SPECIFICATION: Final = Path(__file__).parent / "compose-spec" / "schema.json"

VARIABLE: Final = re.compile(r"\$\{(\w+):-([^}]*)\}")
REQUIRED: Final = re.compile(r"\$\{(\w+):\?([^}]*)\}")
SECRETS: Final = {name: f"{name.lower()}-of-tests" for name, _ in REQUIRED.findall(COMPOSE)}
ONE_SHOT: Final = {"migrate", "broker-users"}
# What handing back and closing connections may take after the worker's own grace time.
STOP_MARGIN_S: Final = 15


def filled(part: Any, **values: str) -> Any:  # noqa: ANN401 - any part of a YAML file
    """Return a part of the Compose file as it is with these variables and secrets, the others unset."""
    if isinstance(part, dict):
        return {name: filled(value, **values) for name, value in part.items()}
    if isinstance(part, list):
        return [filled(value, **values) for value in part]
    if isinstance(part, str):
        part = REQUIRED.sub(lambda found: values.get(found[1]) or SECRETS[found[1]], part)
        return VARIABLE.sub(lambda found: values.get(found[1]) or found[2], part)
    return part


def compose(**values: str) -> Json:
    """Return the Compose file as it is with these variables, the others unset."""
    whole: Json = filled(yaml.safe_load(COMPOSE), **values)
    return whole


SERVICES: Final[dict[str, Json]] = compose()["services"]
OURS: Final = [name for name, one in SERVICES.items() if one["image"].startswith("taskmill")]
LONG_RUNNING: Final = [name for name in SERVICES if name not in ONE_SHOT]


@pytest.fixture(scope="module")
def specification() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(orjson.loads(SPECIFICATION.read_bytes()))


def test_the_file_is_compose(specification: jsonschema_rs.Draft202012Validator) -> None:
    assert [error.message for error in specification.iter_errors(compose())] == []


@pytest.mark.parametrize(
    "wrong", [{"depends_on": {"x": {"condition": "some"}}}, {"cap_drop": "ALL"}, {"restrat": "no"}]
)
def test_a_part_that_is_wrong_would_be_noticed(
    specification: jsonschema_rs.Draft202012Validator, wrong: Json
) -> None:
    changed = compose()
    changed["services"]["api"] |= wrong
    assert not specification.is_valid(changed)


def test_every_variable_has_a_default_but_passwords() -> None:
    # A doubled one is a single one in the container.
    assert "$" not in REQUIRED.sub("", VARIABLE.sub("", COMPOSE.replace("$$", "")))
    assert SECRETS.keys() == {
        "POSTGRES_PASSWORD",
        "POSTGRES_APP_PASSWORD",
        "POSTGRES_MAINTENANCE_PASSWORD",
        "RABBITMQ_PASSWORD",
        "RABBITMQ_API_PASSWORD",
        "RABBITMQ_INTAKE_PASSWORD",
        "RABBITMQ_RELAY_PASSWORD",
        "RABBITMQ_WORKER_PASSWORD",
    }
    assert {advice for _, advice in REQUIRED.findall(COMPOSE)} == {"run deploy/make-secrets first"}


def test_nobody_logs_in_with_what_everybody_knows() -> None:
    assert "guest:" not in COMPOSE
    # By default RabbitMQ lets "guest" in from its own machine only.
    assert "loopback_users" not in COMPOSE
    # With definitions to load RabbitMQ makes no user of its own.
    mounted = [volume.split(":")[:2] for volume in SERVICES["rabbitmq"]["volumes"]]
    conf = "./deploy/rabbitmq/definitions.conf"
    assert [conf, "/etc/rabbitmq/conf.d/20-definitions.conf"] in mounted
    assert "load_definitions = /definitions/taskmill.json" in (ROOT / conf).read_text("utf-8")
    assert SERVICES["broker-users"]["command"][-1] == "/definitions/taskmill.json"


def test_each_role_is_a_user_of_its_own_at_the_broker() -> None:
    users = {
        name: SERVICES[name]["environment"]["TASKMILL_BROKER_URL"].split("/")[2].partition(":")[0]
        for name in ("api", "worker", "relay", "intake", "maintenance", "webhooks")
    }
    assert users == {
        "api": "taskmill_api",
        "worker": "taskmill_worker",
        "relay": "taskmill_relay",
        "intake": "taskmill_intake",
        "maintenance": "taskmill_api",
        "webhooks": "taskmill_api",
    }


def test_only_migrations_are_the_superuser_and_only_maintenance_may_drop_weeks() -> None:
    users = {
        name: SERVICES[name]["environment"]["TASKMILL_DATABASE_URL"].split("/")[2].partition(":")[0]
        for name in OURS
        if name != "broker-users"  # which reads and writes nothing but its file
    }
    assert users.pop("migrate") == SERVICES["postgres"]["environment"]["POSTGRES_USER"]
    maintaining = {users.pop(name) for name in ("maintenance", "second-maintenance")}
    assert maintaining == {"taskmill_maintenance"}
    assert set(users.values()) == {"taskmill_app"}
    assert "--roles" in SERVICES["migrate"]["command"]
    passwords = [name for name in SERVICES["migrate"]["environment"] if "PASSWORD" in name]
    for name in set(OURS) - ONE_SHOT:
        assert not set(passwords) & set(SERVICES[name]["environment"])


def test_the_api_requires_keys_that_migrate_makes_before_it_starts() -> None:
    assert "--keys" in SERVICES["migrate"]["command"]
    environment = SERVICES["api"]["environment"]
    assert environment["TASKMILL_AUTH"] == "required"
    assert not environment["TASKMILL_API__OPEN_TO_ALL"]
    folder = SERVICES["migrate"]["environment"]["TASKMILL_DATA_DIR"]
    assert environment["TASKMILL_API_KEY_FILE"] == f"{folder}/{ADMIN_KEY_FILE}"
    for name in ("migrate", "api", "webhooks"):
        file = SERVICES[name]["environment"]["TASKMILL_SECRETS_KEY_FILE"]
        assert file == f"{folder}/{SECRETS_KEY}"
    assert f"--mode=700 --owner=taskmill --group=taskmill {folder}" in DOCKERFILE


def test_only_who_needs_the_keys_sees_them() -> None:
    mounted = {name: keys for name in OURS if (keys := SERVICES[name].get("volumes"))}
    assert mounted == {
        "broker-users": ["definitions:/definitions"],
        "migrate": ["keys:/var/lib/taskmill"],
        "api": ["keys:/var/lib/taskmill:ro"],
        "webhooks": ["keys:/var/lib/taskmill:ro"],
        "second-api": ["keys:/var/lib/taskmill:ro"],
        "second-webhooks": ["keys:/var/lib/taskmill:ro"],
    }


def test_the_example_names_every_variable_with_the_default_that_holds() -> None:
    own = {one.name: one.value for one in _defaults()}
    used = {name: default or own.get(name, "") for name, default in VARIABLE.findall(COMPOSE)}
    used |= dict.fromkeys(SECRETS, "")
    assert dict(re.findall(r"^#(\w+)=(.*)$", EXAMPLE, re.MULTILINE)) == used
    # What is set by mistake would hold for whoever copies the file.
    assert not re.search(r"^[^#\n]", EXAMPLE, re.MULTILINE)


def test_a_variable_has_one_default_wherever_it_is_used() -> None:
    uses = set(VARIABLE.findall(COMPOSE))
    assert len(uses) == len({name for name, _ in uses})


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_known_and_has_a_good_value(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for setting, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(setting, value)

    loaded = configuration.load()

    if name == "broker-users":
        assert len(loaded.broker_users.passwords()) == len(ROLES)
        return
    assert loaded.require_database_url().endswith("-of-tests@postgres:5432/taskmill")
    assert loaded.require_broker_url().endswith("_password-of-tests@rabbitmq:5672/taskmill")


@pytest.mark.parametrize("name", [name for name in OURS if name in LONG_RUNNING])
def test_every_container_is_served_under_its_names_and_addresses(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With its name in the containers' network, the machine's addresses, and the names in `.env`."""
    monkeypatch.chdir(tmp_path)
    for setting, value in compose(API_HOSTS="tasks.example.org")["services"][name][
        "environment"
    ].items():
        monkeypatch.setenv(setting, value)

    rules = AccessRules.of(configuration.load().api)

    for host in (
        f"{name}:8001",
        "api:8000",
        "172.18.0.5:8001",
        "localhost:8000",
        "tasks.example.org",
    ):
        assert rules.allows_host(host.encode()), host
    assert not rules.allows_host(b"evil.test")


def test_every_setting_of_the_image_is_known() -> None:
    named = set(re.findall(r"TASKMILL_\w+", DOCKERFILE + COMPOSE + EXAMPLE))
    assert "TASKMILL_ADMIN_PORT" in named
    assert named <= {"TASKMILL_API_KEY_FILE", *(one.name for one in _defaults())}


def _defaults() -> list[configuration.Effective]:
    return configuration.effective(configuration.Settings.model_construct())


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    parse(SERVICES[name]["command"])


@pytest.mark.parametrize("name", [name for name in OURS if name in LONG_RUNNING])
def test_every_health_check_is_by_the_program(name: str) -> None:
    how, first, *rest = SERVICES[name]["healthcheck"]["test"]
    assert (how, first) == ("CMD", "taskmill")
    parse(rest)


def parse(words: list[str]) -> None:
    """Fail for a command, role or option that the program does not have."""
    # With the settings, as a command keeps the help option of its first context.
    with click.Context(program, **program.context_settings) as context:
        command = program.get_command(context, words[0])
        assert command is not None
        command.make_context(words[0], words[1:], parent=context)


def test_every_role_runs() -> None:
    run = program.get_command(click.Context(program), "run")
    assert run is not None
    [roles] = [one.type for one in run.params if one.name == "roles"]
    assert isinstance(roles, click.Choice)
    running = [word for one in SERVICES.values() for word in one.get("command", ())[1:]]
    assert set(roles.choices) <= set(running)


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_hardened_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["mem_limit"]
    assert service["pids_limit"] > 0
    assert any(one.startswith("/tmp:") for one in service["tmpfs"])  # noqa: S108 - a mount, not a file


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_long_running_services_are_checked_and_restarted(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"


def test_one_off_services_are_neither_checked_nor_restarted() -> None:
    assert SERVICES["migrate"]["restart"] == "no"
    assert SERVICES["migrate"]["healthcheck"] == {"disable": True}


def test_roles_start_when_the_database_is_migrated() -> None:
    for name in set(OURS) - ONE_SHOT:
        waits = SERVICES[name]["depends_on"]
        assert waits["migrate"]["condition"] == "service_completed_successfully"
        assert waits["postgres"]["condition"] == "service_healthy"


def test_ports_are_published_on_this_machine_only() -> None:
    published = [port for one in SERVICES.values() for port in one.get("ports", ())]
    assert sorted(published) == [
        "127.0.0.1:15672:15672",
        "127.0.0.1:3000:3000",
        "127.0.0.1:5672:5672",
        "127.0.0.1:8000:8000",
        "127.0.0.1:8080:8000",
        "127.0.0.1:9090:9090",
    ]


def test_data_is_in_volumes_with_names() -> None:
    volumes = {
        one.partition(":")[0] for name in SERVICES for one in SERVICES[name].get("volumes", ())
    }
    assert {one for one in volumes if not one.startswith("./")} == compose()["volumes"].keys()


def test_a_worker_gets_its_grace_time_to_stop() -> None:
    seconds = int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    assert seconds >= configuration.Settings().worker.grace_s + STOP_MARGIN_S


def test_an_api_gets_its_delay_and_its_grace_time_to_stop() -> None:
    assert SERVICES["second-api"]["stop_grace_period"] == SERVICES["api"]["stop_grace_period"]
    seconds = int(SERVICES["api"]["stop_grace_period"].removesuffix("s"))
    # What the page of profiles sets.
    assert seconds >= 3 + API_GRACE_S + 5
    [margin] = re.findall(r"longer than TASKMILL_API__STOP_DELAY_S by (\d+) s", EXAMPLE)
    assert int(margin) >= API_GRACE_S + 5
    assert compose(API_STOP_GRACE="50s")["services"]["api"]["stop_grace_period"] == "50s"


def test_variables_reach_the_containers() -> None:
    services = compose(WORKER_REPLICAS="5", RABBITMQ_INTAKE_PASSWORD="x", API_PORT="9")["services"]  # noqa: S106 - no secret
    assert services["worker"]["scale"] == "5"
    users = services["broker-users"]["environment"]
    assert users["TASKMILL_BROKER_USERS__INTAKE_PASSWORD"] == "x"  # noqa: S105 - no secret
    url = services["intake"]["environment"]["TASKMILL_BROKER_URL"]
    assert url.startswith("amqp://taskmill_intake:x@")
    assert services["api"]["ports"] == ["127.0.0.1:9:8000"]


@pytest.mark.parametrize("text", [COMPOSE, DOCKERFILE, EXAMPLE])
def test_no_address_of_others_is_named(text: str) -> None:
    assert set(re.findall(r"https?://[^:/\s\"]+", text)) <= {"http://127.0.0.1"}
