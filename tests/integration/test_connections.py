"""Unfinished requests and very many connections: others are served as if they were not there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest

from taskmill.admin.app import AdminApp
from taskmill.admin.server import AdminServer
from taskmill.api.server import ApiServer
from taskmill.domain.system import BrokerPresence, BrokerState, Readiness
from taskmill.observability.metrics import CONNECTIONS_LIMITED
from taskmill.runtime.connections import ConnectionLimits
from taskmill.runtime.http_server import HttpServer
from taskmill.runtime.request_clock import Pace
from tests.support.api import LogLines, Served
from tests.support.attackers import RawConnection, raw_connections
from tests.support.polling import eventually

HEAD = b"POST /tasks HTTP/1.1\r\nhost: localhost\r\n"
SLOW_BODY = HEAD + b"content-length: 4000\r\n\r\n{"
NO_BROKER = BrokerState(presence=BrokerPresence.NONE, policy="postgres")
QUICK = Pace(head_s=0.5, body_s=0.5, body_bytes=1000, stall_s=5)


@asynccontextmanager
async def running(server: HttpServer[Any]) -> AsyncIterator[str]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(stop))
        await server.started.wait()
        yield str(server.url)
        stop.set()


@asynccontextmanager
async def a_server(
    api: Served, pace: Pace = QUICK, *, total: int = 1000, per_address: int = 1000
) -> AsyncIterator[str]:
    limits = ConnectionLimits(total=total, unfinished_per_address=per_address)
    server = ApiServer(api.app, host="127.0.0.1", port=0, limits=limits, pace=pace)
    async with running(server) as url:
        yield url


async def is_served(url: str) -> None:
    """Send a request on a new connection, from another address than the attackers'."""
    async with httpx.AsyncClient(base_url=url, timeout=20) as http:
        assert (await http.post("/tasks", content=b'{"name":"a"}')).status_code == 201


async def open_ones(attack: list[RawConnection], most: int) -> None:
    """Wait until at most so many are still open."""

    async def are_few() -> bool:
        return sum(connection.is_open for connection in attack) <= most

    await eventually(are_few, f"at most {most} are open")


@pytest.mark.parametrize("begun", [b"GET /", HEAD])
async def test_a_head_without_an_end_is_cut_off(
    api: Served, log_lines: LogLines, begun: bytes
) -> None:
    before = CONNECTIONS_LIMITED.value("api", "slow_head")
    async with a_server(api) as url, raw_connections(url, 3, begun) as attack:
        received = await asyncio.gather(*(connection.dribble(b"x") for connection in attack))  # noqa: TID251 - a test
    assert all(response.startswith(b"HTTP/1.1 408 ") for response in received)
    assert all(b"\r\nconnection: close\r\n" in response for response in received)
    assert CONNECTIONS_LIMITED.value("api", "slow_head") == before + 3
    [connection] = log_lines.named("connections.limited")
    assert (connection["server"], connection["reason"], connection["address"]) == (
        "api",
        "slow_head",
        "127.0.0.2",
    )


async def test_empty_lines_do_not_keep_a_connection_open(api: Served) -> None:
    async with a_server(api) as url, raw_connections(url, 1) as [connection]:
        assert await connection.dribble(b"\r\n") == b""


async def test_a_slow_head_after_a_served_request_is_cut_off_too(api: Served) -> None:
    async with a_server(api) as url, raw_connections(url, 1) as [connection]:
        await connection.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /heal")
        received = await connection.dribble(b"x")
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in received


@pytest.mark.parametrize(
    "framing", [b"content-length: 4000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n"]
)
async def test_a_body_that_dribbles_is_cut_off(api: Served, framing: bytes) -> None:
    byte = b"1\r\n \r\n" if b"chunked" in framing else b" "
    async with a_server(api) as url, raw_connections(url, 1, HEAD + framing) as [connection]:
        received = await connection.dribble(byte)
        assert received.startswith(b"HTTP/1.1 408 ")
        await is_served(url)


async def test_the_remainder_of_a_refused_body_has_to_come_in_time_too(api: Served) -> None:
    begun = HEAD + b"content-length: 99999999\r\n\r\n{"
    async with a_server(api) as url, raw_connections(url, 1, begun) as [connection]:
        received = await connection.dribble(b" ")
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b" 408 " not in received


async def test_a_body_that_stalls_is_cut_off_however_fast_it_was(api: Served) -> None:
    pace = Pace(body_s=30, body_bytes=1, stall_s=0.3)
    async with (
        a_server(api, pace) as url,
        raw_connections(url, 1, SLOW_BODY + b" " * 3000) as [connection],
    ):
        assert (await connection.read_to_end()).startswith(b"HTTP/1.1 408 ")


async def test_a_slow_honest_upload_is_accepted(api: Served) -> None:
    """It takes thrice what a body has without pace, and more than a head has."""
    body = orjson.dumps({"name": "slow", "description": "x" * 3900})
    async with (
        a_server(api) as url,
        raw_connections(url, 1, HEAD + b"content-length: %d\r\n" % len(body)) as [connection],
    ):
        await connection.send(b"connection: close\r\n\r\n")
        for start in range(0, len(body), 400):
            await connection.send(body[start : start + 400])
            await asyncio.sleep(0.15)  # the pace itself is what is tested
        assert (await connection.read_to_end()).startswith(b"HTTP/1.1 201 ")


async def test_an_idle_connection_may_wait_longer_than_a_head(api: Served) -> None:
    request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    async with a_server(api) as url, raw_connections(url, 1, request) as [connection]:
        assert (await connection.reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        await asyncio.sleep(QUICK.head_s * 3)  # the wait itself is what is tested
        await connection.send(request)
        assert (await connection.reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")


async def test_a_long_poll_and_a_stream_outlast_all_deadlines(api: Served) -> None:
    task = await api.create(delay_s=3600)
    follow = b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n"
    async with a_server(api) as url, raw_connections(url, 1, follow) as [stream]:
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            etag = (await http.get(f"/tasks/{task['id']}")).headers["etag"]
            headers = {"if-none-match": etag, "prefer": "wait=2"}
            assert (await http.get(f"/tasks/{task['id']}", headers=headers)).status_code == 304
        assert (await stream.reader.read(65536)).startswith(b"HTTP/1.1 200 ")
        assert stream.is_open


@pytest.mark.parametrize("begun", [b"GET /healthz HT", HEAD, SLOW_BODY])
async def test_the_unfinished_requests_of_one_address_are_limited(
    api: Served, log_lines: LogLines, begun: bytes
) -> None:
    before = CONNECTIONS_LIMITED.value("api", "address")
    slow_pace = Pace(head_s=60, body_s=60)
    async with (
        a_server(api, slow_pace, per_address=5) as url,
        raw_connections(url, 20, begun) as attack,
    ):
        await open_ones(attack, 5)
        await is_served(url)
        assert sum(connection.is_open for connection in attack) == 5
    assert CONNECTIONS_LIMITED.value("api", "address") == before + 15
    assert len(log_lines.named("connections.limited")) == 1


async def test_too_many_bodies_of_one_address_are_refused_until_later(api: Served) -> None:
    slow_pace = Pace(head_s=60, body_s=60)
    async with (
        a_server(api, slow_pace, per_address=2) as url,
        raw_connections(url, 3, SLOW_BODY) as attack,
    ):
        refused = await attack[2].read_to_end()
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 5\r\n" in refused
        assert attack[0].is_open
        # A complete request is not counted, and so is served, from this address too.
        async with raw_connections(
            url, 1, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        ) as [connection]:
            assert (await connection.read_to_end()).startswith(b"HTTP/1.1 200 ")
        attack[0].writer.close()

        async def has_room() -> bool:
            async with raw_connections(url, 1, SLOW_BODY) as [connection]:
                await connection.send(b" ")
                await asyncio.sleep(0.05)
                return connection.is_open

        await eventually(has_room, "there is room again")


@pytest.mark.parametrize("begun", [b"", HEAD, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"])
async def test_when_there_are_too_many_the_longest_idle_of_the_address_with_most_are_closed(
    api: Served, log_lines: LogLines, begun: bytes
) -> None:
    request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    before = CONNECTIONS_LIMITED.value("api", "all")
    slow_pace = Pace(head_s=60, body_s=60)
    async with (
        a_server(api, slow_pace, total=10) as url,
        raw_connections(url, 1, request, "127.0.0.1") as [honest],
    ):
        assert (await honest.reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        async with raw_connections(url, 30, begun) as attack:
            await is_served(url)
            await honest.send(request)
            assert (await honest.reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
            [connection] = log_lines.named("connections.limited")
            assert (connection["reason"], connection["limit"]) == ("all", 10)
            assert CONNECTIONS_LIMITED.value("api", "all") >= before + 21
            assert not attack[0].is_open or begun.endswith(b"\r\n\r\n")


async def test_when_all_connections_are_being_served_one_more_is_refused(api: Served) -> None:
    """Connections that are being served are not closed; a later client may try again."""
    task = await api.create(delay_s=3600)
    waiting = 'if-none-match: "1.0"\r\nprefer: wait=20'
    long_poll = f"GET /tasks/{task['id']} HTTP/1.1\r\nhost: localhost\r\n{waiting}\r\n\r\n"
    async with a_server(api, total=3) as url, raw_connections(url, 3, long_poll.encode()) as attack:
        async with raw_connections(url, 1, b"", "127.0.0.1") as [late]:
            refused = await late.read_to_end()
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 5\r\n" in refused
        assert all(connection.is_open for connection in attack)


async def test_the_admin_port_survives_incomplete_heads(log_lines: LogLines) -> None:
    async def ready() -> Readiness:
        return Readiness(parts={}, broker=NO_BROKER)

    app = AdminApp(ready, lambda: False)
    pace = Pace(head_s=0.5)
    limits = ConnectionLimits(total=20, unfinished_per_address=5)
    server = AdminServer(app, host="127.0.0.1", port=0, limits=limits, pace=pace)
    async with running(server) as url, raw_connections(url, 50, b"GET /metrics HT") as attack:
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.get("/readyz")).status_code == 200
            assert 'taskmill_http_connections{server="admin"}' in (await http.get("/metrics")).text
        await open_ones(attack, 0)
    assert {connection["server"] for connection in log_lines.named("connections.limited")} == {
        "admin"
    }


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"rubbish\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431),
        (b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n", 405),
        (b"GET / HT", 408),
        (SLOW_BODY, 408),
        (b"", 503),
    ],
    ids=["bad", "large", "connect", "head", "body", "busy"],
)
async def test_the_servers_own_responses_have_the_headers_for_browsers(
    api: Served, sent: bytes, status: int
) -> None:
    total = 1000 if sent else 0
    async with a_server(api, total=total) as url, raw_connections(url, 1, sent) as [connection]:
        head, _, body = (await connection.read_to_end()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    for header in (b"x-content-type-options: nosniff", b"referrer-policy: ", b"cache-control: "):
        assert head.count(b"\r\n" + header) == 1
    assert b"cache-control: no-store" in head
    assert orjson.loads(body)["status"] == status
