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


def test_no_process_is_the_superuser(tmp_path: Path) -> None:
    with start(tmp_path) as up, up.client() as client:
        runs_a_task(client)
        with psycopg.connect(up.facts["database_url"], autocommit=True) as sql:
            # The index over names is made by the owner of the database, once.
            wait_until(lambda: logins(sql) == {APP, MAINTENANCE}, "only these are connected")
        for name in ("app_database_url", "maintenance_database_url"):
            assert refused(up.facts[name], "COPY (SELECT 1) TO PROGRAM 'true'")
            assert refused(up.facts[name], "DROP TABLE taskmill.task")


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
