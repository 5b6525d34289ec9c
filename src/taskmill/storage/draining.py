"""The lock of the one worker that the earlier service's address starts, whichever process was asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from taskmill.storage.database import Database
from taskmill.storage.statements import statement


@asynccontextmanager
async def drain_lock(database: Database) -> AsyncIterator[bool]:
    """Hold the lock on a connection of its own while the block runs; False when another process has it.

    Whoever loses the connection loses the lock unawares: what keeps a worker's tasks is its lease.

    Raises:
        Unavailable: the database is away.
    """
    connection = await database.connect()
    try:
        yield bool(await connection.fetchval(statement("try_drain_lock")))
    finally:
        connection.terminate()
