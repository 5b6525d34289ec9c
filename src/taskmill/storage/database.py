"""Connections to PostgreSQL: one pool for hot statements, one for lists, and single ones on request.

It knows no table. Errors that mean "away for now" become `Unavailable`; all others pass unchanged.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from taskmill.domain.errors import TaskmillError, Unavailable
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import STATEMENTS_FAILED
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.offload import calling_address
from taskmill.runtime.slot_limit import SlotLimit
from taskmill.settings import DatabaseSettings
from taskmill.storage import faults
from taskmill.storage.connection_pool import ConnectionPool
from taskmill.storage.listing_pool import ListingPool, driver_of
from taskmill.storage.pool_usage import PoolUsage, WriteWatch
from taskmill.storage.servers import Connection, Servers
from taskmill.storage.session import TRANSACTION_TIMEOUT_SINCE, PoolerBetween, open_session
from taskmill.storage.statements import notifies, statement

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

log = get_logger(__name__)

RETRY_AFTER_S = 1.0
_COLLISION_TRIES = 5
_ANCHOR_TRIES = 3
# A round trip this short sets the clock closely enough.
_CLOSE_ENOUGH_S = 0.002
# A statement alone in its transaction ends by its own timeout, which leaves the connection usable.
_STATEMENT_FIRST_S = 0.5
# The server ends a statement in time, but a network that swallows everything hides that.
_RESULT_LATER_S = 1.0
# A healthy statement takes milliseconds.
_SILENT_S = 2.0

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
# A search of a whole table took all cores, in three processes of PostgreSQL.
_SINGLE_PROCESS = {"max_parallel_workers_per_gather": "0"}
_BEGIN_SNAPSHOT = "".join(
    ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"]
    + [f"; SET LOCAL {name} = {value}" for name, value in _HOT.items()]
)


class Database:
    """The pools of one process."""

    def __init__(self, url: str, settings: DatabaseSettings) -> None:
        self.writes = WriteWatch()
        self.unsuitable: str | None = None
        """Why this database can't be used at all; None as far as is known."""
        self._servers = Servers(url)
        self._settings = settings
        self._hot = ConnectionPool(self._connect_hot, settings.pool_size)
        self._listing = ListingPool(self._connect_listing, settings)
        searches = max(settings.listing_pool_size // 2, 1)
        self._searches = SlotLimit(searches, per_key=max(searches - 1, 1))
        self._hot_usage = PoolUsage("hot", settings.pool_size)
        self._listing_usage = PoolUsage("listing", settings.listing_pool_size)
        self._on_commit: Callable[[], None] | None = None

    def on_commit(self, notify: Callable[[], None]) -> None:
        """Call `notify` after each commit that other processes must know of."""
        self._on_commit = notify

    def notify_committed(self) -> None:
        """Report a commit that other processes must know of. `fetch` does so by itself."""
        if self._on_commit is not None:
            self._on_commit()

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
                command_timeout_s=timeout_s + _RESULT_LATER_S,
                transaction_timeout_s=transaction_timeout_s,
            )
        except PoolerBetween as error:
            if self.unsuitable is None:
                log.error("database.unsuitable", trouble=str(error))  # noqa: TRY400 - the text is enough
            self.unsuitable = str(error)
            raise Unavailable(RETRY_AFTER_S, "the database", self.unsuitable) from error
        self.unsuitable = None
        return connection

    @asynccontextmanager
    async def hot(self, *, is_write: bool = False) -> AsyncIterator[Connection]:
        """Check out a connection whose plans are pinned to indexes and nested loops.

        With `is_write`, `writes` observes whether that use of it is committed.

        Raises:
            Unavailable: when the database is away, now or while the connection is used.
        """
        writes = self.writes if is_write else None
        with _outages_translated(), self._hot_usage.checkout(writes) as checkout:
            connection = await self._hot.acquire(self._settings.connect_timeout_s)
            checkout.acquired()
            try:
                yield connection
            except BaseException as error:
                is_clean = _is_clean(connection, error)
                self._hot.release(connection, is_clean=is_clean)
                if not is_clean and faults.is_outage(error):
                    self._hot.discard()
                raise
            self._hot.release(connection)

    @asynccontextmanager
    async def hot_transaction(self) -> AsyncIterator[Connection]:
        """Check out a connection as `hot` does, within a transaction that commits at the end."""
        async with self.hot() as connection, self.transaction(connection):
            yield connection

    @asynccontextmanager
    async def transaction(
        self, connection: Connection, *, longer_s: float = 0
    ) -> AsyncIterator[None]:
        """Begin a transaction that commits at the end.

        It and each of its statements may take `longer_s` more than the settings allow; the caller then passes its
        own timeout to the driver.

        After a cancellation or a timeout there is no wait for a ROLLBACK: the connection is closed.
        """
        transaction = connection.transaction()
        await transaction.start()
        try:
            if longer_s:
                await connection.execute(self._longer(connection, longer_s))
            yield
        except (asyncpg.PostgresError, TaskmillError):
            await transaction.rollback()
            raise
        except BaseException:
            connection.terminate()
            raise
        await transaction.commit()

    def result_timeout_s(self, longer_s: float) -> float:
        """Return how long the driver should wait for the result of a statement that may take `longer_s` more."""
        return self._longest_s(longer_s) + _RESULT_LATER_S

    def _longest_s(self, longer_s: float) -> float:
        return self._settings.statement_timeout_s + longer_s

    def _longer(self, connection: Connection, longer_s: float) -> str:
        longest_s = self._longest_s(longer_s)
        text = f"SET LOCAL statement_timeout = '{longest_s}s'"
        if connection.get_server_version().major < TRANSACTION_TIMEOUT_SINCE:
            return text
        # A running timeout keeps its value: it has to be switched off and on again.
        whole_s = longest_s + _STATEMENT_FIRST_S
        begin = f"SET LOCAL transaction_timeout = '{whole_s}s'"
        return f"{text}; SET LOCAL transaction_timeout = 0; {begin}"

    async def _connect_hot(self) -> Connection:
        try:
            return await self.connect(**_HOT)
        except Unavailable:
            raise
        except Exception as error:  # whatever prevents connecting, no statement was at fault
            raise Unavailable(RETRY_AFTER_S, "the database") from error

    async def fetch(
        self, name: str, *arguments: object, for_one: bool = False
    ) -> list[asyncpg.Record]:
        """Run the statement `name`, or its form for one row, alone in its transaction on a hot connection.

        Deadlocks and serialization failures are retried.

        Raises:
            Unavailable: when the database is away; whether the statement took effect is unknown.
        """
        for attempt in range(1, _COLLISION_TRIES + 1):
            try:
                text = statement(name, for_one=for_one)
                rows = await self._fetch_from_primary(name, text, arguments)
            except Unavailable:
                if notifies(name):
                    # It may have committed, with its result lost.
                    self.notify_committed()
                raise
            except asyncpg.PostgresError as error:
                if not faults.is_collision(error) or attempt == _COLLISION_TRIES:
                    raise
                STATEMENTS_FAILED.add(1, ("collision",))
                log.info("statement.collided", statement=name, attempt=attempt, error=str(error))
            else:
                if rows and notifies(name):
                    self.notify_committed()
                return rows
        raise AssertionError("the last try returns or raises")

    async def _fetch_once(
        self, name: str, text: str, arguments: Sequence[object]
    ) -> list[asyncpg.Record]:
        async with self.hot(is_write=notifies(name)) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(text, *arguments)
            return rows

    async def _fetch_from_primary(
        self, name: str, text: str, arguments: Sequence[object]
    ) -> list[asyncpg.Record]:
        """Run a statement, once more after a read-only server refused it: it did nothing, and is left now."""
        try:
            return await self._fetch_once(name, text, arguments)
        except Unavailable as error:
            if not faults.is_read_only(error.__cause__):
                raise
        return await self._fetch_once(name, text, arguments)

    async def fetch_value(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - any column's type
        """Run the statement `name` as `fetch` does and return the first column of its first row, or None."""
        rows = await self.fetch(name, *arguments)
        return rows[0][0] if rows else None

    @asynccontextmanager
    async def listing(self, *, is_search: bool = False) -> "AsyncIterator[AsyncConnection]":
        """Check out a read-only connection for composed statements, planned for their actual values.

        Searches read row by row. They take half of the connections at most, so that other lists don't wait for
        them; those of one address leave one of these to other addresses.

        Raises:
            Unavailable: as for `hot`.
        """
        with _outages_translated(), self._listing_usage.checkout() as checkout:
            async with AsyncExitStack() as stack:
                if is_search:
                    async with asyncio.timeout(self._settings.connect_timeout_s):
                        await stack.enter_async_context(self._searches.slot(calling_address()))
                try:
                    connection = await stack.enter_async_context(self._listing.checkout())
                except Unavailable:
                    raise
                except Exception as error:  # as in `_connect_hot`
                    raise Unavailable(RETRY_AFTER_S, "the database") from error
                checkout.acquired()
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """Check out a read-only connection that sees one moment of the database; plans are pinned as in `hot`.

        It comes from the pool for lists, so that it takes none from the hot statements. After a cancellation there
        is no wait for a ROLLBACK.

        Raises:
            Unavailable: as for `hot`.
        """
        async with self.listing() as connection:
            driver = await driver_of(connection)
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
                # Also when the ROLLBACK was cut off: SQLAlchemy does not know of the transaction, and would reuse
                # it.
                if not has_ended:
                    driver.terminate()
                    await connection.invalidate()

    @asynccontextmanager
    async def slow(self, *, timeout_s: float, is_pinned: bool = False) -> AsyncIterator[Connection]:
        """Open a connection for statements that read whole tables, each for up to `timeout_s` seconds.

        With `is_pinned`, for those that read many rows along indexes: their plans are pinned as on `hot`.

        Raises:
            Unavailable: as for `hot`; also when a statement's time is up.
        """
        with _outages_translated():
            # A statement should end by its own timeout, which leaves the connection usable.
            longest_s = 2 * timeout_s
            pinned = _HOT if is_pinned else _LISTING
            connection = await self._connect(pinned, timeout_s, transaction_timeout_s=longest_s)
            try:
                yield connection
            finally:
                await connection.close()

    async def anchor(self, clock: SystemClock) -> datetime:
        """Set `clock` by PostgreSQL's, with a few tries, and return PostgreSQL's time.

        The shortest round trip is the most exact: the first one may include connecting.
        """
        moment = clock.now()
        for _ in range(_ANCHOR_TRIES):
            requested_at = clock.monotonic()
            moment = await self.fetch_value("clock_now")
            received_at = clock.monotonic()
            clock.anchor(moment, requested_at=requested_at, received_at=received_at)
            if received_at - requested_at < _CLOSE_ENOUGH_S:
                break
        return moment

    @property
    def has_several_servers(self) -> bool:
        """Whether the address names several servers, of which one is the primary."""
        return self._servers.are_several

    async def leave_silent_server(self) -> None:
        """Connect anew if a statement has had no result for long: that leaves a silent server for another."""
        if self._hot.longest_use_s < _SILENT_S:
            return
        with suppress(Unavailable):
            connection = await self._connect_hot()
            connection.terminate()

    async def close_unused(self) -> None:
        """Close the connections that nothing has used since this was called before.

        One that has seen all statements takes 10 to 20 MB of PostgreSQL's memory.
        """
        await self._hot.close_unused()
        await self._listing.close_unused()

    async def close(self) -> None:
        """Close both pools; connections in use are closed when they are released."""
        await self._hot.close()
        await self._listing.close()
        self._hot_usage.close()
        self._listing_usage.close()

    async def _connect_listing(self) -> Connection:
        return await self.connect(**_LISTING, **_SINGLE_PROCESS)


def _is_clean(connection: Connection, error: BaseException) -> bool:
    """Return whether the next caller can use this connection."""
    is_refusal = isinstance(error, (asyncpg.PostgresError, TaskmillError))
    # A server that is read-only now may have been the primary: a new connection finds the new one.
    is_refusal = is_refusal and not isinstance(error, asyncpg.ReadOnlySQLTransactionError)
    return is_refusal and not connection.is_closed() and not connection.is_in_transaction()


class _outages_translated:  # noqa: N801 - reads as a statement: `with _outages_translated():`
    """Turns errors that mean an outage into `Unavailable`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, (asyncio.CancelledError, Unavailable)):
            return
        if faults.is_outage(error):
            raise Unavailable(RETRY_AFTER_S, "the database") from error
