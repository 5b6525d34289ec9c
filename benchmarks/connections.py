"""HTTP/1.1 in bytes, without a library that would add to what a client measures."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

_LENGTH = b"\r\ncontent-length: "
_PART_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response."""

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        return status_of(self.head)

    def header(self, name: bytes) -> str:
        """Return the value of a header that the response has."""
        return self.head.partition(b"\r\n%s: " % name)[2].partition(b"\r\n")[0].decode("latin-1")


def status_of(head: bytes) -> int:
    """Return the status of a response, from its beginning; 0 if there is none."""
    status = head[9:12]
    return int(status) if head.startswith(b"HTTP/1.1 ") and status.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Connection:
    """One open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send some bytes, and wait for room in the buffer."""
        self.writer.write(data)
        await self.writer.drain()

    async def request(self, request: bytes) -> Response:
        """Send a request and return its response, which must have a length. The connection stays open."""
        self.writer.write(request)
        return await self.response()

    async def response(self) -> Response:
        """Read the next response, which must have a length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(_LENGTH)[2].partition(b"\r\n")[0] or 0)
        return Response(head, await self.reader.readexactly(length))

    async def status_at_end(self, request: bytes) -> int:
        """Send a last request, read until the server closes, and return the response's status."""
        self.writer.write(request)
        begun = b""
        while part := await self.reader.read(_PART_BYTES):
            begun = begun or part
        return status_of(begun)

    async def until_closed(self) -> None:
        """Read until the server closes."""
        while await self.reader.read(_PART_BYTES):
            pass

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self.writer.transport.abort()


@asynccontextmanager
async def connected_from(
    address: str, url: str, *, receive_bytes: int | None = None
) -> AsyncIterator[Connection]:
    """Connect to a server from an address of this machine; in the end the connection is aborted.

    `receive_bytes` limits the kernel's receive buffer; None leaves the default.
    """
    target = urlsplit(url)
    with socket.socket() as one:
        if receive_bytes is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        one.setblocking(False)  # noqa: FBT003 - the library's signature
        one.bind((address, 0))
        await asyncio.get_running_loop().sock_connect(one, (target.hostname, target.port))
        reader, writer = await asyncio.open_connection(sock=one)
        connection = Connection(reader, writer)
        try:
            yield connection
        finally:
            connection.abort()
