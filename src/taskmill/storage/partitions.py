"""Partitions of `task`, `task_event` and `task_log`: a week each, made ahead, repaired, and dropped whole.

Weeks begin on Monday, 00:00 UTC; a week's bounds are the ids of its first and last moment. A row without a
partition goes to the DEFAULT one, and is moved when its week is made. Only this module and the migrations change
the schema.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from taskmill.domain import identity
from taskmill.observability.logs import get_logger
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement

log = get_logger(__name__)

WEEKS_AHEAD = 4
MOST_ATTACHED = 60
_WEEK = timedelta(weeks=1)
# The partitioned tables, and the column whose time they are partitioned by.
_PARTITIONED = {"task": "id", "task_event": "task_id", "task_log": "task_id"}
# Held to the end of each transaction that changes partitions.
_ADVISORY_LOCK = "SELECT pg_advisory_xact_lock(hashtext('taskmill.partitions'))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """A Monday, 00:00 UTC, and the ids of the seven days from it."""

    start: datetime

    @classmethod
    def of(cls, moment: datetime) -> "Week":
        """Return the week that `moment` lies in."""
        day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(start=day - timedelta(days=day.weekday()))

    def later(self, weeks: int) -> "Week":
        """Return the week that begins `weeks` later."""
        return Week(start=self.start + weeks * _WEEK)

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return self.start + _WEEK

    @property
    def bounds(self) -> tuple[UUID, UUID]:
        """The first id in the week, and the first one after it."""
        return identity.lower_bound(self.start), identity.lower_bound(self.end)

    @property
    def suffix(self) -> str:
        """Its ISO year and week, as in `task_2026w48`."""
        year, week, _ = self.start.isocalendar()
        return f"{year}w{week:02}"


async def ensure(database: Database, moment: datetime) -> list[Week]:
    """Make the partitions from last week to four weeks ahead that are missing; return the new ones.

    Many processes may call it at once. Last week is made too: the clock may have just turned.
    """
    this_week = Week.of(moment)
    weeks = [this_week.later(offset) for offset in range(-1, WEEKS_AHEAD + 1)]
    async with database.hot() as connection:
        missing = await _missing(connection, weeks)
        return [week for week in weeks if missing[week] and await _make(connection, week)]


async def _make(connection: Connection, week: Week) -> bool:
    async with connection.transaction():
        await connection.execute(_ADVISORY_LOCK)
        missing = (await _missing(connection, [week]))[week]
        if not missing:
            return False
        await connection.execute("SET LOCAL lock_timeout = '2s'")
        for table in missing:
            await _make_one(connection, table, _PARTITIONED[table], week)
    log.info("partition.made", week=week.suffix)
    return True


async def _missing(connection: Connection, weeks: Sequence[Week]) -> dict[Week, list[str]]:
    """Return for each week the tables that lack it: all, or those that an earlier release did not know."""
    # Not to_regclass(): it caches that a name is missing beyond the wait for the advisory lock.
    names = [f"{table}_{week.suffix}" for week in weeks for table in _PARTITIONED]
    rows = await connection.fetch(
        "SELECT relname FROM pg_class "
        "WHERE relname = ANY($1::text[]) AND relnamespace = 'taskmill'::regnamespace",
        names,
    )
    existing = {row["relname"] for row in rows}
    return {
        week: [table for table in _PARTITIONED if f"{table}_{week.suffix}" not in existing]
        for week in weeks
    }


async def _make_one(connection: Connection, table: str, column: str, week: Week) -> None:
    """Make one partition and move the rows of its week from the DEFAULT one (detach, move, attach)."""
    lower, upper = week.bounds
    child, default = f"taskmill.{table}_{week.suffix}", f"taskmill.{table}_default"
    span = f"{column} >= '{lower}' AND {column} < '{upper}'"
    stray = await connection.fetchval(f"SELECT EXISTS (SELECT FROM {default} WHERE {span})")  # noqa: S608 - our own names
    if not stray:
        await connection.execute(
            f"CREATE TABLE {child} PARTITION OF taskmill.{table} "
            f"FOR VALUES FROM ('{lower}') TO ('{upper}')"
        )
        return
    await connection.execute(f"ALTER TABLE taskmill.{table} DETACH PARTITION {default}")
    await connection.execute(
        f"CREATE TABLE {child} PARTITION OF taskmill.{table} "
        f"FOR VALUES FROM ('{lower}') TO ('{upper}')"
    )
    # The guard on inserts is for new tasks: these are moved as they are.
    await connection.execute(f"ALTER TABLE {child} DISABLE TRIGGER USER")
    await connection.execute(f"INSERT INTO {child} SELECT * FROM {default} WHERE {span}")  # noqa: S608 - our own names
    await connection.execute(f"ALTER TABLE {child} ENABLE TRIGGER USER")
    await connection.execute(f"DELETE FROM {default} WHERE {span}")  # noqa: S608 - our own names
    await connection.execute(f"ALTER TABLE taskmill.{table} ATTACH PARTITION {default} DEFAULT")
    log.warning("partition.repaired", table=table, week=week.suffix)


async def repair(database: Database) -> list[Week]:
    """Make partitions for the rows in the DEFAULT one; return their weeks, oldest first."""
    made = []
    async with database.hot() as connection:
        while (stray := await connection.fetchval(statement("first_stray_id"))) is not None:
            week = Week.of(identity.created_at(stray))
            if not await _make(connection, week):
                log.error("partition.unrepaired", week=week.suffix)
                break
            made.append(week)
    return made


async def attached(database: Database) -> list[Week]:
    """Return the weeks that have partitions, oldest first."""
    return _weeks(await database.fetch("list_partitions"))


async def attached_with(connection: Connection) -> list[Week]:
    """Do what `attached` does, on a connection of the caller."""
    return _weeks(await connection.fetch(statement("list_partitions")))


def _weeks(rows: Iterable[asyncpg.Record]) -> list[Week]:
    weeks = (datetime.strptime(f"{row['suffix']}1", "%Gw%V%u").replace(tzinfo=UTC) for row in rows)
    return [Week(start=start) for start in sorted(weeks)]


async def drop_finished(database: Database, moment: datetime, keep: timedelta) -> list[Week]:
    """Drop the weeks that ended longer than `keep` ago and hold terminal tasks only.

    A week's keys and counts go with it, in the same transaction. Last week stays, as `ensure` would make it again.
    """
    keep = max(keep, _WEEK)
    await _drop_stray_lines(database)
    weeks: Sequence[Week] = await attached(database)
    return [
        week
        for week in weeks
        if week.end + keep <= moment and await _drop_if_finished(database, week)
    ]


async def _drop_if_finished(database: Database, week: Week) -> bool:
    task, event, log_lines = (f"taskmill.{table}_{week.suffix}" for table in _PARTITIONED)
    async with database.hot_transaction() as connection:
        await connection.execute(_ADVISORY_LOCK)
        await connection.execute("SET LOCAL lock_timeout = '2s'")
        # Dropping a partition also locks its parent. Parents first, as everywhere else: any other order could
        # deadlock.
        await connection.execute(
            "LOCK TABLE ONLY taskmill.task, ONLY taskmill.task_event, ONLY taskmill.task_log "
            "IN ACCESS EXCLUSIVE MODE"
        )
        if await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM {task} WHERE status IN ('new', 'in_progress'))"  # noqa: S608 - our own names
        ):
            log.warning("partition.retained", week=week.suffix, reason="it holds unfinished tasks")
            return False
        await connection.execute(
            f"INSERT INTO taskmill.task_count (queue, status, tasks) "  # noqa: S608 - our own names
            f"SELECT queue, status, -count(*) FROM {task} GROUP BY queue, status"
        )
        await connection.execute(statement("drop_keys_of_week"), *week.bounds)
        # That of the log may be missing: an earlier release may have made the week.
        await connection.execute(f"DROP TABLE {task}, {event}")
        await connection.execute(f"DROP TABLE IF EXISTS {log_lines}")
    log.info("partition.dropped", week=week.suffix)
    return True


async def _drop_stray_lines(database: Database) -> None:
    """Drop weeks of the log whose tasks an earlier release has dropped: it did not know that table."""
    if not await database.fetch("list_stray_log_weeks"):
        return
    async with database.hot_transaction() as connection:
        await connection.execute(_ADVISORY_LOCK)
        await connection.execute("SET LOCAL lock_timeout = '2s'")
        for week in _weeks(await connection.fetch(statement("list_stray_log_weeks"))):
            await connection.execute(f"DROP TABLE taskmill.task_log_{week.suffix}")
            log.info("partition.dropped", week=week.suffix, table="task_log")
