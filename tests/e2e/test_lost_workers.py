"""Workers that die or freeze: others finish their tasks, and they change nothing any more."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.polling import wait_until
from tests.support.processes import FAST_LEASES, Program

TTL_S = float(FAST_LEASES["TASKMILL_LEASE__TTL_S"])


@pytest.fixture
def env(database_url: str) -> dict[str, str]:
    return {**FAST_LEASES, "TASKMILL_DATABASE_URL": database_url}


@pytest.fixture
def api(env: dict[str, str], tmp_path: Path) -> Iterator[httpx.Client]:
    program = Program("run", "api", "maintenance", "--port", "0", folder=tmp_path / "api", env=env)
    with program, program.client() as client:
        yield client


def worker(name: str, folder: Path, env: dict[str, str]) -> Program:
    return Program(
        "run", "worker", folder=folder / name, env={**env, "TASKMILL_WORKER__NAME": name}
    )


def start_task(api: httpx.Client, *, delay_s: float) -> str:
    """Create a task and return its id once it runs."""
    payload = {"delay_s": delay_s, "failure_probability": 0}
    task_id: str = api.post("/tasks", json={"name": "t", "payload": payload}).json()["id"]
    wait_until(lambda: get(api, task_id)["status"] == "in_progress", "it runs")
    return task_id


def get(api: httpx.Client, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = api.get(f"/tasks/{task_id}").json()
    return task


def history(api: httpx.Client, task_id: str) -> list[tuple[str, str | None]]:
    events = api.get(f"/tasks/{task_id}/events").json()["items"]
    return [(event["event"], event["worker"]) for event in events]


def test_a_killed_workers_task_is_finished_by_another(
    api: httpx.Client, env: dict[str, str], tmp_path: Path
) -> None:
    with worker("first", tmp_path, env) as first:
        task_id = start_task(api, delay_s=1.5)
        first.process.kill()
    with worker("second", tmp_path, env):
        wait_until(lambda: get(api, task_id)["status"] == "succeeded", "the second finished it")
    task = get(api, task_id)
    assert (task["attempt"], task["losses"]) == (1, 1)
    events = history(api, task_id)
    assert [event for event, _ in events] == ["created", "claimed", "lost", "claimed", "succeeded"]
    assert events[1] == ("claimed", "first")
    assert events[3:] == [("claimed", "second"), ("succeeded", "second")]


def test_a_frozen_worker_changes_nothing_when_it_wakes(
    api: httpx.Client, env: dict[str, str], tmp_path: Path
) -> None:
    with worker("frozen", tmp_path, env) as frozen:
        task_id = start_task(api, delay_s=1.0)
        frozen.process.send_signal(signal.SIGSTOP)
        with worker("second", tmp_path, env):
            wait_until(lambda: get(api, task_id)["status"] == "succeeded", "the second finished it")
            before, events_before = get(api, task_id), history(api, task_id)
            frozen.process.send_signal(signal.SIGCONT)
            wait_until(
                lambda: bool(frozen.logged("lease.lost")), "the woken worker drops its result"
            )
            assert get(api, task_id) == before
            assert history(api, task_id) == events_before
        # It has a new lease by then, and goes on working.
        again = start_task(api, delay_s=0.5)
        wait_until(lambda: get(api, again)["status"] == "succeeded", "the woken worker works again")
        assert history(api, again)[-1] == ("succeeded", "frozen")


def test_a_stopped_worker_hands_back_without_cost(
    api: httpx.Client, env: dict[str, str], tmp_path: Path
) -> None:
    with worker("first", tmp_path, {**env, "TASKMILL_WORKER__GRACE_S": "0.2"}) as first:
        task_id = start_task(api, delay_s=30)
        first.process.terminate()
        assert first.process.wait(20) == 0
    task = get(api, task_id)
    assert (task["status"], task["attempt"], task["losses"]) == ("new", 0, 0)
    assert history(api, task_id)[-1] == ("handed_back", "first")
