"""Partitions of `task`, `task_event` and `task_log`: a week each, made ahead and repaired.

Weeks begin on Monday, 00:00 UTC; a week's bounds are the ids of its first and last moment. A row without a
partition goes to the DEFAULT one, and is moved when its week is made. Only this module, `week_drops` and
`audit_months`, by functions of the database, `name_index` and the migrations change the schema.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import asyncpg

from taskmill.domain import identity
from taskmill.observability.logs import get_logger
from taskmill.storage.database import Database
from taskmill.storage.partition_locks import PARTITIONED, lock_commands, with_tries
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement
from taskmill.storage.weeks import Week

log = get_logger(__name__)

WEEKS_AHEAD = 4
MOST_ATTACHED = 60


async def ensure(database: Database, moment: datetime) -> list[Week]:
    """Make the partitions from last week to four weeks ahead that are missing; return the new ones.

    Many processes may call it at once. Last week is made too: the clock may have just turned.
    """
    this_week = Week.of(moment)
    weeks = [this_week.later(offset) for offset in range(-1, WEEKS_AHEAD + 1)]
    async with database.hot() as connection:
        missing = await missing_tables(connection, weeks)
    return [week for week in weeks if missing[week] and await _make(database, week)]


async def _make(database: Database, week: Week) -> bool:
    async def make() -> bool:
        async with database.hot() as connection:
            return await _make_with(connection, week)

    return await with_tries(make)


async def _make_with(connection: Connection, week: Week) -> bool:
    missing = (await missing_tables(connection, [week]))[week]
    if not missing:
        return False
    try:
        await connection.execute(
            lock_commands() + ";\n".join(_creation(table, week) for table in missing)
        )
    except asyncpg.DuplicateTableError:
        return False  # another process was faster
    except asyncpg.CheckViolationError:
        await _make_and_move(connection, week)
    log.info("partition.made", week=week.suffix)
    return True


def _creation(table: str, week: Week) -> str:
    return f"SELECT taskmill.make_partition('{table}', '{week.monday}')"


async def missing_tables(connection: Connection, weeks: Sequence[Week]) -> dict[Week, list[str]]:
    """Return for each week the tables that lack it: all, or those that an earlier release did not know."""
    # Not to_regclass(): it caches that a name is missing beyond the wait for the advisory lock.
    names = [f"{table}_{week.suffix}" for week in weeks for table in PARTITIONED]
    rows = await connection.fetch(
        "SELECT relname FROM pg_class "
        "WHERE relname = ANY($1::text[]) AND relnamespace = 'taskmill'::regnamespace",
        names,
    )
    existing = {row["relname"] for row in rows}
    return {
        week: [table for table in PARTITIONED if f"{table}_{week.suffix}" not in existing]
        for week in weeks
    }


async def _make_and_move(connection: Connection, week: Week) -> None:
    """Make the partitions of a week that the DEFAULT ones have rows of. Others wait while these are moved."""
    async with connection.transaction():
        await connection.execute(lock_commands())
        for table in (await missing_tables(connection, [week]))[week]:
            was_repaired = await connection.fetchval(
                "SELECT taskmill.make_partition_with_rows($1, $2)", table, week.monday
            )
            if was_repaired:
                log.warning("partition.repaired", table=table, week=week.suffix)


async def repair(database: Database) -> list[Week]:
    """Make partitions for the rows in the DEFAULT one; return their weeks, oldest first."""
    made = []
    while (stray := await database.fetch_value("first_stray_id")) is not None:
        week = Week.of(identity.created_at(stray))
        if not await _make(database, week):
            log.error("partition.unrepaired", week=week.suffix)
            break
        made.append(week)
    return made


async def attached(database: Database) -> list[Week]:
    """Return the weeks that have partitions, oldest first."""
    return weeks_of(await database.fetch("list_partitions"))


async def attached_with(connection: Connection) -> list[Week]:
    """Do what `attached` does, on a connection of the caller."""
    return weeks_of(await connection.fetch(statement("list_partitions")))


def weeks_of(rows: Iterable[asyncpg.Record]) -> list[Week]:
    """Return the weeks that these rows name by their suffixes, oldest first."""
    weeks = (datetime.strptime(f"{row['suffix']}1", "%Gw%V%u").replace(tzinfo=UTC) for row in rows)
    return [Week(start=start) for start in sorted(weeks)]
