"""Clients that do not read their response: they are disconnected, and make room for others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from taskmill.observability.metrics import CONNECTIONS_LIMITED
from taskmill.runtime.connections import ConnectionLimits
from taskmill.runtime.http_server import HttpServer
from taskmill.runtime.request_clock import Pace
from tests.support.api import LogLines
from tests.support.attackers import RawConnection, raw_connections
from tests.support.polling import eventually

# More than the kernel's buffers of a connection at both of its ends.
SIZE = 32 * 1024**2
CLOSE = b"GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
STAY = CLOSE.replace(b"connection: close\r\n", b"")


async def app(scope: Scope, _: Receive, send: Send) -> None:
    """Respond at once to anything."""
    body = b"x" * (SIZE if scope["path"] == "/large" else 1)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def a_server(pace: Pace, *, total: int = 100) -> AsyncIterator[str]:
    limits = ConnectionLimits(total=total)
    server = HttpServer(app, host="127.0.0.1", port=0, limits=limits, pace=pace)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(stop))
        await server.started.wait()
        yield str(server.url)
        stop.set()


def disconnected() -> float:
    return CONNECTIONS_LIMITED.value("http", "slow_response")


async def is_whole(connection: RawConnection) -> bool:
    """Read the rest of a response, up to its end."""
    received = 0
    with suppress(ConnectionError):
        while received < SIZE and (part := await connection.reader.read(SIZE)):
            received += len(part)
    return received >= SIZE


@pytest.mark.parametrize("request_", [CLOSE, STAY], ids=["closing", "keep-alive"])
async def test_a_client_that_reads_nothing_of_its_response_is_disconnected(
    request_: bytes, log_lines: LogLines
) -> None:
    before = disconnected()
    async with (
        a_server(Pace(response_stall_s=0.4)) as url,
        raw_connections(url, 2, request_) as attack,
    ):

        async def are_disconnected() -> bool:
            return disconnected() == before + 2

        await eventually(are_disconnected, "both are cut")
        assert [await is_whole(connection) for connection in attack] == [False, False]
    [connection] = log_lines.named("connections.limited")
    assert (connection["reason"], connection["address"]) == ("slow_response", "127.0.0.2")


async def test_a_client_that_reads_slowly_gets_the_whole_response() -> None:
    before, received = disconnected(), 0
    async with (
        a_server(Pace(response_stall_s=0.6)) as url,
        raw_connections(url, 1, CLOSE) as [connection],
    ):
        while part := await connection.reader.read(SIZE // 16):
            received += len(part)
            await asyncio.sleep(0.01)  # so that all of it takes longer than the limit for a stall
    assert received > SIZE
    assert disconnected() == before


@pytest.mark.parametrize("request_", [CLOSE, STAY], ids=["closing", "keep-alive"])
async def test_a_client_that_reads_nothing_is_disconnected_for_others(request_: bytes) -> None:
    slow_pace = Pace(response_stall_s=60)
    async with a_server(slow_pace, total=4) as url, raw_connections(url, 4, request_) as attack:
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            assert (await http.get("/")).status_code == 200
        assert sorted([await is_whole(connection) for connection in attack]) == [
            False,
            True,
            True,
            True,
        ]
