"""A pooler between the program and PostgreSQL that drops session settings, as PgBouncer does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

_PASSED_ON = frozenset({b"user", b"database", b"client_encoding", b"application_name"})
_HEAD_BYTES = 8
_CHUNK = 65536


def _error(text: str) -> bytes:
    fields = b"SFATAL\0VFATAL\0C08P01\0M" + text.encode() + b"\0\0"
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


class Pooler:
    """Forwards only some startup parameters of a session, or `refuses` those that it does not know."""

    def __init__(self, socket_path: str, *, refuses: bool) -> None:
        self._socket_path = socket_path
        self._refuses = refuses

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection."""
        head = await reader.readexactly(_HEAD_BYTES)
        body = await reader.readexactly(int.from_bytes(head[:4], "big") - _HEAD_BYTES)
        words = body.rstrip(b"\0").split(b"\0")
        requested = dict(zip(words[::2], words[1::2], strict=True))
        unknown = sorted(requested.keys() - _PASSED_ON)
        if self._refuses and unknown:
            writer.write(_error(f"unsupported startup parameter: {unknown[0].decode()}"))
            writer.close()
            return
        passed_on = [pair for pair in requested.items() if pair[0] in _PASSED_ON]
        parameters = b"".join(b"%b\0%b\0" % pair for pair in passed_on) + b"\0"
        up_reader, up_writer = await asyncio.open_unix_connection(self._socket_path)
        length = (len(parameters) + _HEAD_BYTES).to_bytes(4, "big")
        up_writer.write(length + head[4:] + parameters)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, up_writer))
                group.create_task(_carry(up_reader, writer))
        finally:
            up_writer.transport.abort()
            writer.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
    except OSError:
        pass
    writer.transport.abort()


@asynccontextmanager
async def a_pooler(url: str, *, refuses: bool = False) -> AsyncIterator[str]:
    """Run a pooler, and yield the database's address through it."""
    parts = urlsplit(url)
    folder = parse_qs(parts.query)["host"][0]
    pooler = Pooler(f"{folder}/.s.PGSQL.5432", refuses=refuses)
    server = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    netloc = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
    try:
        yield parts._replace(netloc=netloc, query="sslmode=disable").geturl()
    finally:
        server.close()
