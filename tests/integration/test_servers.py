"""An address with several hosts: whichever of them serves is found, whatever the others do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from taskmill.composition.server_watch import server_watch
from taskmill.domain.errors import Unavailable
from taskmill.settings import DatabaseSettings
from taskmill.storage.servers import Connection, Servers
from tests.support.api import LogLines
from tests.support.polling import eventually
from tests.support.proxy import a_network
from tests.support.role_database import RoleDatabase

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

TIMEOUT_S = 4.0


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def say_starting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond as a server does that recovers from a crash."""
    await reader.read(1024)
    fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
    writer.write(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
    writer.close()


class Host:
    """A useless host, and how often it was tried."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self.tries = 0
        self.port = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tries += 1
        await self._serve(reader, writer)


@asynccontextmanager
async def a_host(serve: Serve) -> AsyncIterator[Host]:
    host = Host(serve)
    server = await asyncio.start_server(host, "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        server.close()


def with_host_before(url: str, port: int) -> str:
    """Return the address with one more host, which is the first."""
    parts = urlsplit(url)
    credentials, _, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{credentials}@127.0.0.1:{port},{place}").geturl()


@pytest.mark.parametrize("serve", [say_nothing, hang_up, say_starting])
async def test_a_useless_host_is_skipped_and_not_tried_first_again(
    serve: Serve, stage_url: str
) -> None:
    async with a_network(stage_url) as (_, url), a_host(serve) as host:
        servers = Servers(with_host_before(url, host.port))
        for _ in range(2):
            connection = await servers.connect(timeout_s=TIMEOUT_S)
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
        assert host.tries == 1


async def test_a_host_that_hangs_is_tried_last_also_by_who_waits_for_a_shorter_time(
    stage_url: str,
) -> None:
    """The lease's thread waits less than a connection may take: it must not wait for the same host for ever."""
    async with a_network(stage_url) as (_, url), a_host(say_nothing) as host:
        servers = Servers(with_host_before(url, host.port))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await servers.connect(timeout_s=60)
        connection = await servers.connect(timeout_s=TIMEOUT_S)
        await connection.close()
        assert host.tries == 1


async def test_connections_to_the_server_of_before_are_closed_in_all_threads(
    stage_url: str, log_lines: LogLines
) -> None:
    """Both hosts lead to one server, which takes new connections at the second one only."""
    async with a_network(stage_url) as (first, url), a_network(stage_url) as (second, _):
        parts, place = urlsplit(url), f"127.0.0.1:{second.port}"
        servers = Servers(parts._replace(netloc=f"{parts.netloc},{place}").geturl())
        opened = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def hold() -> None:
            connection = await servers.connect(timeout_s=TIMEOUT_S)
            loop.call_soon_threadsafe(opened.set)
            await eventually(lambda: is_closed(connection), "that of the thread to be closed")

        old = await servers.connect(timeout_s=TIMEOUT_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(asyncio.run, hold()))
            await opened.wait()
            first.refuse(refuses=True)
            connection = await servers.connect(timeout_s=TIMEOUT_S)
            await eventually(lambda: is_closed(old), "that of this thread to be closed")
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
    [line] = log_lines.named("database.server_changed")
    assert line["server"] == place


async def is_closed(connection: Connection) -> bool:
    return connection.is_closed()


@pytest.mark.slow
async def test_a_silent_server_is_left_while_a_statement_waits(stage_url: str) -> None:
    """The statement need not wait for its timeout: it is cut off when another server was found."""
    async with a_network(stage_url) as (first, url), a_network(stage_url) as (second, _):
        parts = urlsplit(url)
        both = parts._replace(netloc=f"{parts.netloc},127.0.0.1:{second.port}").geturl()
        database = RoleDatabase(both, DatabaseSettings(statement_timeout_s=600))
        [watch] = server_watch([database])
        stop = asyncio.Event()
        try:
            assert await database.fetch("clock_now")
            first.fall_silent()
            async with asyncio.TaskGroup() as group, asyncio.timeout(60):
                group.create_task(watch.run(stop))
                with pytest.raises(Unavailable):
                    await database.fetch("clock_now")
                stop.set()
            assert await database.fetch("clock_now")
        finally:
            await database.close()


async def test_one_server_is_not_watched(stage_url: str) -> None:
    database = RoleDatabase(stage_url, DatabaseSettings())
    assert server_watch([database]) == []
    await database.close()


async def test_when_no_host_serves_the_error_of_the_last_one_is_raised_in_time() -> None:
    async with a_host(say_nothing) as silent, a_host(say_starting) as starting:
        url = (
            f"postgresql://u:p@127.0.0.1:{silent.port},127.0.0.1:{starting.port}/d?sslmode=disable"
        )
        began_at = asyncio.get_running_loop().time()
        with pytest.raises(asyncpg.CannotConnectNowError):
            await Servers(url).connect(timeout_s=0.5)
        assert asyncio.get_running_loop().time() - began_at < TIMEOUT_S
        assert (silent.tries, starting.tries) == (1, 1)


async def test_a_refused_password_is_raised_and_no_other_host_tried(stage_url: str) -> None:
    async with a_network(stage_url) as (_, url), a_host(say_nothing) as other:
        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")[2]
        wrong = parts._replace(netloc=f"taskmill:wrong@{place},127.0.0.1:{other.port}").geturl()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await Servers(wrong).connect(timeout_s=TIMEOUT_S)
        assert other.tries == 0
