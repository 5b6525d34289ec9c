"""A pool of connections for composed statements, by SQLAlchemy. It is made at the first list."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from taskmill.settings import DatabaseSettings
from taskmill.storage.servers import Connection

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class ListingPool:
    """Connections that `connect` opens when they are needed, as many as the settings allow."""

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], settings: DatabaseSettings
    ) -> None:
        self._connect = connect
        self._settings = settings
        self._engine: AsyncEngine | None = None
        self._was_used = False

    @asynccontextmanager
    async def checkout(self) -> "AsyncIterator[AsyncConnection]":
        """Check out a connection."""
        self._was_used = True
        async with (await self._open()).connect() as connection:
            yield connection

    async def close_unused(self) -> None:
        """Close all if none was used since this was called before."""
        was_used, self._was_used = self._was_used, False
        if not was_used:
            await self.close()

    async def close(self) -> None:
        """Close all that are not in use; the others are closed when they are released."""
        if self._engine is not None:
            await self._engine.dispose()

    async def _open(self) -> "AsyncEngine":
        if self._engine is None:
            # On a thread: it takes 0.4 s and 20 MB, and most processes list nothing.
            await asyncio.to_thread(import_module, "sqlalchemy.ext.asyncio")
        return self._engine or self._make()

    def _make(self) -> "AsyncEngine":
        from sqlalchemy import event  # noqa: PLC0415 - see `_open`
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - see `_open`

        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            pool_size=self._settings.listing_pool_size,
            max_overflow=0,
            pool_timeout=self._settings.connect_timeout_s,
            # JSON stays text: it is parsed once, at the entry point, and never again.
            json_deserializer=str,
        )
        event.listen(self._engine.sync_engine, "checkout", _replace_closed)
        return self._engine


async def driver_of(connection: "AsyncConnection") -> Connection:
    """Return the driver's connection below SQLAlchemy's."""
    pooled = await connection.get_raw_connection()
    driver: Connection | None = pooled.driver_connection
    assert driver is not None  # noqa: S101 - it is still checked out
    return driver


def _replace_closed(pooled: Any, *_: object) -> None:  # noqa: ANN401 - as SQLAlchemy calls it
    """Have SQLAlchemy open another connection instead of one that the server has closed, or `Servers`."""
    from sqlalchemy.exc import DisconnectionError  # noqa: PLC0415 - see `_open`

    if pooled.driver_connection.is_closed():
        raise DisconnectionError("the connection was closed")
