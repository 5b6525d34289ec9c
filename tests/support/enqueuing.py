"""Connections of every kind that `enqueue` takes, each in a transaction that the test ends."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import asyncpg
import psycopg
from psycopg.rows import dict_row, namedtuple_row, scalar_row
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

Opened: TypeAlias = Callable[[str], Any]


def sqlalchemy_url(url: str, driver: str) -> URL:
    return make_url(url).set(drivername=f"postgresql+{driver}")


@contextmanager
def a_connection(url: str) -> Iterator[Any]:
    engine = create_engine(sqlalchemy_url(url, "psycopg"))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@contextmanager
def a_sync_session(url: str) -> Iterator[Any]:
    engine = create_engine(sqlalchemy_url(url, "psycopg"))
    with Session(engine) as session:
        yield session
    engine.dispose()


@contextmanager
def a_psycopg(url: str) -> Iterator[Any]:
    with psycopg.connect(url) as connection:
        yield connection


@contextmanager
def a_psycopg_of_mappings(url: str) -> Iterator[Any]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        yield connection


@contextmanager
def a_psycopg_of_named_tuples(url: str) -> Iterator[Any]:
    with psycopg.connect(url, row_factory=namedtuple_row) as connection:
        yield connection


@contextmanager
def a_psycopg_of_values(url: str) -> Iterator[Any]:
    with psycopg.connect(url, row_factory=scalar_row) as connection:
        yield connection


@contextmanager
def a_psycopg_of_raw_cursors(url: str) -> Iterator[Any]:
    with psycopg.connect(url, cursor_factory=psycopg.RawCursor) as connection:
        yield connection


SYNCHRONOUS: list[Opened] = [
    a_connection,
    a_sync_session,
    a_psycopg,
    a_psycopg_of_mappings,
    a_psycopg_of_named_tuples,
    a_psycopg_of_values,
    a_psycopg_of_raw_cursors,
]


@asynccontextmanager
async def an_async_connection(url: str, driver: str = "asyncpg") -> AsyncIterator[Any]:
    engine = create_async_engine(sqlalchemy_url(url, driver))
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


def an_async_connection_of_psycopg(url: str) -> Any:  # noqa: ANN401 - a context manager
    return an_async_connection(url, "psycopg")


@asynccontextmanager
async def an_async_session(url: str, driver: str = "asyncpg") -> AsyncIterator[Any]:
    engine = create_async_engine(sqlalchemy_url(url, driver))
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


def an_async_session_of_psycopg(url: str) -> Any:  # noqa: ANN401 - a context manager
    return an_async_session(url, "psycopg")


@asynccontextmanager
async def an_async_psycopg(url: str) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        yield connection


@asynccontextmanager
async def an_async_psycopg_of_raw_cursors(url: str) -> AsyncIterator[Any]:
    opened = psycopg.AsyncConnection.connect(url, cursor_factory=psycopg.AsyncRawCursor)
    async with await opened as connection:
        yield connection


class InTransaction:
    """An asyncpg connection whose transaction is ended by hand, like those of the others."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - asyncpg's
        self._transaction = connection.transaction()
        self.fetchval = connection.fetchval

    async def begin(self) -> None:
        await self._transaction.start()

    async def commit(self) -> None:
        await self._transaction.commit()

    async def rollback(self) -> None:
        await self._transaction.rollback()


@asynccontextmanager
async def an_asyncpg(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    held = InTransaction(connection)
    await held.begin()
    yield held
    await connection.close()


@asynccontextmanager
async def an_asyncpg_of_a_pool(url: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(url, min_size=1) as pool, pool.acquire() as connection:
        held = InTransaction(connection)
        await held.begin()
        yield held


ASYNCHRONOUS: list[Opened] = [
    an_async_connection,
    an_async_connection_of_psycopg,
    an_async_session,
    an_async_session_of_psycopg,
    an_async_psycopg,
    an_async_psycopg_of_raw_cursors,
    an_asyncpg,
    an_asyncpg_of_a_pool,
]


def name_of(opened: Opened) -> str:
    return opened.__name__
