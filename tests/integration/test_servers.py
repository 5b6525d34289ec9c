"""An address with several hosts: whichever of them serves is found, whatever the others do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from taskmill.storage.servers import Servers
from tests.support.proxy import a_network

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
