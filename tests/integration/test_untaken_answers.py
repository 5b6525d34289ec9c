"""Clients that ask and do not take the answer: what it holds is given back, and others find room."""

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

# More than what the system keeps of a connection for both of its ends.
SIZE = 32 * 1024**2
CLOSE = b"GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
STAY = CLOSE.replace(b"connection: close\r\n", b"")


async def app(scope: Scope, _: Receive, send: Send) -> None:
    """Answer at once, whatever was asked."""
    body = b"x" * (SIZE if scope["path"] == "/large" else 1)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def a_server(pace: Pace, *, total: int = 100) -> AsyncIterator[str]:
    limits = ConnectionLimits(total=total)
    server = HttpServer(app, host="127.0.0.1", port=0, advice="--port", limits=limits, pace=pace)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(stop))
        await server.started.wait()
        yield str(server.url)
        stop.set()


def cut() -> float:
    return CONNECTIONS_LIMITED.value("http", "slow_answer")


async def is_whole(line: RawConnection) -> bool:
    """Take what is left of an answer, up to its end."""
    received = 0
    with suppress(ConnectionError):
        while received < SIZE and (part := await line.reader.read(SIZE)):
            received += len(part)
    return received >= SIZE


@pytest.mark.parametrize("request_", [CLOSE, STAY], ids=["closing", "kept"])
async def test_a_client_that_takes_nothing_of_its_answer_is_cut(
    request_: bytes, log_lines: LogLines
) -> None:
    before = cut()
    async with (
        a_server(Pace(response_stall_s=0.4)) as url,
        raw_connections(url, 2, request_) as attack,
    ):

        async def are_cut() -> bool:
            return cut() == before + 2

        await eventually(are_cut, "both are cut")
        assert [await is_whole(line) for line in attack] == [False, False]
    [line] = log_lines.named("connections.limited")
    assert (line["reason"], line["address"]) == ("slow_answer", "127.0.0.2")


async def test_who_takes_an_answer_slowly_gets_all_of_it() -> None:
    before, received = cut(), 0
    async with (
        a_server(Pace(response_stall_s=0.6)) as url,
        raw_connections(url, 1, CLOSE) as [line],
    ):
        while part := await line.reader.read(SIZE // 16):
            received += len(part)
            await asyncio.sleep(0.01)  # so that all of it takes longer than nothing may
    assert received > SIZE
    assert cut() == before


@pytest.mark.parametrize("request_", [CLOSE, STAY], ids=["closing", "kept"])
async def test_who_takes_nothing_gives_way_to_others(request_: bytes) -> None:
    patient = Pace(response_stall_s=60)
    async with a_server(patient, total=4) as url, raw_connections(url, 4, request_) as attack:
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            assert (await http.get("/")).status_code == 200
        assert sorted([await is_whole(line) for line in attack]) == [False, True, True, True]
