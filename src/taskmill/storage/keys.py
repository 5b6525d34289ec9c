"""Idempotency keys of transactions that have not ended: whether somebody has one, and who."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement

_LOCK_TABLE: Final = "LOCK TABLE ONLY taskmill.idempotency IN ROW EXCLUSIVE MODE"

Ask = Callable[[tuple[str, str]], Coroutine[None, None, bool]]
"""Inserts a (scope, key) pair; returns whether that waited in vain, for somebody who has it."""


@asynccontextmanager
async def asking_for_keys(connection: Connection, *, wait_s: float) -> AsyncIterator[Ask]:
    """Within a transaction that is taken back, give a way to insert keys; each waits for `wait_s` at most.

    Raises:
        LockNotAvailableError: nobody can insert any key, as somebody holds a lock on their table.
    """
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"SET LOCAL lock_timeout = '{wait_s}s'")
        await connection.execute(_LOCK_TABLE)

        async def ask(pair: tuple[str, str]) -> bool:
            scope, key = pair
            try:
                await connection.execute(statement("await_keys"), [scope], [key])
            except asyncpg.LockNotAvailableError:
                return True
            return False

        yield ask
    except asyncpg.PostgresError:
        await transaction.rollback()
        raise
    await transaction.rollback()


async def blockers(looking: Connection, of: Connection) -> set[int]:
    """Return the process ids of the sessions that the session `of` waits for now."""
    rows = await looking.fetch(statement("find_blockers"), of.get_server_pid())
    return {row["pid"] for row in rows}
