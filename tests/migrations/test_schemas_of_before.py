"""A schema that no migration starts from, and one that is busy: one clear line, and nothing changes."""

from pathlib import Path

import asyncpg
import pytest

from taskmill.domain.errors import ConfigurationError
from taskmill.operations import system
from taskmill.operations.broker import NO_BROKER
from taskmill.settings import DatabaseSettings
from taskmill.storage import migrate
from taskmill.storage.database import Database
from tests.support.migrating import apart, applied, fetch_rows, run_module

LINE = (
    "the schema is 0010, too old for this program: start commit 0543e85 once first "
    "(`taskmill up`, or `taskmill migrate`), which brings it to 0014"
)


@pytest.fixture
async def old_database_url(database_url: str) -> str:
    """Return the URL of a database at a revision that no longer exists."""
    await fetch_rows(database_url, "UPDATE taskmill.alembic_version SET version_num = '0010'")
    return database_url


@pytest.mark.parametrize(
    ("arguments", "lead"),
    [
        (["taskmill", "migrate"], "Error: "),
        (["taskmill", "run", "maintenance"], "Error: "),
        (
            ["taskmill", "up", "--broker", "postgres", "--port", "0", "--data", "{folder}"],
            "Error: ",
        ),
        (["alembic", "upgrade", "head"], "FAILED: "),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
async def test_a_schema_of_before_the_foundation_stops_with_the_commit_to_start_first(
    old_database_url: str, arguments: list[str], lead: str, tmp_path: Path
) -> None:
    words = [word.format(folder=tmp_path) for word in arguments]
    done = await apart(run_module, old_database_url, *words)
    printed = [
        line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("{")
    ]
    assert [line.strip() for line in printed] == [lead + LINE]
    assert done.returncode != 0
    assert await applied(old_database_url) == "0010"


async def test_a_service_on_such_a_schema_is_not_ready_for_the_same_reason(
    old_database_url: str,
) -> None:
    database = Database(old_database_url, DatabaseSettings())
    try:
        with pytest.raises(ConfigurationError) as refused:
            await system.check_schema(database)
        assert str(refused.value) == LINE
        assert (await system.readiness(database, NO_BROKER)).parts["schema"] == LINE
    finally:
        await database.close()


async def test_a_schema_that_is_newer_than_the_program_is_left_alone(database_url: str) -> None:
    await fetch_rows(database_url, "UPDATE taskmill.alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="9999"):
        await apart(migrate.upgrade, database_url)
    assert await applied(database_url) == "9999"


async def test_a_migration_that_gets_no_lock_gives_up_and_can_be_repeated(
    empty_database_url: str,
) -> None:
    await apart(migrate.upgrade, empty_database_url, "0019")
    holder = await asyncpg.connect(empty_database_url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE taskmill.queue IN ACCESS SHARE MODE")
        with pytest.raises(ConfigurationError, match="due to lock timeout"):
            await apart(migrate.upgrade, empty_database_url)
    await holder.close()
    assert await applied(empty_database_url) == "0019"
    await apart(migrate.upgrade, empty_database_url)
    assert await applied(empty_database_url) == migrate.head()
