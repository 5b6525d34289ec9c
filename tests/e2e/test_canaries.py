"""Secrets are found nowhere: not in logs, errors, pages, metrics, tables of keys, nor in the list of processes."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import psycopg
import psycopg.sql
import pytest

from taskmill.domain.lifecycle import TERMINAL
from taskmill.embedded.postgres import EmbeddedPostgres
from taskmill.settings import _is_secret, _known
from taskmill.storage.rights import APP, MAINTENANCE
from tests.e2e.test_webhooks import serving_endpoint
from tests.support.canaries import Canaries, a_key, a_password, a_signing_key
from tests.support.canary_service import (
    Client,
    System,
    ask_for,
    bad_pushes,
    send,
    show_badly,
    variable,
    with_login,
)
from tests.support.endpoint import Endpoint, status
from tests.support.polling import wait_until
from tests.support.processes import FAST_LEASES, Program, command_of, descendants
from tests.support.rabbitmq import Management

pytestmark = pytest.mark.slow

HARMLESS: Final = {
    "api.tls_key",
    "api_key_environment",
    "limits.idempotency_key_chars",
    "rate_limits.key_burst",
    "rate_limits.key_rate",
    "secrets_key_file",
}
"""Settings whose names sound like secrets: paths of files, a word, numbers."""

SOUNDS_SECRET: Final = re.compile("secret|password|token|credential|key|url")
SCHEMA: Final = {
    "type": "object",
    "properties": {"token": {"type": "string", "writeOnly": True}},
}
READER: Final = (
    *("tasks:read", "tasks:create", "tasks:operate", "worker", "types", "webhooks", "metrics"),
    "outbound host=127.0.0.1",
)
QUICK: Final = {
    "TASKMILL_EMULATION__DELAY_MIN_S": "0",
    "TASKMILL_EMULATION__DELAY_MAX_S": "0",
    "TASKMILL_RETRY__BASE_S": "0.1",
    "TASKMILL_OUTBOUND__ALLOW": "127.0.0.1",
    "TASKMILL_LOG_LEVEL": "debug",
    "TASKMILL_AUTH": "required",
    "TASKMILL_ADMIN_PORT": "0",
    **FAST_LEASES,
}
TABLES: Final = ("webhook", "callback_key", "api_key", "session", "audit_entry", "audit_outcome")


def secret_settings() -> set[str]:
    return {name for name, found in _known().items() if _is_secret(found.annotation)}


@pytest.fixture
def system(tmp_path: Path, broker_url: str, broker_management: Management) -> Iterator[System]:
    canaries = Canaries()
    passwords = {
        one: canaries.add(one, a_password())
        for one in secret_settings()
        if one.startswith(("roles.", "broker_users."))
    }
    broker_password = canaries.add("broker_url", a_password())
    user = f"canary-{os.getpid()}"
    broker_management.call("PUT", f"/users/{user}", {"password": broker_password, "tags": ""})
    vhost = urlsplit(broker_url).path[1:]
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    broker_management.call("PUT", f"/permissions/{vhost}/{user}", rights)
    key_file = tmp_path / "secrets.key"
    key_file.write_text(canaries.add("secrets_key_file", a_key()) + "\n")
    key_file.chmod(0o600)
    with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        canaries.add("the superuser", urlsplit(postgres.url).password or "")
        secrets = {
            **passwords,
            "broker_users.producers": f"shop={passwords['broker_users.producers']}",
            "database_url": with_login(postgres.url, APP, passwords["roles.app_password"]),
            "maintenance.database_url": with_login(
                postgres.url, MAINTENANCE, passwords["roles.maintenance_password"]
            ),
            "broker_url": with_login(broker_url, user, broker_password),
            "outbound.push_signing_keys": canaries.add("push key", a_signing_key()),
            "outbound.callback_signing_keys": canaries.add("callback key", a_signing_key()),
        }
        assert secrets.keys() == secret_settings(), "each has a canary"
        for name, value in secrets.items():
            assert any(part in value for part in canaries.parts.values()), name
        environment = {
            **QUICK,
            **{variable(name): value for name, value in secrets.items()},
            "TASKMILL_SECRETS_KEY_FILE": str(key_file),
        }
        system = System(
            folder=tmp_path, postgres=postgres, environment=environment, canaries=canaries
        )
        system.see_command("migrate", "--roles", TASKMILL_DATABASE_URL=postgres.url)
        try:
            yield system
        finally:
            broker_management.call("DELETE", f"/users/{user}")


def test_every_setting_that_sounds_like_a_secret_is_one_or_is_known_to_be_none() -> None:
    sounding = {name for name in _known() if SOUNDS_SECRET.search(name)}
    assert sounding - secret_settings() == HARMLESS


@contextmanager
def running(system: System) -> Iterator[Program]:
    roles = ("api", "worker", "relay", "intake", "webhooks", "maintenance")
    folder = system.folder / "service"
    with Program("run", *roles, "--port", "0", folder=folder, env=system.environment) as program:
        yield program


@dataclass(frozen=True, kw_only=True)
class Held:
    """Secrets that requests have, and those that the service made."""

    admin: str
    reader: str
    session: str
    header: str
    token: str


def hold(system: System, client: Client, endpoint: Endpoint) -> Held:
    """Make the keys, a session and a webhook."""
    canaries = system.canaries
    admin, reader = system.new_key("root", "admin"), system.new_key("reader", *READER)
    entered = client.secret("POST", "/ui/login", data={"key": admin})
    session = entered.headers["set-cookie"].partition(";")[0].partition("=")[2]
    client.secret("PUT", "/types/mine", admin, json={"payload_schema": SCHEMA})
    hook = client.secret("POST", "/webhooks", admin, json={"url": f"{endpoint.url}/w"}).json()
    canaries.add("webhook", hook["secret"])
    turned = client.secret("POST", "/webhooks", admin, json={"url": f"{endpoint.url}/fails"}).json()
    canaries.add("other webhook", turned["secret"])
    stored = system.command("webhook", "callback-key", TASKMILL_OUTBOUND__CALLBACK_SIGNING_KEYS="")
    canaries.add("stored callback key", stored.strip())
    return Held(
        admin=admin,
        reader=reader,
        session=canaries.add("session", session),
        header=canaries.add("push header", a_password()),
        token=canaries.add("payload", a_password()),
    )


def live(system: System, client: Client, held: Held, endpoint: Endpoint) -> list[str]:
    """Have tasks of every kind come to every end, and return their ids."""
    headers = {"Authorization": held.header, "X-Key": held.header}
    push = {"name": "p", "type": "http", "max_attempts": 2, "callback_url": f"{endpoint.url}/c"}
    mine: dict[str, object] = {"name": "m", "type": "mine", "payload": {"token": held.token}}
    urls = (
        f"{endpoint.url}/ok",
        f"{endpoint.url}/fails",
        "http://127.0.0.1:9/",
        "http://127.0.0.1:80/",
    )
    tasks: list[dict[str, object]] = [
        {**push, "payload": {"url": url, "headers": headers}} for url in urls
    ]
    tasks += [
        {"name": "e", "payload": {"failure_probability": 1}, "max_attempts": 2},
        {"name": "e", "payload": {"failure_probability": 0}},
        {**mine, "idempotency_key": "k"},
        {**mine, "idempotency_key": "k"},
        mine,
    ]
    made = [client.see("POST", "/tasks", held.reader, json=one).json()["id"] for one in tasks]
    client.see("POST", "/tasks/batch", held.reader, json=[mine])
    lines = b"\n".join(map(orjson.dumps, (mine, {**mine, "payload": {"token": [held.token]}})))
    client.see(
        "POST",
        "/tasks/batch",
        held.reader,
        content=lines,
        headers={"content-type": "application/x-ndjson"},
    )
    publish(system, [*tasks, {"type": "http", "payload": {"headers": headers}}])
    lease = client.secret(
        "POST", "/leases", held.reader, json={"worker": "w", "types": ["mine"]}
    ).json()
    taken = lease["tasks"][0]
    claim = {"lease_id": lease["lease_id"], "claim_no": taken["claim_no"]}
    error = {"type": "Boom", "message": "it broke"}
    client.see("POST", f"/tasks/{taken['id']}/fail", held.reader, json={**claim, "error": error})
    client.see("POST", f"/tasks/{made[-1]}/cancel", held.reader)
    return made


def publish(system: System, tasks: object) -> None:
    file = system.folder / "messages.json"
    file.write_bytes(orjson.dumps(tasks))
    system.see_command("queue", "publish", str(file))


def ask_wrongly(client: Client, held: Held) -> None:
    """Send requests with secrets where they do not belong."""
    show_badly(client, held.session)
    show_badly(client, held.reader)
    ask_for(client, held.reader)
    send(client, held.reader)
    for payload in bad_pushes(held.header):
        body = {"name": "x", "type": "http", "payload": payload}
        client.see("POST", "/tasks", held.reader, json=body)
    for wrong in ([held.token], {held.token: held.token}, {"a": {"b": held.token}}):
        mine = {"name": "x", "type": "mine", "payload": {"token": wrong}}
        client.see("POST", "/tasks", held.reader, json=mine)
        client.see("POST", "/tasks", held.reader, json={**mine, "idempotency_key": "k"})


def look_at_everything(client: Client, held: Held, ids: list[str]) -> None:
    """Read whatever can be read by who may not see secret values; the audit log and keys as an admin."""
    rejections = client.see("GET", "/rejections", held.reader).json()["items"]
    hooks = client.see("GET", "/webhooks", held.reader).json()["items"]
    assert rejections
    assert len(hooks) == 2
    client.see_events(held.reader)
    for path in (
        *("/tasks", "/stats", "/queues", "/workers", "/types", "/types/mine", "/metrics"),
        *("/", "/ui/tasks", "/ui/queues", "/ui/workers", "/ui/failures", "/ui/rejections"),
        *("/ui/types", "/ui/types/mine", "/ui/events", "/ui/webhooks"),
        *("/ui/create", "/ui/tasks/export.csv", "/ui/tasks/export.ndjson", "/openapi.json"),
        *(f"/tasks/{one}{more}" for one in ids for more in ("", "/events", "/logs", "/deliveries")),
        *(f"/tasks/{one}/explain" for one in ids),
        *(f"/ui/tasks/{one}" for one in ids),
        *(f"/ui/create?like={one}" for one in ids),
        *(f"{where}/rejections/{one['id']}" for one in rejections for where in ("", "/ui")),
        *(f"/webhooks/{one['id']}{more}" for one in hooks for more in ("", "/deliveries")),
        *(f"/ui/webhooks/{one['id']}" for one in hooks),
    ):
        client.until_read(path, held.reader)
    admins = (
        "/audit?limit=500",
        "/ui/audit",
        "/ui/sessions",
        "/ui/keys",
        "/ui/system?settings=all",
    )
    for path in admins:
        client.until_read(path, held.admin)


def use_commands(system: System, url: str, held: Held, ids: list[str]) -> None:
    """Run the commands that show something."""
    here = partial(system.see_command, TASKMILL_API_KEY=held.reader, TASKMILL_URL=url)
    for words in (("settings",), ("settings", "--json"), ("key", "list"), ("key", "show", "root")):
        here(*words)
    for words in (
        ("task", "list"),
        ("task", "show", ids[0]),
        ("webhook", "list"),
        ("queue", "list"),
    ):
        here(*words)
    system.see_command("broker", "definitions")
    system.see_command("audit", TASKMILL_API_KEY=held.admin, TASKMILL_URL=url)
    wrong = with_login(system.environment["TASKMILL_DATABASE_URL"], APP, held.header)
    system.see_command("key", "list", TASKMILL_DATABASE_URL=wrong)
    system.see_command("task", "list", TASKMILL_API_KEY=held.session, TASKMILL_URL=url)
    broker = with_login(system.environment["TASKMILL_BROKER_URL"], "nobody", held.header)
    system.see_command(
        "queue", "publish", str(system.folder / "messages.json"), TASKMILL_BROKER_URL=broker
    )
    for bad in (f"nonsense {held.header}", f"mysql://u:{held.header}@h:x/d"):
        system.see_command("settings", **dict.fromkeys(map(variable, secret_settings()), bad))
    system.see_command("settings", TASKMILL_ROLES__APP_PASSWORDS=held.header)
    system.see_command("settings", TASKMILL_API__PORT="none")
    system.see_command("settings", TASKMILL_SECRETS_KEY_FILE=str(system.folder / "messages.json"))
    wrong_file = system.folder / "wrong.key"
    wrong_file.write_text(f"{held.header}\n")
    wrong_file.chmod(0o600)
    system.see_command("secrets", "encrypt", TASKMILL_SECRETS_KEY_FILE=str(wrong_file))


def have_ended(client: Client, key: str, ids: list[str]) -> Callable[[], bool]:
    def probe() -> bool:
        found = (client.see("GET", f"/tasks/{one}", key).json()["status"] for one in ids)
        return all(one in TERMINAL for one in found)

    return probe


def break_connections(system: System, management: Management, program: Program) -> None:
    """Cut all connections to the database and the broker, and wait until they are back."""
    with psycopg.connect(system.postgres.url, autocommit=True) as sql:
        sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    wait_until(lambda: management.close_connections() > 0, "connections to close")

    def is_ready() -> bool:
        with program.client() as http:
            return http.get("/readyz").status_code == 200

    wait_until(is_ready, "it is ready again")


def see_processes_and_tables(system: System, program: Program) -> None:
    """See what other users of the machine, and readers of the tables of keys, see."""
    pids = [program.process.pid, *descendants(program.process.pid)]
    pids += [system.postgres.pid or 0, *descendants(system.postgres.pid or 0)]
    commands = [command_of(pid) for pid in pids]
    assert len([one for one in commands if one]) > 2
    system.canaries.see("processes", "\n".join(commands))
    with psycopg.connect(system.postgres.url) as connection:
        for table in TABLES:
            query = psycopg.sql.SQL("SELECT t::text FROM {} AS t")
            rows = connection.execute(
                query.format(psycopg.sql.Identifier("taskmill", table))
            ).fetchall()
            assert rows, table
            system.canaries.see(f"table {table}", "\n".join(row[0] for row in rows))


def responds(received: Any) -> Any:  # noqa: ANN401 - the endpoint's own
    return status(500 if "fails" in received.path else 200)(received)


def test_no_secret_is_found_anywhere(system: System, broker_management: Management) -> None:
    with (
        serving_endpoint() as endpoint,
        running(system) as program,
        Client(system, program.facts["url"]) as client,
    ):
        endpoint.responds = responds
        held = hold(system, client, endpoint)
        ids = live(system, client, held, endpoint)
        ask_wrongly(client, held)
        wait_until(have_ended(client, held.reader, ids[:6]), "the ends of tasks", timeout_s=60)
        wait_until(lambda: len(endpoint.received) > 8, "deliveries")
        break_connections(system, broker_management, program)
        look_at_everything(client, held, ids)
        use_commands(system, program.facts["url"], held, ids)
        system.see_command("secrets", "encrypt", TASKMILL_DATABASE_URL=system.postgres.url)
        see_processes_and_tables(system, program)
        [line] = program.logged("admin.started")
        client.see("GET", f"{line['url']}/metrics")
        client.see("GET", f"{line['url']}/readyz")
    system.canaries.see_files([program.log_file, system.folder / "postgres" / "postgres.log"])
    assert not system.canaries.found(), "\n".join(system.canaries.found())
