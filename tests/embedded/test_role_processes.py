"""Processes of roles beside `taskmill up`: started, started again, stopped in order."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from uuid import UUID

import pytest

from taskmill.embedded.role_processes import RoleProcesses
from taskmill.settings import load
from taskmill.storage.rights import APP
from tests.support.api import LogLines
from tests.support.polling import eventually
from tests.support.roles import as_role
from tests.support.stage import Stage, a_stage


async def alive(stage: Stage) -> dict[UUID, int]:
    """The workers that live, and their process ids."""
    return {
        worker.id: int(worker.name.rsplit("-", 1)[1])
        for worker in await stage.service.workers()
        if worker.state == "alive" and worker.close_reason is None
    }


async def test_workers_are_started_started_again_and_stopped_in_order(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.embedded.role_processes._FIRST_PAUSE_S", 0.01)
    monkeypatch.delenv("TASKMILL_WORKER__NAME", raising=False)
    settings = load(database_url=as_role(database_url, APP), worker={"concurrency": 7})
    stop = asyncio.Event()
    async with a_stage(database_url) as stage, asyncio.TaskGroup() as group:
        service = group.create_task(RoleProcesses(settings, ["worker"], count=2).run(stop))

        async def two() -> dict[UUID, int] | None:
            workers = await alive(stage)
            return workers if len(workers) == 2 else None

        workers = await eventually(two, "two workers")
        assert workers is not None
        assert {worker.slots for worker in await stage.service.workers()} == {7}
        victim, pid = next(iter(workers.items()))
        os.kill(pid, signal.SIGKILL)

        async def another() -> dict[UUID, int] | None:
            workers_now = await alive(stage)
            return workers_now if len(workers_now.keys() - {victim}) == 2 else None

        workers = await eventually(another, "another worker")
        assert workers is not None
        stop.set()
        await service
        reasons = {w.id: w.close_reason for w in await stage.service.workers()}
        assert {reason for lease, reason in reasons.items() if lease != victim} == {"stopped"}
        for pid in workers.values():
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


async def test_one_that_can_not_be_started_is_tried_again_and_harms_no_other(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    monkeypatch.setattr("taskmill.embedded.role_processes._FIRST_PAUSE_S", 0.01)
    monkeypatch.delenv("TASKMILL_WORKER__NAME", raising=False)
    python, stop = sys.executable, asyncio.Event()
    processes = RoleProcesses(load(database_url=as_role(database_url, APP)), ["worker"], count=2)
    async with a_stage(database_url) as stage, asyncio.TaskGroup() as group:
        service = group.create_task(processes.run(stop))
        await processes.started.wait()

        async def two() -> list[int] | None:
            workers = await alive(stage)
            return list(workers.values()) if len(workers) == 2 else None

        workers = await eventually(two, "both leases")
        assert workers is not None
        victim, other = workers
        monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
        os.kill(victim, signal.SIGKILL)

        async def was_tried_twice() -> bool:
            return len(log_lines.named("process.unstarted")) >= 2

        await eventually(was_tried_twice, "two tries")
        assert processes.trouble() is None, "the other one works on"
        monkeypatch.setattr(sys, "executable", python)

        async def another() -> bool:
            return len(set((await alive(stage)).values()) - {victim}) == 2

        await eventually(another, "another worker")
        assert other in (await alive(stage)).values()
        stop.set()
        await service


async def test_the_start_is_complete_when_all_are_ready(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.embedded.role_processes._FIRST_PAUSE_S", 0.01)
    stop = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        admin_port = taken.getsockname()[1] - 2
        settings = load(database_url=as_role(database_url, APP), admin_port=admin_port)
        processes = RoleProcesses(settings, ["worker"], count=2)
        assert processes.trouble() == "0 of 2 are ready"
        async with asyncio.TaskGroup() as group:
            service = group.create_task(processes.run(stop))

            async def one_is() -> bool:
                return processes.trouble() == "1 of 2 are ready"

            await eventually(one_is, "the one whose admin port is free")
            assert not processes.started.is_set()
            taken.close()
            await processes.started.wait()
            assert processes.trouble() is None
            stop.set()
            await service


async def test_an_api_that_lingers_is_not_killed_after_the_time_that_a_worker_has(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("taskmill.embedded.role_processes._STOP_MARGIN_S", 0)
    monkeypatch.setenv("TASKMILL_API__STOP_DELAY_S", "0.5")
    settings = load(
        database_url=as_role(database_url, APP),
        api={"port": 0},
        worker={"grace_s": 0, "stop_timeout_s": 0.1},
    )
    stop = asyncio.Event()
    processes = RoleProcesses(settings, ["api"])
    async with asyncio.TaskGroup() as group:
        group.create_task(processes.run(stop))
        await processes.started.wait()
        stop.set()
    assert "api.stopped" in "".join(capfd.readouterr())
