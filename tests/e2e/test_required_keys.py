"""API keys as operators use them: two API processes, commands, and a key that is revoked."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Final

import httpx
import pytest

from taskmill.domain.api_keys import parse_key
from taskmill.operations.verified_cache import FRESH_S
from tests.support.polling import wait_until
from tests.support.processes import Program


class Commands:
    """Commands on a database, each in a process of its own."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self._environment = {**os.environ, "TASKMILL_DATABASE_URL": database_url}  # noqa: TID251 - for children
        self._folder = folder

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "taskmill", *arguments],
            env={**self._environment, **environment},
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def commands(database_url: str, tmp_path: Path) -> Commands:
    return Commands(database_url, tmp_path)


@pytest.fixture
def pair(database_url: str, tmp_path: Path) -> Iterator[Program]:
    env = {"TASKMILL_DATABASE_URL": database_url, "TASKMILL_AUTH": "required"}
    with Program(
        "run", "api", "--processes", "2", "--port", "0", folder=tmp_path / "api", env=env
    ) as program:
        yield program


def statuses(url: str, key: str) -> set[int]:
    """The responses of new connections, which both processes take."""
    headers = {"authorization": f"Bearer {key}"}
    return {httpx.get(f"{url}/queues", headers=headers, timeout=20).status_code for _ in range(20)}


@pytest.mark.slow
def test_a_revoked_key_is_refused_by_all_processes_soon(pair: Program, commands: Commands) -> None:
    url = pair.facts["url"]
    key = commands("key", "create", "reader", "--grant", "tasks:read").stdout.strip()
    assert statuses(url, key) == {200}
    listed = commands("task", "list", "--url", url, TASKMILL_API_KEY=key)
    assert (listed.returncode, listed.stderr) == (0, "no tasks\n"), listed
    refused = commands("task", "list", "--url", url)
    assert refused.returncode == 1
    assert "or in TASKMILL_API_KEY for commands" in refused.stderr

    def is_recorded() -> bool:
        return "never" not in commands("key", "show", "reader").stdout

    wait_until(is_recorded, "the use of the key is recorded")
    assert commands("key", "revoke", "reader").returncode == 0
    revoked_at = perf_counter()
    wait_until(lambda: statuses(url, key) == {401}, "both refuse it")
    assert perf_counter() - revoked_at < FRESH_S / 3, (
        "a notification came, though the machine is busy"
    )
    parsed = parse_key(key)
    assert parsed is not None
    assert parsed.id in pair.log_file.read_text()
    assert parsed.secret not in pair.log_file.read_text()
    assert parsed.secret not in commands("settings", TASKMILL_API_KEY=key).stdout


# Resolved to 127.0.0.1, but not one of the addresses that are known to be of this machine only.
BEYOND: Final = "127.1"
SERVING: Final = ("run", "api", "--host", BEYOND, "--port", "0")


@pytest.mark.slow
def test_an_api_beyond_this_machine_requires_keys_by_itself(
    database_url: str, commands: Commands, tmp_path: Path
) -> None:
    env = {"TASKMILL_DATABASE_URL": database_url}
    with Program(*SERVING, folder=tmp_path / "api", env=env) as program:
        url = f"{program.facts['url']}/tasks"
        assert httpx.get(url, timeout=20).status_code == 401
        key = commands("key", "create", "reader", "--grant", "tasks:read").stdout.strip()
        shown = {"authorization": f"Bearer {key}"}
        assert httpx.get(url, headers=shown, timeout=20).status_code == 200
        assert program.logged("api.opened_to_all") == []
    opened = {**env, "TASKMILL_AUTH": "off", "TASKMILL_API__OPEN_TO_ALL": "true"}
    with Program(*SERVING, folder=tmp_path / "open", env=opened) as program:
        assert httpx.get(f"{program.facts['url']}/tasks", timeout=20).status_code == 200
        [warning] = program.logged("api.opened_to_all")
        assert (warning["level"], warning["host"]) == ("warning", BEYOND)


@pytest.mark.slow
def test_a_request_is_repeated_after_keys_became_required(
    database_url: str, commands: Commands, tmp_path: Path
) -> None:
    env = {"TASKMILL_DATABASE_URL": database_url}

    def create(folder: str, auth: str, **headers: str) -> tuple[int, str]:
        serving, policy = ("run", "api", "--port", "0"), {"TASKMILL_AUTH": auth}
        with Program(*serving, folder=tmp_path / folder, env={**env, **policy}) as program:
            headers |= {"idempotency-key": "order-17"}
            made = httpx.post(
                f"{program.facts['url']}/tasks", json={"name": "a"}, headers=headers, timeout=20
            )
            return made.status_code, made.json()["id"]

    status, task_id = create("before", "off")
    assert status == 201
    grants = ("--grant", "tasks:create", "--grant", "tasks:read")
    key = commands("key", "create", "billing", *grants).stdout.strip()
    assert create("after", "required", authorization=f"Bearer {key}") == (200, task_id)


@pytest.mark.slow
def test_up_beyond_this_machine_makes_the_key_that_commands_find(
    commands: Commands, tmp_path: Path
) -> None:
    folder, data = tmp_path / "up", tmp_path / "d"
    up = ("up", "--host", BEYOND, "--port", "0", "--data", data, "--broker", "postgres")
    with Program(*up, folder=folder, env={}) as program:
        url = program.facts["url"]
        assert httpx.get(f"{url}/tasks", timeout=20).status_code == 401
        listed = commands("task", "list", "--url", url, TASKMILL_DATA_DIR=str(data))
        assert (listed.returncode, listed.stderr) == (0, "no tasks\n"), listed


@pytest.mark.slow
@pytest.mark.parametrize("command", [("up",), ("run", "api"), ("run", "api", "--processes", "2")])
def test_an_api_that_is_open_by_mistake_does_not_start(
    commands: Commands, tmp_path: Path, command: tuple[str, ...]
) -> None:
    refused = commands(*command, "--host", BEYOND, TASKMILL_AUTH="off")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: TASKMILL_AUTH=off, but the API is to listen on 127.1:")
    assert list(tmp_path.iterdir()) == [], "nothing was begun"


@pytest.mark.slow
def test_a_session_counts_in_all_processes_until_it_is_ended(
    pair: Program, commands: Commands
) -> None:
    url = pair.facts["url"]
    key = commands("key", "create", "reader", "--grant", "tasks:read").stdout.strip()
    entered = httpx.post(f"{url}/ui/login", data={"key": key}, timeout=20)
    cookie = {"cookie": entered.headers["set-cookie"].partition(";")[0]}

    def pages() -> set[int]:
        return {
            httpx.get(f"{url}/ui/tasks", headers=cookie, timeout=20).status_code for _ in range(20)
        }

    assert pages() == {200}
    assert httpx.post(f"{url}/ui/logout", headers=cookie, timeout=20).status_code == 303
    ended_at = perf_counter()
    wait_until(lambda: pages() == {303}, "both refuse it")
    assert perf_counter() - ended_at < FRESH_S / 3, (
        "a notification came, though the machine is busy"
    )
    assert cookie["cookie"].partition("=")[2] not in pair.log_file.read_text()
