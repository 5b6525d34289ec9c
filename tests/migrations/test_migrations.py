"""Migrations, step by step: they give the schema that the code has in mind, and can be undone and repeated."""

import asyncio
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from taskmill.domain.signing import NEW_BYTES, is_secret
from taskmill.runtime.clock import SystemClock
from taskmill.settings import DatabaseSettings
from taskmill.storage import migrate, partitions
from taskmill.storage.database import Database
from taskmill.storage.partitions import Week
from taskmill.storage.schema import metadata

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = sorted((migrate.MIGRATIONS / "versions").glob("[0-9]*_*.py"))
T = TypeVar("T")


async def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def with_schema(url: str, work: Callable[[Connection], T]) -> T:
    """Do something with SQLAlchemy's view of the database."""
    engine = migrate.migration_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


async def apart(work: Callable[..., T], *arguments: object) -> T:
    """Call what runs a loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return await asyncio.wrap_future(thread.submit(work, *arguments))


def belongs_to_the_picture(_: object, name: str | None, kind: str, __: bool, ___: object) -> bool:  # noqa: FBT001 - alembic calls it
    """Leave out partitions and the migrations' own table."""
    return not (
        kind == "table"
        and name
        and (
            name.startswith(("task_default", "task_event_", "task_log_"))
            or name == "alembic_version"
        )
    )


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(
        connection,
        opts={
            "include_schemas": True,
            "include_object": belongs_to_the_picture,
            "compare_type": True,
            "compare_server_default": False,
        },
    )
    return list(compare_metadata(context, metadata))


async def test_the_migrations_make_what_the_code_has_in_mind(database_url: str) -> None:
    assert await with_schema(database_url, differences) == []


async def test_defaults_and_indexes_are_those_of_the_picture(
    database_url: str, empty_database_url: str
) -> None:
    """Names, columns, order, uniqueness and conditions of indexes; defaults as PostgreSQL tells them."""

    def make(connection: Connection) -> None:
        connection.execute(sa.text("CREATE SCHEMA taskmill"))
        metadata.create_all(connection)
        connection.commit()

    await with_schema(empty_database_url, make)
    for query in (
        """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attidentity, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'taskmill'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
            AND NOT c.relispartition AND c.relname <> 'alembic_version'
        ORDER BY 1, 2
        """,
        """
        SELECT c.relname, pg_get_indexdef(i.indexrelid)
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'taskmill'::regnamespace
            AND NOT c.relispartition AND c.relname <> 'alembic_version'
        ORDER BY 1, 2
        """,
    ):
        made, pictured = await asked(database_url, query), await asked(empty_database_url, query)
        assert made == pictured
        assert made


async def test_steps_can_be_undone_and_taken_again(empty_database_url: str) -> None:
    url = empty_database_url
    numbers = [version.name[:4] for version in VERSIONS]
    for number in numbers:
        await apart(migrate.upgrade, url, number)
        assert await _applied(url) == number
    whole = await asked(url, _EVERYTHING)
    await apart(_downgrade, url, "base")
    assert await asked(url, _EVERYTHING) == [("alembic_version", "r"), ("alembic_version_pkc", "i")]
    await apart(migrate.upgrade, url)
    assert await asked(url, _EVERYTHING) == whole
    assert await with_schema(url, differences) == []


_EVERYTHING = """
    SELECT relname::text, relkind::text FROM pg_class
    WHERE relnamespace = 'taskmill'::regnamespace
    UNION ALL
    SELECT proname::text, 'function' FROM pg_proc WHERE pronamespace = 'taskmill'::regnamespace
    ORDER BY 1, 2
"""


async def _applied(url: str) -> str | None:
    connection = await asyncpg.connect(url)
    try:
        return await migrate.applied(connection)
    finally:
        await connection.close()


def _downgrade(url: str, revision: str) -> None:
    from alembic import command  # noqa: PLC0415 - slow to import
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    config.attributes[migrate.URL_OPTION] = url
    command.downgrade(config, revision)


async def test_an_index_added_later_covers_the_weeks_that_are_there_and_those_to_come(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    await apart(migrate.upgrade, url, "0002")
    database = Database(url, DatabaseSettings())
    moment = await database.anchor(SystemClock())
    await make_as_before_lines(url, *(Week.of(moment).later(n) for n in range(-1, 5)))
    await apart(migrate.upgrade, url)
    await partitions.ensure(database, moment + timedelta(weeks=1))
    await database.close()
    indexes = await asked(url, _INDEXES_OF_WEEKS)
    assert len(indexes) == 8, "last week, this one, five ahead, and the net"
    assert {found for _, found in indexes} == {1}


_INDEXES_OF_WEEKS = """
    SELECT t.inhrelid::regclass::text, count(i.indexrelid) FILTER (
        WHERE i.indisvalid AND p.inhparent = 'taskmill.task_cancel_asked'::regclass)
    FROM pg_inherits AS t
    JOIN pg_index AS i ON i.indrelid = t.inhrelid
    LEFT JOIN pg_inherits AS p ON p.inhrelid = i.indexrelid
    WHERE t.inhparent = 'taskmill.task'::regclass AND pg_get_indexdef(i.indexrelid) LIKE '%(lease_id)%'
    GROUP BY 1
"""


async def test_the_weeks_that_are_there_get_room_for_lines_with_the_same_bounds(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    await apart(migrate.upgrade, url, "0003")
    weeks = [Week.of(datetime(2026, 1, 7, tzinfo=UTC)).later(n) for n in (-40, -1, 0, 1)]
    await make_as_before_lines(url, *weeks)
    await apart(migrate.upgrade, url)
    bounds = {
        table: await asked(url, _BOUNDS.format(table=table)) for table in ("task", "task_log")
    }
    assert len(bounds["task"]) == 5
    assert bounds["task_log"] == bounds["task"]
    database = Database(url, DatabaseSettings())
    made_now = await partitions.ensure(database, weeks[-1].start)
    assert [week.suffix for week in made_now] == [weeks[-1].later(n).suffix for n in (1, 2, 3, 4)]
    await database.close()


async def make_as_before_lines(url: str, *weeks: Week) -> None:
    """Make weeks as a program does that knows no lines."""
    for week in weeks:
        lower, upper = week.bounds
        for table in ("task", "task_event"):
            made = f"taskmill.{table}_{week.suffix} PARTITION OF taskmill.{table}"
            await asked(url, f"CREATE TABLE {made} FOR VALUES FROM ('{lower}') TO ('{upper}')")


_BOUNDS = """
    SELECT replace(c.relname, '{table}_', ''), pg_get_expr(c.relpartbound, c.oid)
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'taskmill.{table}'::regclass
    ORDER BY 1
"""


async def test_failures_that_are_counted_already_are_called_by_their_first_line(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    names = [version.name for version in VERSIONS]
    own = next(number for number, name in enumerate(names) if name.endswith("_lost_workers.py"))
    await apart(migrate.upgrade, url, names[own - 1][:4])
    for statement in migrate.commands(_FAILED_BEFORE):
        await asked(url, statement)
    await apart(migrate.upgrade, url)
    found = await asked(url, "SELECT error, tasks FROM taskmill.failure ORDER BY error")
    assert found == [("*", 9), ("E: busy", 1 + 2 + 4), ("E: gone", 8)]


_FAILED_BEFORE = """
    CREATE FUNCTION public.failed(n integer, shown text, message text) RETURNS void LANGUAGE sql
    SET session_replication_role = replica AS $$
        INSERT INTO taskmill.task (id, number, name, type, queue, priority, status, max_attempts,
            max_losses, run_at, created_at, finished_at, labels, source, error)
        SELECT gen_random_uuid(), n, '', 't', 'q', 4, 'failed', 1, 3, now(), now(), now(), '{}', 'rest',
            jsonb_build_object('type', 'E', 'message', message)
        WHERE message <> '';
        INSERT INTO taskmill.failure (step_s, at, type, error, tasks, first_at, last_at, task_id)
        SELECT 600, '2026-11-25', CASE shown WHEN '*' THEN '*' ELSE 't' END, shown, n, now(), now(),
            coalesce((SELECT id FROM taskmill.task WHERE number = n), gen_random_uuid())
    $$;

    SELECT public.failed(1, 'E: </html>', E'busy\n</html>');

    SELECT public.failed(2, 'E: </body>', E'busy\n</body>');

    SELECT public.failed(4, 'E: busy', 'busy');

    SELECT public.failed(8, 'E: gone', '');

    SELECT public.failed(9, '*', '')
"""


async def test_a_database_gets_a_key_for_callbacks_once(empty_database_url: str) -> None:
    url, query = empty_database_url, "SELECT secret FROM taskmill.callback_key"
    await apart(migrate.upgrade, url)
    [(key,)] = await asked(url, query)
    assert is_secret(key)
    assert len(b64decode(key.removeprefix("whsec_"))) == NEW_BYTES
    await apart(migrate.upgrade, url)
    assert await asked(url, query) == [(key,)]
    with pytest.raises(asyncpg.UniqueViolationError):
        await asked(url, "INSERT INTO taskmill.callback_key (secret) VALUES ('another')")


async def test_each_database_has_a_key_for_callbacks_of_its_own(empty_database_url: str) -> None:
    url, query = empty_database_url, "SELECT secret FROM taskmill.callback_key"
    found = set()
    for _ in range(2):
        await apart(migrate.upgrade, url)
        found.update(await asked(url, query))
        await asked(url, "DROP SCHEMA taskmill CASCADE")
    assert len(found) == 2


async def test_an_empty_database_has_no_number(empty_database_url: str) -> None:
    assert await _applied(empty_database_url) is None


async def test_many_may_migrate_at_once(empty_database_url: str) -> None:
    def run() -> int:
        code = "import sys; from taskmill.storage.migrate import upgrade; upgrade(sys.argv[1])"
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", code, empty_database_url],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},  # noqa: TID251 - the child's, plus ours
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.returncode

    async with asyncio.TaskGroup() as group:
        runs: list[Awaitable[int]] = [group.create_task(apart(run)) for _ in range(3)]
        assert [await one for one in runs] == [0, 0, 0]
    assert await _applied(empty_database_url) == migrate.head()


def test_alembic_itself_works_from_the_root(empty_database_url: str) -> None:
    for arguments in (["upgrade", "head"], ["current"]):
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "alembic", *arguments],
            cwd=ROOT,
            env={**os.environ, "TASKMILL_DATABASE_URL": empty_database_url},  # noqa: TID251 - for the child
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    assert asyncio.run(_applied(empty_database_url)) == migrate.head()


def test_the_numbers_have_no_gaps_and_every_step_knows_the_one_before() -> None:
    numbers = [version.name[:4] for version in VERSIONS]
    assert numbers == [f"{n:04}" for n in range(1, len(numbers) + 1)]
    assert migrate.head() == numbers[-1]
    for before, version in zip([None, *numbers], VERSIONS, strict=False):
        text = version.read_text(encoding="utf-8")
        expected = "None" if before is None else f'"{before}"'
        assert f'revision = "{version.name[:4]}"' in text
        assert f"down_revision = {expected}" in text


def test_a_script_is_cut_at_semicolons_before_empty_lines() -> None:
    script = "CREATE TABLE a (\n  b text\n);\n\n-- why\nCREATE FUNCTION f() AS $$ BEGIN; END; $$;\n"
    assert migrate.commands(script) == [
        "CREATE TABLE a (\n  b text\n)",
        "-- why\nCREATE FUNCTION f() AS $$ BEGIN; END; $$",
    ]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_a_migration_is_named_by_what_it_changes(version: Path) -> None:
    assert version.stem[4] == "_"
    assert version.stem[5:].replace("_", "").isalpha()
