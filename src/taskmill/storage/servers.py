"""The servers of one database, and the way to the one that takes writes.

An address may name several hosts, as in `postgresql://user@db1,db2:5433/taskmill`: a primary and its standbys.
They are tried one after the other, beginning with the one that worked last. The driver can do this too, but it
gives up at the first host that is starting, one that is switched off uses up the whole timeout, and a primary
that was replaced and came back would be used again.
"""

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import asyncpg

from taskmill.observability.logs import get_logger
from taskmill.storage import faults
from taskmill.storage.asyncpg_internals import distinguish_arrays_by_type
from taskmill.storage.server_addresses import addresses_of, check_files, place_of
from taskmill.storage.statements import statement

log = get_logger(__name__)

# The type stubs make it generic, the library does not.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class FormerPrimary(ConnectionError):
    """The server takes writes, but another one was promoted since: what it stores would be lost."""


class Servers:
    """The hosts of an address, each as an address of its own. Several threads may use it."""

    def __init__(self, url: str) -> None:
        self._urls = addresses_of(url)
        self._opened = _OpenConnections()
        # The one that was connected to last; None before the first.
        self._used: str | None = None
        self._lock = threading.Lock()
        # The newest timeline that was seen, by cluster.
        self._timelines: dict[int, str] = {}
        distinguish_arrays_by_type()

    @property
    def are_several(self) -> bool:
        """Whether there is more than one."""
        return len(self._urls) > 1

    async def connect(self, *, timeout_s: float, **options: Any) -> Connection:  # noqa: ANN401 - the driver's
        """Connect to the first server that fits, within `timeout_s`; `options` are the driver's.

        One with `default_transaction_read_only` is the last choice: a former primary may have been made so. All
        connections to other servers are closed.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InternalClientError: the error of the last server.
            FormerPrimary: the last server was replaced by another one.
            TimeoutError: the last server did not respond.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        urls = self._urls
        trouble: Exception | None = None
        read_only: list[Connection] = []
        try:
            for number, url in enumerate(urls):
                share_s = (deadline - loop.time()) / (len(urls) - number)
                try:
                    connection = await self._open(url, share_s, options)
                except Exception as error:
                    if not faults.is_outage(error):
                        raise
                    trouble = error
                    continue
                self._opened.add(connection, url)
                if not _is_read_only(connection):
                    self._move_to(url)
                    return connection
                read_only.append(connection)
            if read_only:
                return read_only.pop(0)
        finally:
            for unused in read_only:
                unused.terminate()
        assert trouble is not None  # noqa: S101 - there is at least one server
        raise trouble

    async def _open(self, url: str, timeout_s: float, options: Mapping[str, Any]) -> Connection:
        """Connect to one server; after an outage, or when nobody waits for it any longer, it is tried last."""
        check_files(url)
        try:
            async with asyncio.timeout(timeout_s):
                connection: Connection = await asyncpg.connect(url, timeout=timeout_s, **options)
                try:
                    await self._check_timeline(connection, url)
                except BaseException:
                    connection.terminate()
                    raise
        except BaseException as error:
            if not isinstance(error, Exception) or faults.is_outage(error):
                self._urls = (*(other for other in self._urls if other != url), url)
            raise
        return connection

    async def _check_timeline(self, connection: Connection, url: str) -> None:
        """Raise `FormerPrimary` if a server of a later timeline was seen."""
        if not self.are_several:
            return
        try:
            row = await connection.fetchrow(statement("server_timeline"))
        except asyncpg.PostgresError:
            return  # a standby, which may have been asked for, or a service that does not let us see it
        assert row is not None  # noqa: S101 - it has no FROM
        cluster, timeline = row["cluster"], row["timeline"]
        with self._lock:
            newest = max(timeline, self._timelines.get(cluster, timeline))
            self._timelines[cluster] = newest
        if timeline < newest:
            raise FormerPrimary(
                f"{place_of(url)} is a former primary: its timeline is {timeline}, {newest} was seen"
            )

    def _move_to(self, url: str) -> None:
        """Try this server first from now on, and leave all others."""
        self._urls = (url, *(other for other in self._urls if other != url))
        self._opened.close_others(url)
        if self._used not in (None, url):
            log.warning("database.server_changed", server=place_of(url))
        self._used = url


class _OpenConnections:
    """The open connections to the servers of one address, of all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: WeakKeyDictionary[Connection, tuple[str, asyncio.AbstractEventLoop]]
        self._places = WeakKeyDictionary()

    def add(self, connection: Connection, url: str) -> None:
        """Add one of this thread's event loop."""
        with self._lock:
            self._places[connection] = url, asyncio.get_running_loop()

    def close_others(self, url: str) -> None:
        """Close those to other servers, however they are used, each on its own event loop."""
        with self._lock:
            others = [(one, loop) for one, (place, loop) in self._places.items() if place != url]
            for connection, _ in others:
                del self._places[connection]
        for connection, loop in others:
            with suppress(RuntimeError):  # its event loop has ended, and the connection with it
                loop.call_soon_threadsafe(connection.terminate)


def _is_read_only(connection: Connection) -> bool:
    """Return whether the server has reported that transactions are read-only unless they say otherwise."""
    settings = connection.get_settings()
    return getattr(settings, "default_transaction_read_only", "off") == "on"
