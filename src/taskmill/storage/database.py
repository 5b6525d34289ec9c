"""Connections to PostgreSQL: one pool for hot statements, one for lists, and single ones on request.

It knows no table. Errors that mean "away for now" leave here as `Unavailable`; all others as they came.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from taskmill.domain.errors import TaskmillError, Unavailable
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import STATEMENTS_FAILED
from taskmill.runtime.clock import SystemClock
from taskmill.settings import DatabaseSettings
from taskmill.storage import faults
from taskmill.storage.pool_usage import PoolUsage
from taskmill.storage.servers import Connection, Servers
from taskmill.storage.session import TRANSACTION_TIMEOUT_SINCE, PoolerBetween, open_session
from taskmill.storage.statements import notifies, statement
from taskmill.storage.writes import WriteWatch

log = get_logger(__name__)

RETRY_AFTER_S = 1.0
_COLLISION_TRIES = 5
_ANCHOR_TRIES = 3
# An answer that came so soon sets the clock closely enough.
_CLOSE_S = 0.002
# A statement alone in its transaction ends by its own timeout, which breaks no connection.
_STATEMENT_FIRST_S = 0.5

_COMMON = {"jit": "off", "timezone": "UTC", "idle_in_transaction_session_timeout": "10s"}
# The statistics of the hot tables are always wrong, and a plan made from them can cost O(backlog). The
# statements are written so that nested loops over indexes are right at any size; these settings leave the
# planner nothing else (measured plans: docs/explanation/hot-statements.md).
_HOT = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
# A generic plan for a rare queue and status took 770 ms; a custom one takes 1.
_LISTING = {"plan_cache_mode": "force_custom_plan"}
# A search of a whole table took all processors for itself, in three processes of PostgreSQL's.
_ALONE = {"max_parallel_workers_per_gather": "0"}
_BEGIN_SNAPSHOT = "".join(
    ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"]
    + [f"; SET LOCAL {name} = {value}" for name, value in _HOT.items()]
)


class Database:
    """The pools of one process."""

    def __init__(self, url: str, settings: DatabaseSettings) -> None:
        self.writes = WriteWatch()
        self.unsuitable: str | None = None
        """Why this database can't be used at all, in words; None as far as is known."""
        self._servers = Servers(url)
        self._settings = settings
        self._hot = self._engine(_HOT, settings.pool_size)
        self._listing = self._engine({**_LISTING, **_ALONE}, settings.listing_pool_size)
        self._searches = asyncio.Semaphore(max(settings.listing_pool_size // 2, 1))
        # Connections lent by the pool and kept at hand: to give one back and take it again costs 0.2 ms, half
        # of what a small batch costs in all (measured 2026-11-25). There are as many seats as connections.
        self._seats = asyncio.Semaphore(settings.pool_size)
        self._hot_usage = PoolUsage("hot", settings.pool_size)
        self._listing_usage = PoolUsage("listing", settings.listing_pool_size)
        self._spare: list[tuple[PoolProxiedConnection, Connection, int]] = []
        # Connections are as old as the outage that they were made after.
        self._outages = 0
        self._tells: Callable[[], None] | None = None

    def tells(self, tell: Callable[[], None]) -> None:
        """Call `tell` after each commit that others are to hear of."""
        self._tells = tell

    def told(self) -> None:
        """Say that a transaction has committed of which others are to hear. `fetch` does so by itself."""
        if self._tells is not None:
            self._tells()

    async def connect(self, **server_settings: str) -> Connection:
        """Open a connection outside the pools; the caller closes it."""
        timeout_s = self._settings.statement_timeout_s
        longest_s = timeout_s + _STATEMENT_FIRST_S
        return await self._connect(server_settings, timeout_s, transaction_timeout_s=longest_s)

    async def _connect(
        self, server_settings: Mapping[str, str], timeout_s: float, *, transaction_timeout_s: float
    ) -> Connection:
        wanted = {
            "application_name": "taskmill",
            "statement_timeout": f"{timeout_s}s",
            **_COMMON,
            **server_settings,
        }
        try:
            connection = await open_session(
                self._servers,
                wanted,
                timeout_s=self._settings.connect_timeout_s,
                # The server ends a statement in time, if it can still be heard: a network that swallows
                # everything breaks no connection.
                command_timeout_s=timeout_s + 1,
                transaction_timeout_s=transaction_timeout_s,
            )
        except PoolerBetween as error:
            if self.unsuitable is None:
                log.error("database.unsuitable", trouble=str(error))  # noqa: TRY400 - it says all
            self.unsuitable = str(error)
            raise Unavailable(RETRY_AFTER_S, "the database", self.unsuitable) from error
        self.unsuitable = None
        return connection

    @asynccontextmanager
    async def hot(self) -> AsyncIterator[Connection]:
        """Lend a connection whose plans are pinned to indexes and nested loops.

        Raises:
            Unavailable: when the database is away, now or while the connection is used.
        """
        with _outages_translated(), self._hot_usage.checkout() as checkout:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                await self._seats.acquire()
            try:
                lent, driver, age = await self._lend()
                checkout.served()
                try:
                    yield driver
                except BaseException as error:
                    if _is_clean(driver, error):
                        self._keep(lent, driver, age)
                    else:
                        lent.invalidate()
                        if faults.is_outage(error):
                            self._forget_spare()
                    raise
                self._keep(lent, driver, age)
            finally:
                self._seats.release()

    @asynccontextmanager
    async def hot_transaction(self, *, longer_s: float = 0) -> AsyncIterator[Connection]:
        """Lend a connection as `hot` does, within a transaction that commits at the end.

        It, and each of its statements, may take `longer_s` more than what is set; who waits for an answer has to
        name a timeout of its own then.

        Who is cancelled, or has waited in vain, does not wait for a ROLLBACK, too: the connection ends.
        """
        async with self.hot() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                if longer_s:
                    await connection.execute(self._longer(connection, longer_s))
                yield connection
            except (asyncpg.PostgresError, TaskmillError):
                await transaction.rollback()
                raise
            except BaseException:
                connection.terminate()
                raise
            await transaction.commit()

    def longest_s(self, longer_s: float) -> float:
        """Return how long a statement may take that was given `longer_s` more; its answer comes a second later."""
        return self._settings.statement_timeout_s + longer_s

    def _longer(self, connection: Connection, longer_s: float) -> str:
        longest_s = self.longest_s(longer_s)
        text = f"SET LOCAL statement_timeout = '{longest_s}s'"
        if connection.get_server_version().major < TRANSACTION_TIMEOUT_SINCE:
            return text
        # One that runs is not set anew, only begun anew.
        whole_s = longest_s + _STATEMENT_FIRST_S
        begin = f"SET LOCAL transaction_timeout = '{whole_s}s'"
        return f"{text}; SET LOCAL transaction_timeout = 0; {begin}"

    def _keep(self, lent: PoolProxiedConnection, driver: Connection, age: int) -> None:
        if age == self._outages:
            self._spare.append((lent, driver, age))
        else:
            lent.invalidate()

    def _forget_spare(self) -> None:
        """Trust none that was there before: a network that swallows everything breaks no connection."""
        self._outages += 1
        while self._spare:
            self._spare.pop()[0].invalidate()

    async def _lend(self) -> tuple[PoolProxiedConnection, Connection, int]:
        """Take a spare connection or a new one, passing over those that the server has ended meanwhile."""
        while self._spare:
            lent, driver, age = self._spare.pop()
            if not driver.is_closed():
                return lent, driver, age
            lent.invalidate()
        age = self._outages
        try:
            lent = await self._hot.raw_connection()
        except Exception as error:  # whatever keeps us from connecting, no statement was at fault
            raise Unavailable(RETRY_AFTER_S, "the database") from error
        connection: Connection | None = lent.driver_connection
        assert connection is not None  # noqa: S101 - it was not given back yet
        return lent, connection, age

    async def fetch(
        self, name: str, *arguments: object, of_one: bool = False
    ) -> list[asyncpg.Record]:
        """Run the statement `name`, or its form for one row, alone in its transaction on a hot connection.

        Deadlocks and serialization failures are tried again.

        Raises:
            Unavailable: when the database is away; whether the statement took effect is unknown.
        """
        for attempt in range(1, _COLLISION_TRIES + 1):
            try:
                with self.writes.write() if notifies(name) else nullcontext():
                    rows = await self._fetch(statement(name, of_one=of_one), arguments)
            except Unavailable:
                if notifies(name):
                    # It may have committed, and the answer be lost.
                    self.told()
                raise
            except asyncpg.PostgresError as error:
                if not faults.is_collision(error) or attempt == _COLLISION_TRIES:
                    raise
                STATEMENTS_FAILED.add(1, ("collision",))
                log.info("statement.collided", statement=name, attempt=attempt, error=str(error))
            else:
                if rows and notifies(name):
                    self.told()
                return rows
        raise AssertionError("the last try returns or raises")

    async def _fetch(self, text: str, arguments: Sequence[object]) -> list[asyncpg.Record]:
        async with self.hot() as connection:
            return await connection.fetch(text, *arguments)

    async def fetch_value(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - any column's type
        """Run the statement `name` as `fetch` does and return the first column of its first row, or None."""
        rows = await self.fetch(name, *arguments)
        return rows[0][0] if rows else None

    @asynccontextmanager
    async def listing(self, *, is_search: bool = False) -> AsyncIterator[AsyncConnection]:
        """Lend a read-only connection for composed statements, planned for their actual values.

        Searches, which read row by row, take half of the connections at most: other lists don't wait for them.

        Raises:
            Unavailable: as for `hot`.
        """
        with _outages_translated(), self._listing_usage.checkout() as checkout:
            async with AsyncExitStack() as stack:
                if is_search:
                    async with asyncio.timeout(self._settings.connect_timeout_s):
                        await stack.enter_async_context(self._searches)
                try:
                    connection = await stack.enter_async_context(self._listing.connect())
                except Exception as error:  # as in `_lend`
                    raise Unavailable(RETRY_AFTER_S, "the database") from error
                checkout.served()
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """Lend a connection that sees one moment of the database, and reads only; plans are pinned as in `hot`.

        It is one of those for lists, so that questions don't take connections from the hot statements. Who is
        cancelled does not wait for a ROLLBACK.

        Raises:
            Unavailable: as for `hot`.
        """
        async with self.listing() as connection:
            driver = await _driver_of(connection)
            while driver.is_closed():
                await connection.invalidate()
                driver = await _driver_of(connection)
            has_ended = False
            try:
                await driver.execute(_BEGIN_SNAPSHOT)
                try:
                    yield driver
                except (asyncpg.PostgresError, TaskmillError):
                    await driver.execute("ROLLBACK")
                    has_ended = True
                    raise
                await driver.execute("COMMIT")
                has_ended = True
            finally:
                # Also when the ROLLBACK was cut off: SQLAlchemy knows of no transaction, and would lend it on.
                if not has_ended:
                    driver.terminate()
                    await connection.invalidate()

    @asynccontextmanager
    async def slow(self, *, timeout_s: float) -> AsyncIterator[Connection]:
        """Open a connection for statements that read whole tables, each for up to `timeout_s` seconds.

        Raises:
            Unavailable: as for `hot`; also when a statement's time is up.
        """
        with _outages_translated():
            # A statement is to end by its own timeout, which breaks no connection.
            longest_s = 2 * timeout_s
            connection = await self._connect(_LISTING, timeout_s, transaction_timeout_s=longest_s)
            try:
                yield connection
            finally:
                await connection.close()

    async def anchor(self, clock: SystemClock) -> datetime:
        """Correct `clock` by what PostgreSQL tells, a few times, and return that.

        The quickest answer corrects it most closely: one that had to connect first told its time late.
        """
        told = clock.now()
        for _ in range(_ANCHOR_TRIES):
            asked_at = clock.monotonic()
            told = await self.fetch_value("clock_now")
            answered_at = clock.monotonic()
            clock.anchor(told, requested_at=asked_at, received_at=answered_at)
            if answered_at - asked_at < _CLOSE_S:
                break
        return told

    async def close(self) -> None:
        """Close both pools; connections in use are closed when they come back."""
        while self._spare:
            self._spare.pop()[0].close()
        await self._hot.dispose()
        await self._listing.dispose()
        self._hot_usage.close()
        self._listing_usage.close()

    def _engine(self, server_settings: dict[str, str], size: int) -> AsyncEngine:
        async def creator() -> Connection:
            return await self.connect(**server_settings)

        return create_async_engine(
            "postgresql+asyncpg://",
            async_creator=creator,
            pool_size=size,
            max_overflow=0,
            pool_timeout=self._settings.connect_timeout_s,
            # JSON stays text: it is parsed once at the door and never again.
            json_deserializer=str,
            pool_reset_on_return=None if server_settings is _HOT else "rollback",
        )


async def _driver_of(connection: AsyncConnection) -> Connection:
    """Return the driver's connection below SQLAlchemy's."""
    lent = await connection.get_raw_connection()
    driver: Connection | None = lent.driver_connection
    assert driver is not None  # noqa: S101 - it was not given back yet
    return driver


def _is_clean(connection: Connection, error: BaseException) -> bool:
    """Tell whether the next user may have this connection."""
    said_no = isinstance(error, (asyncpg.PostgresError, TaskmillError))
    # A server that only reads now may have been the primary: the next connection looks for the new one.
    said_no = said_no and not isinstance(error, asyncpg.ReadOnlySQLTransactionError)
    return said_no and not connection.is_closed() and not connection.is_in_transaction()


class _outages_translated:  # noqa: N801 - reads as a statement: `with _outages_translated():`
    """Turns errors that mean an outage into `Unavailable`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, (asyncio.CancelledError, Unavailable)):
            return
        if faults.is_outage(error):
            raise Unavailable(RETRY_AFTER_S, "the database") from error
