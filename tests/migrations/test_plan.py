"""What `taskmill migrate --plan` says is what happens; `--to`; and schemas that are too new for a program."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import asyncpg
import orjson
import pytest
from sqlalchemy import Connection, Engine, event

from taskmill.domain.errors import ConfigurationError
from taskmill.operations import system
from taskmill.operations.broker import NO_BROKER
from taskmill.settings import DatabaseSettings
from taskmill.storage import migrate, migration_plan
from taskmill.storage.migration_plan import migration_files, oldest_program, plan
from taskmill.storage.migration_sql import Blocked, effects
from tests.support.commands import Taskmill, taskmill
from tests.support.migrating import apart, applied, fetch_rows, run_module
from tests.support.role_database import RoleDatabase

__all__ = ["taskmill"]

HELD = """
    SELECT coalesce(p.relname, c.relname)::text, l.mode
    FROM pg_locks AS l
    INNER JOIN pg_class AS c ON c.oid = l.relation
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
    LEFT JOIN pg_class AS p ON p.oid = i.inhparent
    WHERE l.pid = pg_backend_pid() AND l.granted AND c.relkind IN ('r', 'p', 'v')
        AND c.relnamespace = 'taskmill'::regnamespace AND c.relname <> 'alembic_version'
"""
TABLES = """
    SELECT relname::text FROM pg_class
    WHERE relkind IN ('r', 'p', 'v') AND relnamespace = to_regnamespace('taskmill')
"""
STRONG = {
    "AccessExclusiveLock": Blocked.EVERYTHING,
    "ExclusiveLock": Blocked.CHANGES,
    "ShareRowExclusiveLock": Blocked.CHANGES,
    "ShareLock": Blocked.CHANGES,
}
# These say it in other words.
WITHOUT_A_SENTENCE = {"0014", "0025", "0043"}


BLOCK = """DO $$ BEGIN PERFORM 'taskmill.task'::regclass;
    EXECUTE format('CREATE INDEX %1$s_a ON taskmill.%1$s (a)', week); END $$"""


@contextmanager
def observing() -> Iterator[dict[str, Blocked]]:
    """Record which tables transactions block when they commit."""
    found: dict[str, Blocked] = {}

    def note(connection: Connection) -> None:
        cursor = connection.connection.cursor()
        cursor.execute(HELD)
        for table, mode in cursor.fetchall():
            if mode in STRONG:
                found[table] = max(STRONG[mode], found.get(table, Blocked.NOTHING))
        cursor.close()

    event.listen(Engine, "commit", note)
    try:
        yield found
    finally:
        event.remove(Engine, "commit", note)


async def test_a_plan_names_all_that_its_steps_block(empty_database_url: str) -> None:
    url = empty_database_url
    first, *others = [one.number for one in migration_files()]
    await apart(migrate.upgrade, url, first)
    blocked_ever: set[str] = set()
    for number in others:
        there = {name for (name,) in await fetch_rows(url, TABLES)}
        [step] = (await apart(plan, url, number)).steps
        with observing() as observed:
            await apart(migrate.upgrade, url, number)
        missing = {
            table: what.name
            for table, what in observed.items()
            if table in there and step.blocked.get(table, Blocked.NOTHING) < what
        }
        assert missing == {}, number
        blocked_ever |= observed.keys() & there
    assert {"task", "dispatch", "lease"} <= blocked_ever


async def test_a_plan_says_who_must_stop_and_how_long_it_takes(empty_database_url: str) -> None:
    url = empty_database_url
    await apart(migrate.upgrade, url, "0027")
    await fetch_rows(
        url, "UPDATE pg_class SET reltuples = 3e6 WHERE oid = 'taskmill.task_default'::regclass"
    )
    steps = {one.number: one for one in (await apart(plan, url)).steps}
    assert list(steps) == [one.number for one in migration_files() if one.number > "0027"]
    assert {number for number, one in steps.items() if not one.programs_go_on} == {"0029", "0036"}
    searches = steps["0028"]
    assert searches.blocked == {"task": Blocked.CHANGES}
    assert searches.about_s >= 40
    assert searches.in_parts
    assert (steps["0031"].blocked, steps["0031"].about_s) == ({}, 0)


async def test_a_plan_changes_nothing_and_ends_where_the_schema_is(database_url: str) -> None:
    found = await apart(plan, database_url)
    assert (found.applied, found.steps) == (migrate.head(), [])


async def test_a_new_database_has_all_steps_before_it(empty_database_url: str) -> None:
    found = await apart(plan, empty_database_url)
    assert (found.applied, len(found.steps)) == (None, len(migration_files()))
    assert await applied(empty_database_url) is None


def test_every_migration_says_whether_programs_of_before_run_with_it() -> None:
    unclear = [
        one.number
        for one in migration_files()
        if one.programs_go_on
        and "previous program runs with it" not in " ".join(one.docstring.split())
    ]
    assert set(unclear) == WITHOUT_A_SENTENCE


def test_the_oldest_program_is_that_of_the_last_break() -> None:
    assert [oldest_program(number) for number in ("0020", "0026", "0028", "0029", "0036")] == [
        *("0014", "0026", "0026", "0029", "0036")
    ]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("CREATE INDEX a ON taskmill.task (id)", {"task": Blocked.CHANGES}),
        ("CREATE INDEX CONCURRENTLY a ON taskmill.task (id)", {"task": Blocked.NOTHING}),
        ("ALTER TABLE taskmill.task ADD COLUMN a text", {"task": Blocked.EVERYTHING}),
        ("ALTER TABLE taskmill.task SET (fillfactor = 50)", {"task": Blocked.NOTHING}),
        (
            "-- why\nDROP TABLE taskmill.a, taskmill.b",
            {"a": Blocked.EVERYTHING, "b": Blocked.EVERYTHING},
        ),
        ("DROP INDEX taskmill.task_id", {"task": Blocked.EVERYTHING}),
        (
            "CREATE TABLE taskmill.a (b uuid REFERENCES taskmill.lease)",
            {"lease": Blocked.CHANGES},
        ),
        ("LOCK TABLE taskmill.task IN SHARE MODE", {"task": Blocked.CHANGES}),
        ("UPDATE taskmill.queue SET name = ''", {"queue": Blocked.NOTHING}),
        (BLOCK, {"task": Blocked.CHANGES}),
        ("CREATE FUNCTION taskmill.f() AS $$ DROP TABLE taskmill.task $$", {}),
    ],
)
def test_commands_block_what_the_manual_says(command: str, expected: Mapping[str, Blocked]) -> None:
    assert effects([command], {"task_id": "task"}).blocked == expected


def test_the_command_shows_the_plan_and_stops_where_it_is_asked_to(
    taskmill: Taskmill, empty_database_url: str
) -> None:
    url = ("--database-url", empty_database_url)
    status, out, err = taskmill("migrate", *url, "--to", "0034")
    assert (status, out) == (0, "The database has the schema 0034.\n"), err
    status, out, _ = taskmill("migrate", *url, "--plan")
    assert status == 0
    [stopping] = [line for line in out.splitlines() if line.startswith("0036")]
    assert "must be stopped" in stopping
    assert "Stop all processes before 0036" in out
    status, out, _ = taskmill("migrate", *url, "--plan", "--to", "0035", "--json")
    [step] = map(orjson.loads, out.splitlines())
    assert (step["migration"], step["waits"], step["programs_go_on"]) == ("0035", {}, True)
    for wanted, message in (
        ("0099", "there is no migration 0099"),
        ("0033", "the schema is 0034 already"),
    ):
        status, out, err = taskmill("migrate", *url, "--to", wanted)
        assert (status, out) == (1, "")
        assert message in err
    assert taskmill("migrate", *url)[0] == 0
    status, out, _ = taskmill("migrate", *url, "--plan")
    assert out == f"nothing to do: the schema is {migrate.head()}\n"


NEWER = "UPDATE taskmill.alembic_version SET version_num = '9999'"
SINCE = "COMMENT ON TABLE taskmill.alembic_version IS 'Programs since {} run with this schema.'"


async def test_a_migration_writes_which_programs_run_with_the_schema(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    for number, oldest in (("0028", "0026"), ("0029", "0029"), (migrate.head(), "0036")):
        await apart(migrate.upgrade, url, number)
        connection = await asyncpg.connect(url)
        schema = await migrate.schema_of(connection)
        await connection.close()
        assert schema == migrate.Schema(number, oldest)
        assert migrate.trouble_of(schema) is None or number != migrate.head()


async def test_a_program_goes_on_with_a_newer_schema_unless_that_names_later_programs(
    database_url: str,
) -> None:
    await fetch_rows(database_url, NEWER)
    await fetch_rows(database_url, SINCE.format(migrate.head()))
    database = RoleDatabase(database_url, DatabaseSettings())
    try:
        assert (await system.readiness(database, NO_BROKER)).is_ready
        await fetch_rows(database_url, SINCE.format("9998"))
        trouble = (await system.readiness(database, NO_BROKER)).parts["schema"]
    finally:
        await database.close()
    assert trouble is not None
    assert trouble.startswith("the schema is 9999, too new for this program")


async def test_a_schema_that_is_too_new_stops_a_program_with_one_clear_line(
    database_url: str,
) -> None:
    await fetch_rows(database_url, NEWER)
    await fetch_rows(database_url, SINCE.format("9998"))
    for words, begin in (
        (("run", "maintenance"), "Error: the schema is 9999, too new for this program"),
        (("migrate",), "Error: the schema is 9999, newer than this program"),
        (("migrate", "--plan"), "Error: the schema is 9999, newer than this program"),
    ):
        done = await apart(run_module, database_url, "taskmill", *words)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        assert (done.returncode, len(lines)) == (1, 1), done.stderr
        assert lines[0].startswith(begin)


async def test_nobody_migrates_to_a_schema_that_is_not_known(database_url: str) -> None:
    for wanted in ("0099", "head", "-1"):
        with pytest.raises(ConfigurationError, match="there is no migration"):
            await apart(migration_plan.plan, database_url, wanted)
