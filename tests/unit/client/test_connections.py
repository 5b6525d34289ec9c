"""Connections of clients: their own after a fork, enough of them, and none lost by cancelled calls."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import orjson
import pytest

from taskmill.client import AsyncTaskmillClient
from taskmill.domain.lifecycle import Status
from tests.support.fake_transport import ENDED, ID


class Counted(BaseHTTPRequestHandler):
    """Responds like a service without queues; records each request's port, which is its connection."""

    protocol_version = "HTTP/1.1"
    ports: list[int]

    def do_GET(self) -> None:
        """Respond."""
        self.ports.append(self.client_address[1])
        body = b'{"items":[]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def counted() -> Iterator[ThreadingHTTPServer]:
    Counted.ports = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Counted) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


FORKS = """
import os, sys
from taskmill.client import TaskmillClient

client = TaskmillClient(sys.argv[1])
client.queues()
if os.fork() == 0:
    client.queues()
    os._exit(0)
assert os.wait()[1] == 0
client.queues()
"""


def test_a_fork_has_connections_of_its_own(counted: ThreadingHTTPServer) -> None:
    """On a shared one, each process may read the responses of the other."""
    url = f"http://127.0.0.1:{counted.server_port}"
    subprocess.run([sys.executable, "-c", FORKS, url], check=True, timeout=60)  # noqa: S603 - our own program
    before, forked, after = Counted.ports
    assert before == after != forked


async def test_many_may_wait_at_once() -> None:
    """More than httpx has connections for: the service responds to none before it has all requests."""
    at_once, all_came = 150, asyncio.Barrier(150)
    body = orjson.dumps(ENDED)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await all_came.wait()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=at_once)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with (
        server,
        AsyncTaskmillClient(url, timeout_s=5, retries=0) as client,
        asyncio.TaskGroup() as group,
    ):
        waits = [group.create_task(client.wait(ID)) for _ in range(at_once)]
    assert {wait.result().status for wait in waits} == {Status.SUCCEEDED}


async def serve_tasks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond to everything with one task, once for each connection."""
    body = orjson.dumps(ENDED)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
    writer.close()


async def test_cancelled_calls_leave_no_connection_taken() -> None:
    """A call of httpcore that is cancelled between getting and using its connection keeps it for ever."""
    server = await asyncio.start_server(serve_tasks, "127.0.0.1", 0, backlog=1000)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, AsyncTaskmillClient(url, retries=0) as client:
        for steps in [8, 9, 10, 11, 12] * 3:
            async with asyncio.TaskGroup() as group:
                given_up = [group.create_task(client.get(ID)) for _ in range(100)]
                for _ in range(steps):
                    await asyncio.sleep(0)
                for call in given_up:
                    call.cancel()
        async with asyncio.timeout(20):
            assert (await client.get(ID)).id == ID
