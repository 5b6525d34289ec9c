"""Drops weeks of tasks that are past their retention, or have no task left.

What reads or deletes rows runs before, without a lock. The drop itself is one message to PostgreSQL, which waits
for its locks for 50 ms at most, and reads no task: what it does takes as long for ten tasks as for millions.
"""

from datetime import datetime, timedelta

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import TERMINAL
from taskmill.observability.logs import get_logger
from taskmill.storage import counts, faults, partitions
from taskmill.storage.database import Database
from taskmill.storage.partition_locks import lock_commands, with_tries
from taskmill.storage.week_archive import WeekArchive
from taskmill.storage.weeks import Week

log = get_logger(__name__)

_SHORTEST = timedelta(weeks=1)
_KEYS_AT_ONCE = 5000
_UNFINISHED = "it holds unfinished tasks"
_UNARCHIVED = "it is not archived yet: another process writes, or its tasks have changed meanwhile"
_LOCKED = "another session, such as a dump, holds a lock"


async def drop_finished(
    database: Database, moment: datetime, keep: timedelta, archive: WeekArchive | None = None
) -> list[Week]:
    """Drop the weeks that ended longer than `keep` ago and hold terminal tasks only, and those that hold none.

    A week stays while a queue keeps its tasks in it for longer. With an `archive` it is written there first. Its
    counts go with it, and its keys, unless it goes early: those of tasks that were deleted one by one hold until
    they run out. Last week stays, as `ensure` would make it again. A week that can't be dropped keeps no other.

    Raises:
        PostgresError, Unavailable, OSError: why the first of those could not be dropped, after all others.
    """
    ended_before = moment - max(keep, _SHORTEST)
    weeks = await partitions.attached(database)
    last = Week.of(ended_before).later(-1)
    await database.fetch("prune_week_counts", last.monday, [week.monday for week in weeks])
    dropped: list[Week] = []
    errors: list[Exception] = []
    for week in weeks:
        try:
            if await _may_go(database, week, moment, keep) and await _drop_if_finished(
                database, week, archive, with_keys=week.end <= ended_before
            ):
                dropped.append(week)
        except asyncpg.UndefinedTableError:
            pass  # another process was faster
        except (asyncpg.PostgresError, Unavailable, OSError) as error:
            _report_retained(week, _reason(error))
            errors.append(error)
    await _drop_stray_lines(database)
    if errors:
        raise errors[0]
    return dropped


async def _may_go(database: Database, week: Week, moment: datetime, keep: timedelta) -> bool:
    """Return whether nobody keeps a week: it is past its retention, and that of its queues; or it has no task."""
    if week.end > moment - max(keep, _SHORTEST):
        is_old = week.end <= moment - _SHORTEST
        return is_old and not await database.fetch_value("has_tasks_of_week", *week.bounds)
    keepers = await database.fetch("list_week_keepers", week.monday, sorted(TERMINAL), moment, keep)
    return not keepers


async def _drop_if_finished(
    database: Database, week: Week, archive: WeekArchive | None, *, with_keys: bool
) -> bool:
    async with database.hot() as connection:
        is_unfinished = await connection.fetchval(f"SELECT {_has_unfinished(week)}")
        # That of the log may be missing: an earlier release may have made the week.
        missing = (await partitions.missing_tables(connection, [week]))[week]
    if "task" in missing:
        return False  # another process was faster
    if is_unfinished:
        _report_retained(week, _UNFINISHED)
        return False
    if archive is not None and await archive.write(week) is None:
        _report_retained(week, _UNARCHIVED)
        return False
    while with_keys and len(await _prune_keys(database, week)) == _KEYS_AT_ONCE:
        pass
    if await database.fetch_value("has_counts_without_week"):
        await counts.count_week(database, week.monday, week.bounds)
    try:
        is_dropped = await with_tries(lambda: _drop(database, week, archive))
    except asyncpg.RaiseError as error:
        # A task runs again since just now, has changed since, or is damaged.
        _report_retained(week, error.args[0])
        return False
    if is_dropped:
        log.info("partition.dropped", week=week.suffix)
    else:
        _report_retained(week, _UNARCHIVED)
    return is_dropped


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


async def _drop(database: Database, week: Week, archive: WeekArchive | None = None) -> bool:
    """Drop a week by one message, unless it has an unfinished task, or one that changed since it was archived.

    With an `archive` it looks for changes right before, however long deleting its keys and waiting for its locks
    took: what is left to look through under the lock is little. False if there are some.
    """
    check = ""
    if archive is not None:
        position = await archive.write(week)
        if position is None:
            return False
        check = f"SELECT taskmill.refuse_changed_week('{week.monday}', {position});"
    async with database.hot() as connection:
        await connection.execute(
            f"{lock_commands(week.monday)} {check} SELECT taskmill.drop_week('{week.monday}')"
        )
    return True


async def _drop_stray_lines(database: Database) -> None:
    """Drop weeks of the log whose tasks an earlier release has dropped: it did not know that table."""
    for week in partitions.weeks_of(await database.fetch("list_stray_log_weeks")):
        await _drop(database, week)
        log.info("partition.dropped", week=week.suffix, table="task_log")
