"""Clients that leave, or stop reading, during their response: that is no fault, so no error is logged."""

import asyncio
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import orjson
import pytest

from taskmill.api.server import ApiServer
from taskmill.observability.metrics import REQUESTS_IN_FLIGHT
from taskmill.settings import LimitSettings, Settings
from tests.support.api import LogLines, Served, serving
from tests.support.attackers import RawConnection, raw_connections
from tests.support.polling import eventually
from tests.support.stage import Stage

SETTINGS = Settings(limits=LimitSettings(request_timeout_s=1))
END = b" HTTP/1.1\r\nhost: localhost\r\n"
LARGE = b"GET /tasks?limit=100" + END + b"\r\n"
STREAM = b"GET /events" + END + b"\r\n"
LEASE = b'{"worker":"w","types":["nobody"],"wait_s":20}'
POLL = b"POST /leases" + END + b"content-length: %d\r\n\r\n" % len(LEASE) + LEASE
UPLOAD = b"POST /tasks" + END + b"content-length: 4000\r\n\r\n{"
LONG_POLL = (
    b'GET /tasks/%s HTTP/1.1\r\nhost: localhost\r\nif-none-match: "1.0"\r\nprefer: wait=20\r\n\r\n'
)
NDJSON = b"\n".join(orjson.dumps({"name": "x" * 200}) for _ in range(5_000))
BATCH = b"POST /tasks/batch" + END + b"content-type: application/x-ndjson\r\n"
BATCH += b"content-length: %d\r\n\r\n" % len(NDJSON) + NDJSON


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Served]:
    """Serve with tasks whose list is a megabyte."""
    async with serving(stage.service, SETTINGS) as served:
        tasks = [{"name": "large", "delay_s": 3600, "description": "x" * 9_900}] * 100
        assert (await served.post("/tasks/batch", tasks)).status_code == 201
        yield served


async def a_small_connection(url: str) -> RawConnection:
    """Connect with a very small receive buffer."""
    parts = urlsplit(url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)  # noqa: FBT003 - the library's signature
    await asyncio.get_running_loop().sock_connect(connection, (parts.hostname, parts.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
    return RawConnection(reader, writer)


def in_flight() -> float:
    return sum(sample.value for family in REQUESTS_IN_FLIGHT.collect() for sample in family.samples)


async def all_have_ended() -> bool:
    return in_flight() == 0


async def one_is_in_flight() -> bool:
    return in_flight() == 1


@pytest.mark.parametrize("behind", [b"", LARGE], ids=["alone", "pipelined"])
@pytest.mark.parametrize("leaves", ["reset", "close"])
@pytest.mark.parametrize(
    "request_", [STREAM, POLL, LONG_POLL, UPLOAD], ids=["stream", "poll", "long-poll", "upload"]
)
async def test_a_request_ends_when_its_client_leaves(
    api: Served, log_lines: LogLines, request_: bytes, leaves: str, behind: bytes
) -> None:
    task = await api.create(delay_s=3600)
    sent = request_ % task["id"].encode() if request_ is LONG_POLL else request_
    connection = await a_small_connection(api.url)
    await connection.send(sent + (b"" if request_ is UPLOAD else behind))
    await eventually(one_is_in_flight, "it is being served")
    if leaves == "reset":
        connection.writer.transport.abort()
    else:
        connection.writer.close()
    await eventually(all_have_ended, "the request has ended")
    assert log_lines.warnings() == []


@pytest.mark.parametrize("request_", [LARGE, LARGE * 8, BATCH], ids=["large", "several", "batch"])
@pytest.mark.parametrize("leaves", ["reset", "half", "stays"])
async def test_a_large_response_that_is_not_read_is_aborted(
    api: Served, log_lines: LogLines, request_: bytes, leaves: str
) -> None:
    connection = await a_small_connection(api.url)
    await connection.send(request_)
    assert await connection.reader.read(1)
    if leaves == "reset":
        connection.writer.transport.abort()
    elif leaves == "half":
        connection.writer.write_eof()
    await eventually(all_have_ended, "the requests have ended")
    connection.writer.transport.abort()
    assert log_lines.warnings() == []


async def test_a_server_that_stops_logs_how_many_requests_it_aborts(
    api: Served, log_lines: LogLines
) -> None:
    server, stop = ApiServer(api.app, host="127.0.0.1", port=0, grace_s=0.2), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(stop))
        await server.started.wait()
        async with raw_connections(str(server.url), 1, UPLOAD):
            await eventually(one_is_in_flight, "it is being received")
            stop.set()
            await eventually(all_have_ended, "it is given up")
    [warning] = log_lines.warnings()
    assert (warning["event"], warning["requests"]) == ("server.requests_aborted", 1)
