"""Processes of roles beside `taskmill up`: started, started again, stopped in order."""

import asyncio
import os
import signal
from uuid import UUID

import pytest

from taskmill.embedded.role_processes import RoleProcesses
from taskmill.settings import load
from tests.support.polling import eventually
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
    settings = load(database_url=database_url, worker={"concurrency": 7})
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
