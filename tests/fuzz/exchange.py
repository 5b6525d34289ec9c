"""HTTP/1.1 as bytes: requests exactly as they are sent, and responses read strictly."""

import asyncio
import re
from dataclasses import dataclass, replace
from typing import Self

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d) [ -~\t]*")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([ -~\t\x80-\xff]*?)[ \t]*")
_WITHOUT_BODY = frozenset({204, 304})
_LONGEST_HEAD = 2**20

Headers = tuple[tuple[bytes, bytes], ...]


class UnreadableResponse(Exception):
    """What came is not a response of HTTP/1.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose head is well-formed; `target` is what stands in its first line."""

    method: bytes
    target: bytes
    headers: Headers = ()
    body: bytes = b""

    def with_headers(self, *headers: tuple[bytes, bytes]) -> Self:
        """Return it with these headers in place of those of the same names."""
        names = {name.lower() for name, _ in headers}
        kept = tuple(one for one in self.headers if one[0].lower() not in names)
        return replace(self, headers=kept + headers)

    def raw(self) -> bytes:
        """Return it as bytes, with its length."""
        lines = [b"%s %s HTTP/1.1" % (self.method, self.target), b"Host: localhost"]
        lines += [b"%s: %s" % header for header in self.headers]
        if self.body or self.method in {b"POST", b"PUT", b"PATCH"}:
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join((*lines, b"", b"")) + self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response. The names of its headers are in lower case; of doubles the last is kept."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """What its body is, without parameters; empty if it does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def keeps_connection(self) -> bool:
        """Whether another request may follow."""
        return self.headers.get("connection", "").lower() != "close"


async def read_response(reader: asyncio.StreamReader, method: bytes) -> Response:
    """Read the response to a request with this method.

    Raises:
        UnreadableResponse: it is none.
        EOFError: the connection was closed before its first byte, or within it.
    """
    while True:
        status, headers = _head(await _until(reader, b"\r\n\r\n"))
        if status >= 200:
            break
    if method == b"HEAD" or status in _WITHOUT_BODY:
        return Response(status=status, headers=headers, body=b"")
    return Response(status=status, headers=headers, body=await _body(reader, headers))


async def _until(reader: asyncio.StreamReader, end: bytes) -> bytes:
    try:
        return await reader.readuntil(end)
    except asyncio.LimitOverrunError as error:
        raise UnreadableResponse("a head without an end") from error


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head[:-4].split(b"\r\n")
    if not (found := _STATUS_LINE.fullmatch(first)):
        raise UnreadableResponse(f"not a status line: {first[:200]!r}")
    headers = {}
    for line in lines:
        if not (header := _HEADER.fullmatch(line)):
            raise UnreadableResponse(f"not a header: {line[:200]!r}")
        headers[header[1].decode("latin-1").lower()] = header[2].decode("latin-1")
    return int(found[1]), headers


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader)
    if (length := headers.get("content-length")) is None:
        return await reader.read(-1)
    if not re.fullmatch(r"\d{1,12}", length):
        raise UnreadableResponse(f"not a length: {length!r}")
    return await reader.readexactly(int(length))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while True:
        line = (await _until(reader, b"\r\n"))[:-2]
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", line):
            raise UnreadableResponse(f"not the length of a chunk: {line[:200]!r}")
        part = await reader.readexactly(int(line, 16) + 2)
        if not part.endswith(b"\r\n"):
            raise UnreadableResponse(f"a chunk that ends in {part[-20:]!r}")
        parts.append(part[:-2])
        if len(part) == 2:
            return b"".join(parts)


class PersistentConnection:
    """A connection for one request after the other, opened again when it was closed."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 60.0) -> None:
        self._address = (host, port)
        self._timeout_s = timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: Request) -> Response:
        """Send a request and return its response; once more if a persistent connection was closed meanwhile.

        Raises:
            UnreadableResponse: what came is not a response.
            EOFError: a new connection was closed without a response.
            TimeoutError: no response came.
        """
        was_open = self._streams is not None
        try:
            return await self._sent(request)
        except (ConnectionError, EOFError):
            self.close()
            if not was_open:
                raise
            return await self._sent(request)

    async def _sent(self, request: Request) -> Response:
        async with asyncio.timeout(self._timeout_s):
            if self._streams is None:
                self._streams = await asyncio.open_connection(*self._address, limit=_LONGEST_HEAD)
            reader, writer = self._streams
            writer.write(request.raw())
            response = await read_response(reader, request.method)
        if not response.keeps_connection:
            self.close()
        return response

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
