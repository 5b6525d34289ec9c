"""What migrations that are to come will do: whom they block, how long about, and whether programs of before go on.

It changes nothing. The SQL is what Alembic would run; sizes are PostgreSQL's estimates.
"""

import ast
import asyncio
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import asyncpg

from taskmill.domain.errors import ConfigurationError
from taskmill.storage import faults, migrate
from taskmill.storage.migration_sql import Blocked, Effects, effects
from taskmill.storage.servers import Connection, Servers
from taskmill.storage.session import open_command_session

_CONNECT_TIMEOUT_S: Final = 60.0
# An index of 125,000 tasks took 0.2 to 0.5 s (2 cores, 2026-11-29).
_ROWS_READ_PER_S: Final = 300_000
_ROWS_WRITTEN_PER_S: Final = 30_000
_BEGIN: Final = re.compile(r"(?m)^(?=BEGIN;\n\n-- Running upgrade (?:\d+)? ?-> (\d+)$)")
# How a docstring says it (CONTRIBUTING.md, How to write a migration).
_STOP: Final = re.compile(r"does\s+not\s+run\s+with\s+it")

_SIZES: Final = """
SELECT coalesce(p.relname, c.relname)::text AS name, sum(greatest(c.reltuples, 0))::bigint AS rows
FROM pg_class AS c
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
LEFT JOIN pg_class AS p ON p.oid = i.inhparent
WHERE c.relnamespace = 'taskmill'::regnamespace AND c.relkind IN ('r', 'p', 'v')
GROUP BY 1
"""
_INDEXES: Final = """
SELECT i.relname::text AS name, t.relname::text AS "table"
FROM pg_index AS x INNER JOIN pg_class AS i ON i.oid = x.indexrelid INNER JOIN pg_class AS t ON t.oid = x.indrelid
WHERE i.relnamespace = 'taskmill'::regnamespace
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationFile:
    """A migration: its number and its docstring, which says what it does, and whether programs of before go on."""

    number: str
    docstring: str

    @property
    def title(self) -> str:
        """The first sentence of its docstring."""
        return " ".join(self.docstring.partition("\n\n")[0].split())

    @property
    def programs_go_on(self) -> bool:
        """Whether programs of before run with it."""
        return _STOP.search(self.docstring) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A migration that is to come.

    `blocked` has the tables that somebody waits for, of those that are there now; `about_s` is how long it takes.
    One that is `in_parts` commits between its commands: each lock is held for one of them.
    """

    number: str
    title: str
    programs_go_on: bool
    blocked: Mapping[str, Blocked]
    about_s: float
    in_parts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPlan:
    """The steps from the newest migration that a database has, None for none, to another one."""

    applied: str | None
    wanted: str
    steps: Sequence[PlannedStep]


@cache
def migration_files(folder: Path = migrate.MIGRATIONS) -> Sequence[MigrationFile]:
    """Return all migrations, the oldest first."""
    files = sorted((folder / "versions").glob("[0-9]*_*.py"))
    return [_read(file) for file in files]


def _read(file: Path) -> MigrationFile:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return MigrationFile(number=file.name[:4], docstring=ast.get_docstring(tree) or "")


def oldest_program(number: str) -> str:
    """Return the newest migration that the oldest program has which runs with a schema: that of `number`."""
    breaks = [one.number for one in migration_files() if not one.programs_go_on]
    return max((one for one in breaks if one <= number), default=migration_files()[0].number)


def scripts(
    folder: Path = migrate.MIGRATIONS, *, after: str, until: str = "head"
) -> dict[str, str]:
    """Return the SQL that migrations run, by number, each after the timeouts that hold for all."""
    from alembic import command  # noqa: PLC0415 - see `migrate.upgrade`
    from alembic.config import Config  # noqa: PLC0415 - see `migrate.upgrade`

    written = io.StringIO()
    config = Config(output_buffer=written)
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    command.upgrade(config, f"{after}:{until}", sql=True)
    timeouts, *parts = _BEGIN.split(written.getvalue())
    return {number: timeouts + text for number, text in zip(parts[::2], parts[1::2], strict=True)}


def check_target(applied: str | None, wanted: str) -> None:
    """Raise `ConfigurationError` unless a database can be migrated from one to the other."""
    known = [one.number for one in migration_files()]
    if wanted not in known:
        raise ConfigurationError(
            f"there is no migration {wanted}: they are {known[0]} to {known[-1]}"
        )
    if trouble := migrate.too_old(applied) or migrate.too_new(applied, known[-1]):
        raise ConfigurationError(trouble)
    if applied is not None and applied > wanted:
        raise ConfigurationError(
            f"the schema is {applied} already: going back to {wanted} is in docs/how-to/stop-and-upgrade.md"
        )


def plan(database_url: str, wanted: str | None = None) -> MigrationPlan:
    """Return the steps that `migrate.upgrade` would take now. It runs an event loop of its own.

    Raises:
        ConfigurationError: the database can't be reached, or can't be migrated to that.
    """
    wanted = wanted or migrate.head()
    try:
        applied, rows, indexes = asyncio.run(_state(database_url))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ConfigurationError(
            f"the database can't be reached: {faults.in_words(error)}"
        ) from error
    check_target(applied, wanted)
    to_come = [one for one in migration_files() if (applied or "") < one.number <= wanted]
    sql = scripts(after=applied, until=wanted) if applied and to_come else {}
    return MigrationPlan(
        applied=applied,
        wanted=wanted,
        steps=[_step(one, sql.get(one.number, ""), rows, indexes) for one in to_come],
    )


async def _state(url: str) -> tuple[str | None, Mapping[str, int], Mapping[str, str]]:
    """Return the newest migration, the rows of each table, and the table of each index."""
    connection = await open_command_session(Servers(url), timeout_s=_CONNECT_TIMEOUT_S)
    try:
        applied = await migrate.applied(connection)
        if applied is None:
            return None, {}, {}
        return applied, await _pairs(connection, _SIZES), await _pairs(connection, _INDEXES)
    finally:
        await connection.close()


async def _pairs(connection: Connection, query: str) -> dict[str, Any]:
    return {row[0]: row[1] for row in await connection.fetch(query)}


def _step(
    file: MigrationFile, sql: str, rows: Mapping[str, int], indexes: Mapping[str, str]
) -> PlannedStep:
    commands = migrate.commands(sql)
    found = effects(commands, indexes)
    return PlannedStep(
        number=file.number,
        title=file.title,
        programs_go_on=file.programs_go_on,
        blocked={
            table: what
            for table, what in sorted(found.blocked.items())
            if table in rows and what is not Blocked.NOTHING
        },
        about_s=_about_s(found, rows),
        in_parts=_commits(commands) > 1,
    )


def _commits(commands: Iterable[str]) -> int:
    return sum(1 for command in commands if command == "COMMIT")


def _about_s(found: Effects, rows: Mapping[str, int]) -> float:
    read = sum(times * rows.get(table, 0) for table, times in found.reads.items())
    written = sum(times * rows.get(table, 0) for table, times in found.writes.items())
    return read / _ROWS_READ_PER_S + written / _ROWS_WRITTEN_PER_S
