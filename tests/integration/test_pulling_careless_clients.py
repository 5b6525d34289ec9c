"""Clients that do everything with their tasks that a client can do, and forget some."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from taskmill.maintenance.rescue import Rescue
from taskmill.maintenance.time_out import TimeOut
from taskmill.runtime.clock import SystemClock
from tests.support.api import Served, serving
from tests.support.builders import AT_ONCE, a_draft
from tests.support.polling import eventually
from tests.support.pulling import BODY
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.verifying import found_in


class Careless:
    """A client that does everything that a client can do to its tasks, and forgets some."""

    def __init__(self, servers: Sequence[Served], seed: int) -> None:
        self._servers = servers
        self._choice = random.Random(seed)  # noqa: S311 - no secret

    async def work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            body = {**BODY, "ttl_s": 1, "limit": self._choice.randint(1, 4), "wait_s": 0.2}
            call = asyncio.get_running_loop().create_task(self._server.post("/leases", body))
            if self._choice.random() < 0.2:
                await asyncio.wait([call], timeout=self._choice.random() / 20)
                call.cancel()
                await asyncio.wait([call])
                continue
            response = await call
            if response.status_code == 201:
                await self._handle(response.json())

    @property
    def _server(self) -> Served:
        return self._choice.choice(self._servers)

    async def _handle(self, lease: dict[str, Any]) -> None:
        if self._choice.random() < 0.1:
            await self._server.http.delete(f"/leases/{lease['lease_id']}")
        for task in lease["tasks"]:
            fence = {"lease_id": lease["lease_id"], "claim_no": task["claim_no"]}
            await self._end(f"/tasks/{task['id']}", fence)

    async def _end(self, path: str, fence: dict[str, Any]) -> None:
        failure = {**fence, "error": {"message": "no"}, "retry_after_s": 0}
        match self._choice.choice(("finish", "finish", "twice", "fail", "cancel", "forget")):
            case "finish":
                await self._server.post(f"{path}/progress", {**fence, "share": 0.9})
                await self._server.post(f"{path}/finish", fence)
            case "twice":
                calls = [self._server.post(f"{path}/finish", fence) for _ in range(2)]
                statuses = {response.status_code for response in [await one for one in calls]}
                assert statuses in ({200}, {409})
            case "fail":
                await self._server.post(f"{path}/fail", failure)
            case "cancel":
                await self._server.post(f"{path}/cancel")
                await self._server.post(f"{path}/cancelled", fence)
            case _:
                return  # it runs out


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_clients_do_every_task_ends_and_the_database_is_sound(
    stage: Stage, seed: int
) -> None:
    drafts = [
        a_draft(max_attempts=4, max_losses=20, timeout=timedelta(seconds=0.4 if n % 3 else 30))
        for n in range(150)
    ]
    clock = SystemClock()
    rescue = Rescue(
        stage.maintenance_database, ttl_s=0.3, interval_s=0.1, name="rescue", clock=clock
    )
    time_out = TimeOut(stage.maintenance_database, policy=AT_ONCE, name="rescue")
    left = "SELECT count(*) FROM taskmill.task WHERE finished_at IS NULL"
    async with serving(stage.service) as one, serving(stage.service) as other:
        await stage.creation.create_all(drafts)
        stop = asyncio.Event()

        async def all_ended() -> bool:
            await rescue()
            await time_out()
            return bool(await stage.sql.fetchval(left) == 0)

        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(Careless((one, other), 100 * seed + number).work(stop))
            await eventually(all_ended, "every task to end", timeout_s=60)
            stop.set()
    assert await found_in(stage.database) == {}
    await assert_safe(stage.sql)
