"""Drops weeks of tasks that are past their retention.

What reads or deletes rows runs before, without a lock. The drop itself is one message to PostgreSQL, which waits
for its locks for 50 ms at most, and reads no task: what it does takes as long for ten tasks as for millions.
"""

from datetime import datetime, timedelta

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.storage import counts, faults, partitions
from taskmill.storage.database import Database
from taskmill.storage.partition_locks import lock_commands, with_tries
from taskmill.storage.partitions import Week

log = get_logger(__name__)

_SHORTEST = timedelta(weeks=1)
_KEYS_AT_ONCE = 5000
_UNFINISHED = "it holds unfinished tasks"
_LOCKED = "another session, such as a dump, holds a lock"


async def drop_finished(database: Database, moment: datetime, keep: timedelta) -> list[Week]:
    """Drop the weeks that ended longer than `keep` ago and hold terminal tasks only.

    A week's keys and counts go with it. Last week stays, as `ensure` would make it again. A week that can't be
    dropped keeps no other one.

    Raises:
        PostgresError, Unavailable: why the first of those could not be dropped, after all others.
    """
    ended_before = moment - max(keep, _SHORTEST)
    weeks = await partitions.attached(database)
    last = Week.of(ended_before).later(-1)
    await database.fetch("prune_week_counts", last.monday, [week.monday for week in weeks])
    dropped: list[Week] = []
    errors: list[Exception] = []
    for week in weeks:
        try:
            if week.end <= ended_before and await _drop_if_finished(database, week):
                dropped.append(week)
        except asyncpg.UndefinedTableError:
            pass  # another process was faster
        except (asyncpg.PostgresError, Unavailable) as error:
            _report_retained(week, _reason(error))
            errors.append(error)
    await _drop_stray_lines(database)
    if errors:
        raise errors[0]
    return dropped


async def _drop_if_finished(database: Database, week: Week) -> bool:
    async with database.hot() as connection:
        is_unfinished = await connection.fetchval(f"SELECT {_has_unfinished(week)}")
        # That of the log may be missing: an earlier release may have made the week.
        missing = (await partitions.missing_tables(connection, [week]))[week]
    if "task" in missing:
        return False  # another process was faster
    if is_unfinished:
        _report_retained(week, _UNFINISHED)
        return False
    while len(await _prune_keys(database, week)) == _KEYS_AT_ONCE:
        pass
    if await database.fetch_value("has_counts_without_week"):
        await counts.count_week(database, week.monday, week.bounds)
    try:
        await with_tries(lambda: _drop(database, week))
    except asyncpg.RaiseError as error:  # a task runs again since just now, or one is damaged
        _report_retained(week, error.args[0])
        return False
    log.info("partition.dropped", week=week.suffix)
    return True


async def _prune_keys(database: Database, week: Week) -> list[asyncpg.Record]:
    return await database.fetch("prune_keys_of_week", *week.bounds, _KEYS_AT_ONCE)


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    return _LOCKED if faults.is_time_up(cause) else faults.in_words(cause)


def _report_retained(week: Week, reason: str) -> None:
    log.warning("partition.retained", week=week.suffix, reason=reason)


def _has_unfinished(week: Week) -> str:
    # What has not ended is in one of these.
    first, end = week.bounds
    return " OR ".join(
        f"EXISTS (SELECT FROM taskmill.{table} WHERE task_id >= '{first}' AND task_id < '{end}')"
        for table in ("dispatch", "running")
    )


async def _drop(database: Database, week: Week) -> None:
    """Drop a week by one message, unless it has an unfinished task."""
    async with database.hot() as connection:
        await connection.execute(
            f"{lock_commands(week.monday)} SELECT taskmill.drop_week('{week.monday}')"
        )


async def _drop_stray_lines(database: Database) -> None:
    """Drop weeks of the log whose tasks an earlier release has dropped: it did not know that table."""
    for week in partitions.weeks_of(await database.fetch("list_stray_log_weeks")):
        await _drop(database, week)
        log.info("partition.dropped", week=week.suffix, table="task_log")
