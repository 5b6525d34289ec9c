"""The lock of the one worker that the earlier service's address starts, whichever process gets the request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from taskmill.storage.database import Database
from taskmill.storage.statements import statement


@asynccontextmanager
async def drain_lock(database: Database) -> AsyncIterator[bool]:
    """Hold the lock on a connection of its own while the block runs; False when another process has it.

    When the connection breaks, the lock is lost unnoticed; the tasks of the worker are protected by its lease.

    Raises:
        Unavailable: the database is away.
    """
    connection = await database.connect()
    try:
        yield bool(await connection.fetchval(statement("try_drain_lock")))
    finally:
        connection.terminate()
