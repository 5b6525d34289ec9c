"""A database of one session, so that a test decides when each side goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement


class Session(Database):
    """One connection in place of the pool: everything is done on it, and nothing is retried."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @asynccontextmanager
    async def hot(self, *, is_write: bool = False) -> AsyncIterator[Connection]:  # noqa: ARG002 - as it has
        """Check the connection out."""
        yield self.connection

    @asynccontextmanager
    async def slow(
        self,
        *,
        timeout_s: float,  # noqa: ARG002 - as it has
        is_pinned: bool = False,  # noqa: ARG002 - as it has
    ) -> AsyncIterator[Connection]:
        """Check the connection out, with its own timeouts."""
        yield self.connection

    def notify_committed(self) -> None:
        """Notify nobody."""

    async def fetch(
        self, name: str, *arguments: object, for_one: bool = False
    ) -> list[asyncpg.Record]:
        """Run the statement there."""
        text = statement(name, for_one=for_one)
        rows: list[asyncpg.Record] = await self.connection.fetch(text, *arguments)
        return rows
