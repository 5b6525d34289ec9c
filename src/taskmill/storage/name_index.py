"""The index over names, `task_name_trigrams`, which a setting leaves out: it is the dearest of a task's indexes.

It needs PostgreSQL's extension pg_trgm, which comes with PostgreSQL, but not on every machine. Without the index
everything works, and a search by name scans the tasks.

It is made week by week, concurrently, so that nobody waits. What a try has made is kept for the next one.
"""

import asyncio
from typing import Final

import asyncpg

from taskmill.observability.logs import get_logger
from taskmill.storage import faults
from taskmill.storage.servers import Connection, Servers
from taskmill.storage.session import open_command_session

log = get_logger(__name__)

NAME_INDEX: Final = "task_name_trigrams"
_EXTENSION = "pg_trgm"
# What a write puts into the index is kept aside up to this size. Each search reads it, and the write that fills it
# waits until it is sorted in. With 4 MB, the default, it also makes the index larger: 127 B a task, not 51, where
# names have 10 letters; less than 1 MB costs more WAL (2026-11-29).
_PENDING_KB = 1024
_CONNECT_TIMEOUT_S = 60.0
_CLOSE_TIMEOUT_S = 2.0
# As in `migrations/env.py`: nobody migrates meanwhile.
ADVISORY_LOCK: Final = 0x7461736B
# How long a try waits for its locks, those of `task` and all weeks together, while all others queue behind it.
# After 1 s (deadlock_timeout) PostgreSQL ends an autovacuum that is in the way.
_LOCK_MS = 1500
_TRIES = 5
_PAUSE_S = 5.0
_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('taskmill.' || $1)"
_WEEKS = """
    SELECT c.relname FROM pg_inherits AS i INNER JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'taskmill.task'::regclass ORDER BY c.relname
"""
_IS_THERE = "SELECT to_regclass('taskmill.' || $1) IS NOT NULL"
_LEFT_OVER = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'taskmill'::regnamespace AND relkind = 'i' AND NOT relispartition
        AND starts_with(relname::text, 'task_') AND right(relname::text, length($1) + 1) = '_' || $1
"""
_OPERATORS = """
    SELECT format('%I.gin_trgm_ops', n.nspname)
    FROM pg_opclass AS o INNER JOIN pg_namespace AS n ON n.oid = o.opcnamespace
    WHERE o.opcname = 'gin_trgm_ops'
"""


async def apply(url: str, *, is_wanted: bool) -> None:
    """Make the index if it is wanted and missing, drop it if it is not wanted. What prevents that is logged.

    When it is cancelled, the weeks that are done keep their index for the next time.
    """
    try:
        connection = await open_command_session(Servers(url), timeout_s=_CONNECT_TIMEOUT_S)
        try:
            # The role or the database may have limits.
            await connection.execute("SET statement_timeout = 0; SET lock_timeout = 0")
            # Not a wait in PostgreSQL: that would be a snapshot, for whose end CREATE INDEX CONCURRENTLY waits.
            while not await connection.fetchval(  # noqa: ASYNC110 - another process holds it
                f"SELECT pg_try_advisory_lock({ADVISORY_LOCK})"
            ):
                await asyncio.sleep(0.1)
            await (_make(connection) if is_wanted else _drop(connection))
        finally:
            await connection.close(timeout=_CLOSE_TIMEOUT_S)
    except (asyncpg.PostgresError, *faults.CONNECTION_ERRORS) as error:
        # The database is away or busy, pg_trgm is missing there, or the user must not create it.
        reason = faults.in_words(error)
        if is_wanted:
            log.warning("name_index.left_out", reason=reason)
        else:
            log.warning("name_index.retained", reason=reason)


async def _make(connection: Connection) -> None:
    is_valid = await connection.fetchval(_IS_VALID, NAME_INDEX)
    if is_valid:
        return
    log.info("name_index.making")
    await connection.execute(f"CREATE EXTENSION IF NOT EXISTS {_EXTENSION} SCHEMA public")
    operators = await connection.fetchval(_OPERATORS)
    definition = f"USING gin (taskmill.name_key(name) {operators}) WITH (gin_pending_list_limit = {_PENDING_KB})"
    if is_valid is not None:
        # Its parts could not be dropped by themselves.
        await _change_all_weeks(connection, "ACCESS EXCLUSIVE", f"DROP INDEX taskmill.{NAME_INDEX}")
    for (week,) in await connection.fetch(_WEEKS):
        try:
            await _make_for_week(connection, week, definition)
        except asyncpg.PostgresError:
            # It may have been dropped meanwhile.
            if await connection.fetchval(_IS_THERE, week):
                raise
    # It takes over those of the weeks, so it is there at once; weeks to come get theirs with it.
    command = f"CREATE INDEX {NAME_INDEX} ON taskmill.task {definition}"
    await _change_all_weeks(connection, "SHARE", command)
    log.info("name_index.made")


async def _make_for_week(connection: Connection, week: str, definition: str) -> None:
    index = f"{week}_{NAME_INDEX}"
    if await connection.fetchval(_IS_VALID, index):
        return
    # An earlier try may have failed half-way.
    await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS taskmill.{index}")
    await connection.execute(f"CREATE INDEX CONCURRENTLY {index} ON taskmill.{week} {definition}")


async def _drop(connection: Connection) -> None:
    is_there = await connection.fetchval(_IS_THERE, NAME_INDEX)
    if is_there:
        await _change_all_weeks(connection, "ACCESS EXCLUSIVE", f"DROP INDEX taskmill.{NAME_INDEX}")
    # Of tries that did not come to the end.
    left_over = await connection.fetch(_LEFT_OVER, NAME_INDEX)
    for (index,) in left_over:
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS taskmill.{index}")
    if is_there or left_over:
        log.info("name_index.dropped")


async def _change_all_weeks(connection: Connection, mode: str, command: str) -> None:
    """Run a command that needs a lock on `task` and on each week, when nobody holds one of them for long.

    Raises:
        QueryCanceledError, DeadlockDetectedError: somebody did, at each try.
    """
    # One message is one transaction. Not lock_timeout, which would count for each week anew.
    message = (
        f"SET LOCAL statement_timeout = {_LOCK_MS};\n"
        f"LOCK TABLE taskmill.task IN {mode} MODE;\n"
        "SET LOCAL statement_timeout = 0;\n"
        f"{command};"
    )
    for _ in range(_TRIES - 1):
        try:
            await connection.execute(message)
        except (asyncpg.QueryCanceledError, asyncpg.DeadlockDetectedError):
            await asyncio.sleep(_PAUSE_S)
        else:
            return
    await connection.execute(message)
