"""Connections that are kept, and those that the other side closes."""

import asyncio
from contextlib import suppress

import pytest

from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.errors import Unreachable
from taskmill.outbound.http_messages import Request
from taskmill.settings.outgoing import OutboundSettings
from tests.support.outbound import a_resolver, an_outbound, sent

RESPONSE = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD"])
async def test_a_request_whose_reused_connection_is_cut_is_not_sent_again(method: str) -> None:
    """The second one over a connection gets no response: nobody knows whether it was done."""
    came: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            for response in (RESPONSE, b""):
                await reader.readuntil(b"\r\n\r\n")
                came.append(len(response))
                writer.write(response)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    request = Request(url=f"http://127.0.0.1:{port}/", method=method)
    async with server, an_outbound() as outbound:
        assert (await outbound.send(request, timeout_s=10)).status == 204
        with pytest.raises(Unreachable, match="the connection was cut"):
            await outbound.send(request, timeout_s=10)
        assert came == [len(RESPONSE), 0]


async def test_idle_connections_count_and_the_oldest_makes_room() -> None:
    """Many hosts, called one after the other: each leaves a connection that is kept for a while."""
    is_open: set[asyncio.StreamWriter] = set()
    most = 0
    opened: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        is_open.add(writer)
        most = max(most, len(is_open))
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            opened.append(head.decode().lower().partition("host: ")[2].partition(".")[0])
            while True:
                writer.write(RESPONSE)
                await reader.readuntil(b"\r\n\r\n")
        writer.close()
        is_open.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    rules, limits = AddressRules(["*.example"]), OutboundSettings(connections=5)
    async with (
        server,
        an_outbound(rules, resolve=a_resolver(["127.0.0.1"]), limits=limits) as outbound,
    ):
        for number in range(50):
            # h0 is never the oldest: it is used before each of the others.
            for host in ("h0", f"h{number}"):
                await sent(outbound, f"http://{host}.example:{port}/")
        assert opened == [f"h{number}" for number in range(50)]
        # The one that is being closed may still be seen here.
        assert most <= 6


async def test_what_comes_unasked_is_no_response_to_the_next_request() -> None:
    """A server sends a second response, late: a push that it has not read would count as done."""
    came: list[bytes] = []
    may_go_on, is_written, has_ended = asyncio.Event(), asyncio.Event(), asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            came.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(RESPONSE)
            # Behind what the client has read of the first one by now.
            await may_go_on.wait()
            writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
            is_written.set()
            await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        has_ended.release()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with an_outbound() as outbound:
            url = f"http://127.0.0.1:{port}/"
            assert (await sent(outbound, url)).status == 204
            may_go_on.set()
            await is_written.wait()
            for _ in range(10):
                # What was written has arrived: the loop reads it within these iterations.
                await asyncio.sleep(0)
            assert (await sent(outbound, url)).status == 204
            assert len(came) == 2
        for _ in came:
            await has_ended.acquire()
