"""The index over names, `task_name_trigrams`, which a setting leaves out: it is the dearest of a task's indexes.

It needs PostgreSQL's extension pg_trgm, which comes with PostgreSQL, but not on every machine. Without the index
everything works, and a search by name scans the tasks.
"""

import asyncio
from typing import Final

import asyncpg

from taskmill.observability.logs import get_logger
from taskmill.storage import faults
from taskmill.storage.servers import Connection, Servers

log = get_logger(__name__)

NAME_INDEX: Final = "task_name_trigrams"
_EXTENSION = "pg_trgm"
# What a write puts into the index is kept aside up to this size. Each search reads it, and the write that fills it
# waits until it is sorted in. With 4 MB, the default, it also makes the index larger: 127 B a task, not 51, where
# names have 10 letters; less than 1 MB costs more WAL (2026-11-29).
_PENDING_KB = 1024
_CONNECT_TIMEOUT_S = 60.0
# As in `migrations/env.py`: nobody migrates meanwhile.
_ADVISORY_LOCK = 0x7461736B
_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('taskmill.' || $1)"
_WEEKS = """
    SELECT c.relname FROM pg_inherits AS i INNER JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'taskmill.task'::regclass ORDER BY c.relname
"""
_OPERATORS = """
    SELECT format('%I.gin_trgm_ops', n.nspname)
    FROM pg_opclass AS o INNER JOIN pg_namespace AS n ON n.oid = o.opcnamespace
    WHERE o.opcname = 'gin_trgm_ops'
"""


async def apply(url: str, *, is_wanted: bool) -> None:
    """Make the index if it is wanted and missing, drop it if it is not wanted. Nobody waits for its making."""
    connection = await Servers(url).connect(timeout_s=_CONNECT_TIMEOUT_S)
    try:
        # Not a wait in PostgreSQL: that would be a snapshot, for whose end CREATE INDEX CONCURRENTLY waits.
        while not await connection.fetchval(  # noqa: ASYNC110 - another process holds it
            f"SELECT pg_try_advisory_lock({_ADVISORY_LOCK})"
        ):
            await asyncio.sleep(0.1)
        is_valid = await connection.fetchval(_IS_VALID, NAME_INDEX)
        if is_wanted and not is_valid:
            await _make(connection)
        elif not is_wanted and is_valid is not None:
            await connection.execute(f"SET lock_timeout = '2s'; DROP INDEX taskmill.{NAME_INDEX}")
            log.info("name_index.dropped")
    except asyncpg.PostgresError as error:
        # A database where pg_trgm is missing, or where the user must not create it.
        log.warning("name_index.left_out", reason=faults.in_words(error))
    finally:
        await connection.close()


async def _make(connection: Connection) -> None:
    await connection.execute(f"CREATE EXTENSION IF NOT EXISTS {_EXTENSION} SCHEMA public")
    operators = await connection.fetchval(_OPERATORS)
    definition = f"USING gin (taskmill.name_key(name) {operators}) WITH (gin_pending_list_limit = {_PENDING_KB})"
    for (week,) in await connection.fetch(_WEEKS):
        index = f"{week}_{NAME_INDEX}"
        # An earlier try may have failed half-way.
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS taskmill.{index}")
        await connection.execute(
            f"CREATE INDEX CONCURRENTLY {index} ON taskmill.{week} {definition}"
        )
    # It takes over those of the weeks, so it is there at once; weeks to come get theirs with it.
    await connection.execute(f"CREATE INDEX {NAME_INDEX} ON taskmill.task {definition}")
    log.info("name_index.made")
