"""The primary killed under load, with a synchronous standby that takes over: nothing accepted is missing."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from taskmill.storage import migrate
from tests.support.fleet import a_fleet
from tests.support.polling import eventually
from tests.support.replicated import ReplicatedDatabase
from tests.support.safety import assert_safe

CLIENTS = 8
# What a client sees while nobody takes writes.
AWAY = (503,)
BEFORE, DURING, AFTER = 400, 400, 800
PATIENCE_S = 60.0


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[ReplicatedDatabase]:
    with ReplicatedDatabase(tmp_path / "databases") as databases:
        yield databases


class Clients:
    """Post tasks, again and again each until it was accepted, and remember what was answered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.accepted: set[str] = set()
        self.refused: list[int] = []

    async def run(self) -> None:
        """Go on until cancelled."""
        async with (
            httpx.AsyncClient(base_url=self._url, timeout=10) as http,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(CLIENTS):
                group.create_task(self._post_for_ever(http))

    async def _post_for_ever(self, http: httpx.AsyncClient) -> None:
        while True:
            await self._post_one(http, str(uuid.uuid4()))

    async def _post_one(self, http: httpx.AsyncClient, key: str) -> None:
        body = {"name": "t", "payload": {"delay_s": 0.02, "failure_probability": 0}}
        while True:
            answer = await http.post("/tasks", json=body, headers={"Idempotency-Key": key})
            if answer.status_code in {200, 201}:
                self.accepted.add(answer.json()["id"])
                return
            self.refused.append(answer.status_code)
            assert "Retry-After" in answer.headers, answer.text

    async def have(self, accepted: int) -> None:
        """Wait until so many were accepted."""

        async def look() -> bool:
            return len(self.accepted) >= accepted

        await eventually(look, f"{accepted} tasks accepted", timeout_s=PATIENCE_S)


@asynccontextmanager
async def posting(url: str) -> AsyncIterator[Clients]:
    clients = Clients(url)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(clients.run())
        yield clients
        running.cancel()


@pytest.mark.slow
async def test_a_standby_that_takes_over_has_everything_that_was_accepted(
    replicated: ReplicatedDatabase, tmp_path: Path
) -> None:
    await asyncio.to_thread(migrate.upgrade, replicated.url)
    with a_fleet(
        tmp_path,
        database_url=replicated.url,
        env={"TASKMILL_BROKER": "postgres", "TASKMILL_API__PORT": "0"},
        api=1,
        worker=2,
        maintenance=1,
    ) as fleet:
        async with posting(fleet.programs["api-1"].facts["url"]) as clients:
            await clients.have(BEFORE)
            replicated.primary.kill()
            await eventually(lambda: _refused(clients), "clients to be told to come back")
            await asyncio.to_thread(replicated.standby.promote)
            await clients.have(BEFORE + DURING + AFTER)
        assert set(clients.refused) == set(AWAY)
        sql = await asyncpg.connect(replicated.url_of(replicated.standby))
        try:
            await eventually(lambda: _all_ended(sql), "all tasks to end", timeout_s=PATIENCE_S)
            kept = {str(row["id"]) for row in await sql.fetch("SELECT id FROM taskmill.task")}
            assert clients.accepted <= kept, (
                f"{len(clients.accepted - kept)} accepted tasks are missing"
            )
            await assert_safe(sql)
        finally:
            await sql.close()


async def _refused(clients: Clients) -> bool:
    return bool(clients.refused)


async def _all_ended(sql: "asyncpg.Connection[asyncpg.Record]") -> bool:
    waiting: int = await sql.fetchval(
        "SELECT count(*) FROM taskmill.task WHERE status IN ('new', 'in_progress')"
    )
    return waiting == 0
