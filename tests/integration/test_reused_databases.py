"""Whatever a test may leave in a database, the next one gets a database as new."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from tests.support.postgres import DatabaseServer
from tests.support.reused import ReusedDatabases
from tests.support.stage import a_stage


@pytest.fixture
def databases(database_server: DatabaseServer, stage_template: str) -> Iterator[ReusedDatabases]:
    reused = ReusedDatabases(database_server, stage_template)
    yield reused
    reused.close()


def the_next(databases: ReusedDatabases, url: str) -> str:
    """Give a database back; return the one that is given when it is its turn again."""
    other = databases.take()
    databases.give_back(url)
    databases.give_back(other)
    found = databases.take()
    databases.give_back(found)
    return found


async def left(url: str, *statements: str) -> None:
    sql = await asyncpg.connect(url)
    try:
        for statement in statements:
            await sql.execute(statement)
    finally:
        await sql.close()


async def content(url: str) -> dict[str, object]:
    """Read all rows, and what the planner knows of the tables."""
    sql = await asyncpg.connect(url)
    try:
        tables = await sql.fetch(
            "SELECT oid::regclass::text AS name, relkind::text AS kind, "
            "pg_relation_size(oid), relpages, reltuples "
            "FROM pg_class WHERE relnamespace = 'taskmill'::regnamespace AND relkind IN ('r', 'i', 'S')"
        )
        found: dict[str, object] = {row["name"]: tuple(row) for row in tables}
        for name, kind, *_ in tables:
            if kind != "i":
                found[f"rows of {name}"] = [
                    str(row)
                    for row in await sql.fetch(f"SELECT * FROM {name}")  # noqa: S608 - a name of ours
                ]
        return found
    finally:
        await sql.close()


async def test_rows_and_sequences_are_as_in_a_new_database(databases: ReusedDatabases) -> None:
    url = databases.take()
    new = await content(url)
    async with a_stage(url) as stage:
        lease_id = await stage.open_lease()
        await stage.running(lease_id)
        await stage.created()
    await left(
        url,
        "UPDATE taskmill.feed_delivery SET position = 7",
        "DELETE FROM taskmill.contract_revision",
        "SELECT nextval('taskmill.task_number')",
        "VACUUM taskmill.task_type",
    )
    assert await content(url) != new
    assert the_next(databases, url) == url
    assert await content(url) == new


async def test_a_session_that_goes_away_does_no_harm(databases: ReusedDatabases) -> None:
    url = databases.take()
    sql = await asyncpg.connect(url)
    await sql.execute("SELECT pg_advisory_lock(1)")
    await sql.close()
    assert the_next(databases, url) == url


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE taskmill.more ()",
        "ALTER TABLE taskmill.task DISABLE TRIGGER USER",
        "ALTER TABLE taskmill.queue SET (autovacuum_enabled = off)",
        "DROP INDEX taskmill.schedule_due",
        "GRANT DELETE ON taskmill.task TO taskmill_reader",
        "REVOKE ALL ON FUNCTION taskmill.create_task FROM taskmill_enqueue",
        "COMMENT ON TABLE taskmill.queue IS 'changed'",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = off', current_database()); END $$",
        "ALTER ROLE taskmill_reader SET jit = off; ALTER ROLE taskmill_reader RESET jit; CREATE ROLE passing",
        "ANALYZE taskmill.queue; INSERT INTO taskmill.queue (name) VALUES ('a'); ANALYZE taskmill.queue",
        "TRUNCATE taskmill.queue",
    ],
)
async def test_a_database_is_dropped_when_more_than_rows_has_changed(
    statement: str, databases: ReusedDatabases
) -> None:
    url = databases.take()
    await left(url, *statement.split("; ") if "DO" not in statement else [statement])
    try:
        assert the_next(databases, url) != url
    finally:
        await left(databases.take(), "DROP ROLE IF EXISTS passing")


async def test_a_database_is_dropped_while_somebody_uses_it(databases: ReusedDatabases) -> None:
    url = databases.take()
    sql = await asyncpg.connect(url)
    assert await asyncio.to_thread(the_next, databases, url) != url
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await sql.execute("SELECT 1")
