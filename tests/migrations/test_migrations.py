"""Migrations, step by step: they make the schema that the code expects, and can be undone and repeated."""

import asyncio
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from taskmill.domain.signing import NEW_BYTES, is_secret
from taskmill.storage import migrate
from taskmill.storage.name_index import NAME_INDEX
from taskmill.storage.schema import metadata
from tests.support.migrating import (
    ROOT,
    VERSIONS,
    apart,
    applied,
    downgrade,
    fetch_rows,
    run_module,
)
from tests.support.postgres import DatabaseServer

T = TypeVar("T")


async def with_schema(url: str, work: Callable[[Connection], T]) -> T:
    """Call `work` with a SQLAlchemy connection."""
    engine = migrate.migration_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def is_in_metadata(_: object, name: str | None, kind: str, __: bool, ___: object) -> bool:  # noqa: FBT001 - alembic calls it
    """Leave out partitions, the migrations' own table, and the index that the program makes."""
    return name != NAME_INDEX and not (
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
            "include_object": is_in_metadata,
            "compare_type": True,
            "compare_server_default": False,
        },
    )
    return list(compare_metadata(context, metadata))


async def test_the_migrations_make_the_schema_that_the_code_expects(database_url: str) -> None:
    assert await with_schema(database_url, differences) == []


async def test_defaults_and_indexes_are_those_of_the_metadata(
    database_url: str, empty_database_url: str
) -> None:
    """Names, columns, order, uniqueness and conditions of indexes; defaults as PostgreSQL shows them."""

    def make(connection: Connection) -> None:
        connection.execute(sa.text("CREATE SCHEMA taskmill"))
        # Indexes use it.
        connection.execute(
            sa.text(
                "CREATE FUNCTION taskmill.error_kind(error jsonb) RETURNS text IMMUTABLE RETURN ''"
            )
        )
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
            AND NOT a.attisdropped AND NOT c.relispartition AND c.relname <> 'alembic_version'
        ORDER BY 1, 2
        """,
        """
        SELECT c.relname, pg_get_indexdef(i.indexrelid)
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'taskmill'::regnamespace
            AND NOT c.relispartition AND c.relname <> 'alembic_version'
            AND i.indexrelid IS DISTINCT FROM to_regclass('taskmill.task_name_trigrams')
        ORDER BY 1, 2
        """,
    ):
        made, expected = (
            await fetch_rows(database_url, query),
            await fetch_rows(empty_database_url, query),
        )
        assert made == expected
        assert made


async def test_steps_can_be_undone_and_taken_again(empty_database_url: str) -> None:
    """One step back restores exactly what was there before, including the text and rights of functions."""
    url = empty_database_url
    made: dict[str, list[tuple[Any, ...]]] = {}
    for version in VERSIONS:
        await apart(migrate.upgrade, url, version.name[:4])
        assert await applied(url) == version.name[:4]
        made[version.name[:4]] = await fetch_rows(url, _EVERYTHING)
    *earlier, newest = made
    for number in reversed(earlier):
        await apart(downgrade, url, number)
        assert await fetch_rows(url, _EVERYTHING) == made[number]
    await apart(downgrade, url, "base")
    left = [name for name, *_ in await fetch_rows(url, _EVERYTHING)]
    assert [name for name in left if not name.startswith("alembic_version")] == []
    await apart(migrate.upgrade, url)
    assert await fetch_rows(url, _EVERYTHING) == made[newest]
    assert await with_schema(url, differences) == []


_EVERYTHING = """
    SELECT c.relname::text, c.relkind::text, c.reloptions::text, coalesce(
        pg_get_viewdef(CASE c.relkind WHEN 'v' THEN c.oid END),
        pg_get_indexdef(CASE c.relkind WHEN 'i' THEN c.oid END),
        (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attname)
        FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
    FROM pg_class AS c
    WHERE c.relnamespace = 'taskmill'::regnamespace AND c.relname NOT LIKE '%task_name_trigrams'
    UNION ALL
    SELECT proname::text, 'function', proacl::text, pg_get_functiondef(oid)
    FROM pg_proc WHERE pronamespace = 'taskmill'::regnamespace
    UNION ALL
    SELECT tgname, 'trigger', NULL, pg_get_triggerdef(t.oid)
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'taskmill'::regnamespace AND NOT tgisinternal
    UNION ALL
    SELECT conname, 'constraint', NULL, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'taskmill'::regnamespace
    ORDER BY 1, 2, 4
"""


async def test_failures_that_are_counted_already_get_the_first_line_of_their_error(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    names = [version.name for version in VERSIONS]
    own = next(number for number, name in enumerate(names) if name.endswith("_lost_workers.py"))
    await apart(migrate.upgrade, url, names[own - 1][:4])
    for statement in migrate.commands(_FAILED_BEFORE):
        await fetch_rows(url, statement)
    await apart(migrate.upgrade, url)
    found = await fetch_rows(url, "SELECT error, tasks FROM taskmill.failure ORDER BY error")
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


async def test_renamed_columns_keep_their_rows_and_create_task_works_on_both_sides(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    names = [version.name for version in VERSIONS]
    own = next(number for number, name in enumerate(names) if name.endswith("_plain_names.py"))
    create = "SELECT taskmill.create_task('a', callback_url => 'https://example.org/done')"
    row = ("created", "created", "callback:https://example.org:443")
    await apart(migrate.upgrade, url, names[own - 1][:4])
    await fetch_rows(url, create)
    await apart(migrate.upgrade, url, names[own][:4])
    await fetch_rows(url, create)
    assert await fetch_rows(url, _CREATED.format(event="event", endpoint="endpoint")) == [row] * 2
    assert await fetch_rows(url, "SELECT scope, queues FROM taskmill.request_limit") == [
        ("all", 1000)
    ]
    await apart(downgrade, url, names[own - 1][:4])
    await fetch_rows(url, create)
    assert await fetch_rows(url, _CREATED.format(event="happening", endpoint="lane")) == [row] * 3
    assert await fetch_rows(url, "SELECT place, queues FROM taskmill.door_limit") == [("all", 1000)]


_CREATED = """
    SELECT e.{event}, d.{event}, c.{endpoint}
    FROM taskmill.task_event AS e JOIN taskmill.task_callback AS c USING (task_id)
    JOIN LATERAL (SELECT {event} FROM taskmill.task_minute_delta LIMIT 1) AS d ON true
"""


async def test_a_database_gets_a_key_for_callbacks_once(empty_database_url: str) -> None:
    url, query = empty_database_url, "SELECT secret FROM taskmill.callback_key"
    await apart(migrate.upgrade, url)
    [(key,)] = await fetch_rows(url, query)
    assert is_secret(key)
    assert len(b64decode(key.removeprefix("whsec_"))) == NEW_BYTES
    await apart(migrate.upgrade, url)
    assert await fetch_rows(url, query) == [(key,)]
    with pytest.raises(asyncpg.UniqueViolationError):
        await fetch_rows(url, "INSERT INTO taskmill.callback_key (secret) VALUES ('another')")


async def test_each_database_has_its_own_key_for_callbacks(empty_database_url: str) -> None:
    url, query = empty_database_url, "SELECT secret FROM taskmill.callback_key"
    found = set()
    for _ in range(2):
        await apart(migrate.upgrade, url)
        found.update(await fetch_rows(url, query))
        await fetch_rows(url, "DROP SCHEMA taskmill CASCADE")
    assert len(found) == 2


async def test_an_empty_database_has_no_number(empty_database_url: str) -> None:
    assert await applied(empty_database_url) is None


async def test_many_processes_can_migrate_at_once(empty_database_url: str) -> None:
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
    assert await applied(empty_database_url) == migrate.head()


def test_alembic_itself_works_from_the_root(empty_database_url: str) -> None:
    for arguments in (["upgrade", "head"], ["current"]):
        done = run_module(empty_database_url, "alembic", *arguments)
        assert done.returncode == 0, done.stderr
    assert asyncio.run(applied(empty_database_url)) == migrate.head()


async def test_the_sql_that_alembic_writes_makes_the_same(
    database_server: DatabaseServer, empty_database_url: str
) -> None:
    url = database_server.create()
    await apart(migrate.upgrade, url)
    written = await apart(run_module, empty_database_url, "alembic", "upgrade", "head", "--sql")
    connection = await asyncpg.connect(empty_database_url)
    for statement in migrate.commands(written.stdout):
        await connection.execute(statement)
    await connection.close()
    made = await fetch_rows(empty_database_url, _EVERYTHING)
    assert made == await fetch_rows(url, _EVERYTHING)
    assert await applied(empty_database_url) == migrate.head()
    database_server.drop(url)


def test_the_numbers_have_no_gaps_and_every_step_knows_the_one_before() -> None:
    numbers = [version.name[:4] for version in VERSIONS]
    assert numbers == [f"{n:04}" for n in range(14, 14 + len(numbers))]
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
