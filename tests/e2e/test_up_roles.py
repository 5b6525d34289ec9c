"""The processes of `taskmill up` connect to its PostgreSQL with the least rights."""

from pathlib import Path

import httpx
import psycopg
import pytest

from taskmill.embedded.postgres import EmbeddedPostgres
from taskmill.storage.rights import APP, MAINTENANCE, OWNER
from tests.support.migrating import run_module
from tests.support.polling import wait_until
from tests.support.processes import Program

pytestmark = pytest.mark.slow

SESSIONS = """
    SELECT DISTINCT usename FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
PAYLOAD = {"delay_s": 0, "failure_probability": 0}


def start(folder: Path) -> Program:
    return Program(
        "up", "--port", "0", "--data", folder / "d", "--broker", "postgres", folder=folder, env={}
    )


def logins(sql: "psycopg.Connection[tuple[str]]") -> set[str]:
    return {row[0] for row in sql.execute(SESSIONS).fetchall()}


def runs_a_task(client: httpx.Client) -> None:
    made = client.post("/tasks", json={"name": "a", "payload": PAYLOAD}).json()

    def has_succeeded() -> bool:
        status: str = client.get(f"/tasks/{made['id']}").json()["status"]
        return status == "succeeded"

    wait_until(has_succeeded, "the task succeeds")


def refused(url: str, command: str) -> bool:
    with psycopg.connect(url) as sql:
        try:
            sql.execute(command.encode())
        except psycopg.errors.InsufficientPrivilege:
            return True
    return False


def lives(client: httpx.Client) -> None:
    """Have the API and the other roles do whatever they can do, once."""

    def ask(method: str, path: str, json: object = None, **headers: str) -> httpx.Response:
        response = client.request(method, path, json=json, headers=headers)
        assert response.status_code < 400, f"{method} {path}: {response.text}"
        return response

    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    ask("PUT", "/types/mine", {"payload_schema": schema})
    hook = ask("POST", "/webhooks", {"url": "https://hooks.example.org/a"}).json()["id"]
    ask("PATCH", f"/webhooks/{hook}", {"description": "b"})
    waiting = {"name": "a", "type": "mine", "queue": "pulled", "payload": {"a": 1}}
    made = ask("POST", "/tasks", waiting, **{"Idempotency-Key": "one"}).json()["id"]
    ask("POST", "/tasks", waiting, **{"Idempotency-Key": "one"})
    ask("POST", "/tasks/batch", [{**waiting, "callback_url": "https://hooks.example.org/b"}] * 3)
    ask("POST", f"/tasks/{made}/cancel")
    ask("POST", f"/tasks/{made}/retry")
    lease = ask(
        "POST", "/leases", {"worker": "w", "queues": ["pulled"], "types": ["mine"], "limit": 2}
    ).json()
    first, second = lease["tasks"]
    claim = {"lease_id": lease["lease_id"], "claim_no": first["claim_no"]}
    ask("POST", f"/tasks/{first['id']}/progress", {**claim, "share": 0.5})
    ask("POST", f"/tasks/{first['id']}/logs", {**claim, "first": 1, "lines": [{"message": "a"}]})
    ask("POST", f"/leases/{lease['lease_id']}/renew", {})
    ask("POST", f"/tasks/{first['id']}/finish", {**claim, "result": {"a": 1}})
    ask("DELETE", f"/leases/{lease['lease_id']}")
    ask("PATCH", "/queues/pulled", {"paused": True})
    ask("POST", "/tasks/cancel", {"queue": "pulled"})
    for path in ("events", "logs", "explain", "deliveries"):
        ask("GET", f"/tasks/{second['id']}/{path}")
    for path in (
        "/tasks?name=a",
        "/stats",
        "/workers",
        "/queues",
        "/types",
        "/webhooks",
        "/rejections",
        "/metrics",
    ):
        ask("GET", path)
    ask("DELETE", f"/webhooks/{hook}")
    ask("DELETE", "/types/mine")


def test_a_whole_life_needs_no_more(tmp_path: Path) -> None:
    with start(tmp_path) as up, up.client() as client:
        lives(client)
        runs_a_task(client)
        # Each duty of maintenance has run by then: the first round comes with the start.
        done = run_module(up.facts["app_database_url"], "taskmill", "verify")
        assert done.returncode == 0, done.stdout
    lines = (tmp_path / "d" / "taskmill.log").read_text() + up.log_file.read_text()
    assert "permission denied" not in lines


def test_no_process_is_the_superuser(tmp_path: Path) -> None:
    with start(tmp_path) as up, up.client() as client:
        runs_a_task(client)
        with psycopg.connect(up.facts["database_url"], autocommit=True) as sql:
            # The index over names is made by the owner of the database, once.
            wait_until(lambda: logins(sql) == {APP, MAINTENANCE}, "only these are connected")
        for name in ("app_database_url", "maintenance_database_url"):
            assert refused(up.facts[name], "COPY (SELECT 1) TO PROGRAM 'true'")
            assert refused(up.facts[name], "DROP TABLE taskmill.task")


def test_the_processes_that_tests_start_have_the_logins_of_their_roles(
    database_url: str, tmp_path: Path
) -> None:
    env = {"TASKMILL_DATABASE_URL": database_url}
    several = ("run", "api", "worker", "maintenance", "--port", "0")
    with psycopg.connect(database_url, autocommit=True) as sql:
        with Program(*several, folder=tmp_path / "all", env=env) as program:
            with program.client() as client:
                runs_a_task(client)
            wait_until(lambda: logins(sql) == {APP, MAINTENANCE}, "only these are connected")
        with Program("run", "maintenance", folder=tmp_path / "one", env=env):
            wait_until(lambda: logins(sql) == {MAINTENANCE}, "its own login is enough")


def test_a_data_folder_of_before_goes_on(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "d" / "postgres") as server:
        assert run_module(server.url, "taskmill", "migrate").returncode == 0
    with start(tmp_path) as up, up.client() as client:
        runs_a_task(client)
        with psycopg.connect(up.facts["database_url"]) as sql:
            owners = sql.execute(
                "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class "
                "WHERE relnamespace = 'taskmill'::regnamespace"
            ).fetchall()
    assert owners == [(OWNER,)]


def test_a_password_that_was_lost_is_replaced_and_nothing_else_is_set_again(tmp_path: Path) -> None:
    file = tmp_path / "d" / "postgres" / "password.app"
    with start(tmp_path):
        before = file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
    with start(tmp_path) as up:
        assert len(up.logged("roles.granted")) == 1, "in the first start"
    file.unlink()
    with start(tmp_path) as up, up.client() as client:
        runs_a_task(client)
        assert len(up.logged("roles.granted")) == 2
    assert file.read_text() != before
