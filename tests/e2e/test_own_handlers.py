"""Workers that run a user's app."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.polling import wait_until
from tests.support.processes import FAST_LEASES, ROOT, Program, descendants

APP = Path(__file__).with_name("own_app.py")


@pytest.fixture
def env(database_url: str) -> dict[str, str]:
    return {
        **FAST_LEASES,
        "TASKMILL_DATABASE_URL": database_url,
        "TASKMILL_WORKER__BLOCKED_S": "0.3",
        "TASKMILL_WORKER__NAME": "own",
    }


@pytest.fixture
def api(env: dict[str, str], tmp_path: Path) -> Iterator[httpx.Client]:
    program = Program("run", "api", "maintenance", "--port", "0", folder=tmp_path / "api", env=env)
    with program, program.client() as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the app in it."""
    there = tmp_path / "with space"
    there.mkdir()
    (there / "shop.py").write_text(APP.read_text())
    return there


def created(api: httpx.Client, kind: str, payload: dict[str, Any], **fields: Any) -> str:  # noqa: ANN401 - any field
    body = {"name": kind, "type": kind, "payload": payload, **fields}
    task_id: str = api.post("/tasks", json=body).raise_for_status().json()["id"]
    return task_id


def ended(api: httpx.Client, task_id: str) -> dict[str, Any]:
    """The task once it is terminal."""

    def has_ended() -> bool:
        return api.get(f"/tasks/{task_id}").json()["status"] not in ("new", "in_progress")

    wait_until(has_ended, "the task's end")
    task: dict[str, Any] = api.get(f"/tasks/{task_id}").json()
    return task


def test_each_kind_of_handler_runs_where_it_should(
    api: httpx.Client, env: dict[str, str], folder: Path
) -> None:
    with Program("run", "worker", "--app", "shop:app", folder=folder, env=env) as worker:
        ids = {
            kind: created(api, kind, payload, max_attempts=3)
            for kind, payload in (
                ("in-loop", {"failures": 2}),
                ("in-thread", {"text": "x"}),
                ("in-process", {}),
            )
        }
        tasks = {kind: ended(api, task_id) for kind, task_id in ids.items()}
        results = {kind: task["result"] for kind, task in tasks.items()}
        own = worker.process.pid
        assert tasks["in-loop"]["attempt"] == 3
        assert results["in-loop"] == {"pid": own, "thread": "MainThread"}
        assert results["in-thread"] == {"pid": own, "thread": "handler", "text": "x"}
        assert results["in-process"]["pid"] not in (own, os.getpid())
        assert tasks["in-loop"]["progress"]["share"] == 0.75
        assert tasks["in-loop"]["progress"]["message"] == "half way there"
        assert tasks["in-process"]["progress"]["message"] == "computed"
        logs = f"/tasks/{ids['in-loop']}/logs"
        wait_until(lambda: bool(api.get(logs).json()["items"]), "the line to be stored")
        [line] = api.get(logs).json()["items"]
        assert (line["message"], line["fields"]) == ("succeeding", {"attempt": 3})
        workers = {one["name"]: one["types"] for one in api.get("/workers").json()["items"]}
        assert workers["own-threads"] == ["in-thread"]
        assert workers["own-processes"] == ["in-process"]
        assert {"blocks", "emulate", "in-loop"} <= set(workers["own"])
        assert "in-thread" not in workers["own"]


def test_a_payload_that_does_not_fit_fails_for_good(
    api: httpx.Client, env: dict[str, str], folder: Path
) -> None:
    # Without a worker there is no contract yet, so the API accepts them.
    kinds = ("in-loop", "in-thread", "in-process")
    ids = [created(api, kind, {"surplus": 1}, max_attempts=3) for kind in kinds]
    with Program("run", "worker", "--app", "shop:app", folder=folder, env=env):
        for task_id in ids:
            task = ended(api, task_id)
            assert (task["status"], task["attempt"]) == ("failed", 1)
            assert task["error"]["type"] == "PayloadRefused"
            assert "/payload/surplus" in task["error"]["message"]


def test_the_api_knows_the_types_of_workers(
    api: httpx.Client, env: dict[str, str], folder: Path
) -> None:
    body = {"name": "x", "type": "in-loop", "payload": {"failures": "many"}}
    with Program("run", "worker", "--app", "shop:app", folder=folder, env=env):
        wait_until(lambda: api.post("/tasks", json=body).status_code == 422, "the contract")
        problem = api.post("/tasks", json=body).json()
        assert problem["errors"][0]["pointer"] == "/payload/failures"
        plain = {"name": "x", "type": "in-loop", "payload": {"failures": 0}}
        task = api.post("/tasks", json=plain).json()
        assert task["max_attempts"] == 3, "from the defaults of its type"
        types = {one["name"]: one for one in api.get("/types").json()["items"]}
        assert {"blocks", "in-loop", "in-process", "in-thread"} == set(types)
    # The contract stays without a worker.
    assert api.post("/tasks", json=body).status_code == 422


def test_a_task_that_computes_too_long_is_killed_and_its_slot_is_free(
    api: httpx.Client, env: dict[str, str], folder: Path
) -> None:
    env = {**env, "TASKMILL_WORKER__ISOLATED": "1"}
    with Program("run", "worker", "--app", "shop:app", folder=folder, env=env):
        task = ended(api, created(api, "in-process", {"seconds": 600}, timeout_s=0.3))
        assert (task["status"], task["error"]["type"]) == ("failed", "Timeout")
        assert ended(api, created(api, "in-process", {}))["status"] == "succeeded"


def test_a_handler_that_blocks_the_loop_is_named(
    api: httpx.Client, env: dict[str, str], folder: Path
) -> None:
    with Program("run", "worker", "--app", "shop:app", folder=folder, env=env) as worker:
        task_id = created(api, "blocks", {"seconds": 0.8})
        assert ended(api, task_id)["status"] == "succeeded"
        wait_until(lambda: bool(worker.logged("handler.blocks_loop")), "the warning")
        [line] = worker.logged("handler.blocks_loop")
        assert (line["type"], line["task_id"]) == ("blocks", task_id)
        assert "shop.py" in line["at"]


def test_processes_are_supervised_and_end_together(
    api: httpx.Client, env: dict[str, str], folder: Path
) -> None:
    del env["TASKMILL_WORKER__NAME"]
    arguments = ("run", "worker", "--app", "shop:app", "--processes", "2", "--queues", "a=3,b")
    with Program(*arguments, folder=folder, env=env) as program:

        def workers() -> set[int]:
            """The processes that have a worker, and serve the queues."""
            listed = api.get("/workers").json()["items"]
            serving = {one["name"] for one in listed if one["queues"] == ["a", "b"]}
            pids = set(descendants(program.process.pid))
            return {pid for pid in pids if any(name.endswith(f"-{pid}") for name in serving)}

        wait_until(lambda: len(workers()) == 2, "two workers")
        before = workers()
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(workers() - {min(before)}) == 2, "another one started")
        assert program.logged("process.died")[0]["pid"] == min(before)
        task_id = created(api, "in-loop", {"failures": 0}, queue="a")
        assert ended(api, task_id)["status"] == "succeeded"
        pids = workers()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--app", "nowhere:app"], "No module named 'nowhere'"),
        (["--app", "nowhere:app", "--processes", "2"], "No module named 'nowhere'"),
        (["--processes", "2", "api", "worker"], "--processes is for one role, api or worker"),
        (["--queues", "a=0"], "greater than or equal to 1"),
    ],
)
def test_what_can_not_be_run_is_an_error_at_once(
    arguments: list[str], words: str, env: dict[str, str], folder: Path
) -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "taskmill", "run", "worker", *arguments],
        env={**os.environ, **env, "PYTHONPATH": str(ROOT / "src")},  # noqa: TID251 - for the child
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
