"""Connections to the database are closed when nothing uses them, and when they can't be trusted."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from sqlalchemy import text

from taskmill.domain.errors import Unavailable
from taskmill.settings import DatabaseSettings
from taskmill.storage.database import Database
from taskmill.storage.listing_pool import driver_of
from tests.support.polling import eventually
from tests.support.role_database import RoleDatabase
from tests.support.stage import Stage


@pytest.fixture
async def database(stage: Stage) -> AsyncIterator[Database]:
    database = RoleDatabase(stage.url, DatabaseSettings(pool_size=3, listing_pool_size=2))
    yield database
    await database.close()


async def sessions_of(database: Database, together: int) -> list[int]:
    """Use so many connections at once, and return PostgreSQL's processes behind them."""
    async with AsyncExitStack() as stack:
        used = [await stack.enter_async_context(database.hot()) for _ in range(together)]
        return [await one.fetchval("SELECT pg_backend_pid()") for one in used]


async def are_open(stage: Stage, sessions: Sequence[int]) -> set[int]:
    """Return those of the sessions that exist."""
    query = "SELECT pid FROM pg_stat_activity WHERE pid = ANY($1)"
    return {row["pid"] for row in await stage.sql.fetch(query, sessions)}


async def test_connections_that_nothing_uses_are_closed_and_others_stay(
    stage: Stage, database: Database
) -> None:
    sessions = await sessions_of(database, 3)
    await database.close_unused()
    assert await are_open(stage, sessions) == set(sessions), "they were in use a moment ago"
    [used] = await sessions_of(database, 1)

    await database.close_unused()

    async def only_one_is_open() -> bool:
        return await are_open(stage, sessions) == {used}

    await eventually(only_one_is_open, "the other two to be closed")
    assert await sessions_of(database, 1) == [used]
    assert len(set(await sessions_of(database, 3))) == 3, "and three can be used again"


async def test_a_connection_that_was_used_between_is_not_unused(
    stage: Stage, database: Database
) -> None:
    sessions = await sessions_of(database, 3)
    await database.close_unused()
    await sessions_of(database, 3)
    await database.close_unused()
    assert await are_open(stage, sessions) == set(sessions)


async def test_connections_for_lists_are_closed_when_nothing_was_listed(
    stage: Stage, database: Database
) -> None:
    async with database.listing() as connection:
        session = await connection.scalar(text("SELECT pg_backend_pid()"))
    await database.close_unused()
    assert await are_open(stage, [session]) == {session}, "something was listed a moment ago"
    await database.close_unused()

    async def is_closed() -> bool:
        return not await are_open(stage, [session])

    await eventually(is_closed, "it to be closed")
    async with database.listing() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1


async def test_what_a_read_only_server_refused_is_done_on_a_new_connection(
    database: Database,
) -> None:
    async with database.hot() as connection:
        await connection.execute("SET default_transaction_read_only = on")
        refused = connection.get_server_pid()
    assert await database.fetch("close_lease", uuid4(), "stopped") == []
    async with database.hot() as connection:
        assert connection.get_server_pid() != refused


async def test_a_closed_connection_for_lists_is_replaced_at_once(
    stage: Stage, database: Database
) -> None:
    async with database.listing() as connection:
        driver = await driver_of(connection)
        session = await connection.scalar(text("SELECT pg_backend_pid()"))
    await stage.sql.execute("SELECT pg_terminate_backend($1)", session)

    async def is_noticed() -> bool:
        return driver.is_closed()

    await eventually(is_noticed, "the driver to notice")
    async with database.listing() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    async with database.snapshot() as snapshot:
        assert await snapshot.fetchval("SELECT 1") == 1


async def test_an_outage_closes_idle_connections_at_once_and_used_ones_when_they_are_released(
    stage: Stage, database: Database
) -> None:
    sessions = await sessions_of(database, 3)
    async with database.hot() as used:
        with pytest.raises(Unavailable):
            async with database.hot():
                raise TimeoutError
        assert await used.fetchval("SELECT 1") == 1

    async def none_is_open() -> bool:
        return not await are_open(stage, sessions)

    await eventually(none_is_open, "all to be closed")
    assert len(set(await sessions_of(database, 3))) == 3


async def test_more_callers_than_connections_wait_for_each_other(database: Database) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(database.fetch("clock_now")) for _ in range(20)]
    assert all(task.result() for task in tasks)
