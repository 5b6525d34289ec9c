"""The supervisor of processes: signals, readiness, and what is left when it is killed."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from taskmill.domain.system import WorkerRequest
from tests.support.polling import eventually, wait_until
from tests.support.processes import Program, descendants
from tests.support.stage import Stage

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="it reads /proc, and only Linux ends children"
)


async def working(stage: Stage, folder: Path, *, delay_s: float) -> Program:
    """Two workers, one of which runs a task of so many seconds."""
    env = {"TASKMILL_DATABASE_URL": stage.url, "TASKMILL_BROKER": "postgres"}
    program = Program("run", "worker", "--processes", "2", folder=folder, env=env)
    await asyncio.to_thread(program.__enter__)
    task = await stage.created(payload={"delay_s": delay_s, "failure_probability": 0})

    async def runs() -> bool:
        return (await stage.task(task.id)).status == "in_progress"

    await eventually(runs, "the task runs")
    return program


def stopping(program: Program) -> int:
    """How many processes are stopping."""
    return len(program.logged("process.stopping"))


@linux_only
async def test_a_signal_to_all_processes_at_once_stops_them_in_order(
    stage: Stage, tmp_path: Path
) -> None:
    """As some service managers do, which signal a whole group."""
    program = await working(stage, tmp_path, delay_s=1.5)
    with program:
        for pid in descendants(program.process.pid):
            os.kill(pid, signal.SIGTERM)
        await asyncio.to_thread(wait_until, lambda: stopping(program) == 2, "both are stopping")
        program.process.terminate()
        assert await asyncio.to_thread(program.process.wait, 15) == 0
    ended = await stage.sql.fetchrow("SELECT status, attempt, losses FROM taskmill.current_task")
    assert tuple(ended or ()) == ("succeeded", 1, 0)
    assert {worker.close_reason for worker in await stage.service.workers()} == {"stopped"}


@linux_only
async def test_a_requested_end_is_no_death_and_another_process_starts(
    stage: Stage, tmp_path: Path
) -> None:
    program = await working(stage, tmp_path, delay_s=0)
    with program:
        for when_empty in (False, True):
            target = next(one for one in await stage.service.workers() if not one.closed_at)
            await stage.service.set_worker_request(
                target.id, WorkerRequest.STOP, when_empty=when_empty
            )

            async def has_another(gone: UUID = target.id) -> bool:
                workers = await stage.service.workers()
                alive = [one for one in workers if one.closed_at is None]
                return len(alive) == 2 and gone not in {one.id for one in alive}

            await eventually(has_another, "another one started", timeout_s=60)
        assert len(program.logged("process.ended")) == 2
        assert not program.logged("process.died")


@linux_only
async def test_the_second_ctrl_c_ends_all_at_once(stage: Stage, tmp_path: Path) -> None:
    program = await working(stage, tmp_path, delay_s=60)
    with program:
        children = descendants(program.process.pid)
        program.process.send_signal(signal.SIGINT)
        await asyncio.to_thread(wait_until, lambda: stopping(program) == 3, "all are stopping")
        program.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(program.process.wait, 5) == 128 + signal.SIGINT
        await asyncio.to_thread(
            wait_until, lambda: not any_lives(children), "the others end", timeout_s=5
        )


def any_lives(pids: list[int]) -> bool:
    return any(Path(f"/proc/{pid}").exists() for pid in pids)


@linux_only
def test_a_stop_before_all_are_ready_works_at_once(database_url: str, tmp_path: Path) -> None:
    env = {"TASKMILL_DATABASE_URL": database_url}
    arguments = ("run", "api", "--processes", "2", "--port", "0")
    program = Program(*arguments, folder=tmp_path, env=env)
    wait_until(lambda: len(descendants(program.process.pid)) == 2, "both are started")
    program.process.terminate()
    assert program.process.wait(12) == 0
    assert not program.logged("process.ready", "service.cancelled", "process.died")
    assert not program.ready_file.exists()


@linux_only
def test_it_is_ready_as_long_as_one_of_its_processes_is(database_url: str, tmp_path: Path) -> None:
    env = {"TASKMILL_DATABASE_URL": database_url, "TASKMILL_ADMIN_PORT": "0"}
    arguments = ("run", "api", "--processes", "2", "--port", "0")
    with Program(*arguments, folder=tmp_path, env=env) as program:
        own = program.logged("admin.started")[0]["url"]

        def ready() -> httpx.Response:
            return httpx.get(f"{own}/readyz")

        assert ready().json()["parts"]["processes"] == "ok"
        children = descendants(program.process.pid)
        os.kill(children[0], signal.SIGKILL)
        wait_until(lambda: len(program.logged("process.died")) == 1, "its end is logged")
        assert ready().status_code == 200
        os.kill(children[1], signal.SIGKILL)
        wait_until(lambda: ready().status_code == 503, "it is not ready without any")
        assert "processes: 0 of 2 are ready" in ready().json()["detail"]
        wait_until(lambda: ready().status_code == 200, "it is ready again")


@linux_only
def test_a_killed_one_leaves_neither_processes_nor_files(database_url: str, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = {"TASKMILL_DATABASE_URL": database_url, "TMPDIR": str(temporary)}
    arguments = ("run", "worker", "--processes", "2")
    with Program(*arguments, folder=tmp_path, env=env) as program:
        children = descendants(program.process.pid)
        program.process.kill()
        wait_until(lambda: not any_lives(children), "the others end")
        assert len(program.logged("worker.stopped")) == 2, "in order"
    assert not list(temporary.iterdir())
