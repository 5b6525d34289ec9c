"""Idempotency keys in transactions that have not ended: whether one is taken, and by which session."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement

_LOCK_TABLE: Final = "LOCK TABLE ONLY taskmill.idempotency IN ROW EXCLUSIVE MODE"

KeyProbe = Callable[[tuple[str, str]], Coroutine[None, None, bool]]
"""Tries to insert a (scope, key) pair; returns whether that timed out because another session holds it."""


@asynccontextmanager
async def probing_keys(connection: Connection, *, wait_s: float) -> AsyncIterator[KeyProbe]:
    """Yield a probe that inserts keys in a transaction that is rolled back; each waits for `wait_s` at most.

    Raises:
        LockNotAvailableError: a lock on their table keeps everybody from inserting keys.
    """
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"SET LOCAL lock_timeout = '{wait_s}s'")
        await connection.execute(_LOCK_TABLE)

        async def probe(pair: tuple[str, str]) -> bool:
            scope, key = pair
            try:
                await connection.execute(statement("await_keys"), [scope], [key])
            except asyncpg.LockNotAvailableError:
                return True
            return False

        yield probe
    except asyncpg.PostgresError:
        await transaction.rollback()
        raise
    await transaction.rollback()


async def blocking_sessions(observer: Connection, of: Connection) -> set[int]:
    """Return the process ids of the sessions that the session `of` waits for now."""
    rows = await observer.fetch(statement("find_blocking_sessions"), of.get_server_pid())
    return {row["pid"] for row in rows}
