"""An explanation is read in one snapshot, which leaves its connection as it found it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from taskmill.domain.errors import TaskNotFound, Unavailable
from taskmill.domain.explain_snapshot import ExplainSnapshot, QueuePosition
from taskmill.settings import LimitSettings, Settings
from taskmill.storage import explain_snapshot
from tests.support.api import Served, serving
from tests.support.explanations import explained, holding
from tests.support.polling import eventually
from tests.support.stage import Stage


async def test_all_facts_are_of_one_moment(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    task = await stage.created()
    broker = stage.service.broker
    seen: list[tuple[ExplainSnapshot, QueuePosition]] = []
    async with stage.database.snapshot() as connection:
        for _ in range(2):
            found = await explain_snapshot.read(connection, task.id, broker=broker.state())
            assert found is not None
            seen.append((found, await explain_snapshot.read_position(connection, found)))
            await stage.take(lease_id)
            await stage.created(priority=9)
    assert seen[0] == seen[1]
    assert (await stage.task(task.id)).status == "in_progress"


async def test_a_snapshot_writes_nothing_and_its_connection_serves_the_next(
    api: Served, stage: Stage
) -> None:
    task = await stage.created()
    with pytest.raises(Unavailable) as refused:
        async with stage.database.snapshot() as connection:
            await connection.execute("DELETE FROM taskmill.dispatch")
    assert isinstance(refused.value.__cause__, asyncpg.ReadOnlySQLTransactionError)
    for _ in range(5):
        assert holding(await explained(api, task.id)) == ["no_worker"]
        assert (await api.get("/tasks")).status_code == 200


async def test_a_connection_whose_rollback_is_cut_off_is_not_used_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute, is_ending = asyncpg.Connection.execute, asyncio.Event()

    async def slowly(self: asyncpg.Connection, query: str, *others: Any, **more: Any) -> str:  # noqa: ANN401 - as the driver's
        if query == "ROLLBACK":
            is_ending.set()
            await asyncio.Event().wait()
        return await execute(self, query, *others, **more)

    async def read() -> None:
        async with stage.database.snapshot():
            raise TaskNotFound(stage.ids())

    monkeypatch.setattr(asyncpg.Connection, "execute", slowly)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        await is_ending.wait()
        reading.cancel()
    monkeypatch.undo()
    for _ in range(4):
        async with stage.database.listing() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar() == 1


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_connections_that_the_server_ended_are_skipped(api: Served, stage: Stage) -> None:
    task = await stage.created()
    await explained(api, task.id)
    for _ in range(3):
        ended = await stage.sql.fetch("""
            SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
        """)

        async def are_gone(pids: Sequence[int] = tuple(row["pid"] for row in ended)) -> bool:
            return not any(map(is_running, pids))  # only then their sockets are closed

        await eventually(are_gone, "the connections to end")
        assert holding(await explained(api, task.id)) == ["no_worker"]


async def test_a_request_that_takes_too_long_leaves_no_connection_behind(stage: Stage) -> None:
    task = await stage.created()
    limits = LimitSettings(request_timeout_s=0.3)
    async with serving(stage.service, Settings(limits=limits)) as served:
        async with stage.sql.transaction():
            await stage.sql.execute("LOCK TABLE taskmill.dispatch IN ACCESS EXCLUSIVE MODE")
            for _ in range(3):  # more than there are connections
                late = await served.get(f"/tasks/{task.id}/explain")
                assert (late.status_code, late.headers["retry-after"]) == (503, "1")
        assert holding(await explained(served, task.id)) == ["no_worker"]
