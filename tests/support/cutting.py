"""A TCP proxy before HTTP servers, whose connections a test cuts."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

_CHUNK = 4096


class Cutter:
    """Forwards connections to servers in turn; `url` is where it listens. While it `is_away` it accepts none."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._targets = itertools.cycle([(urlsplit(u).hostname, urlsplit(u).port) for u in urls])
        self._open: set[asyncio.StreamWriter] = set()
        self.url = ""
        self.connections = 0
        self.is_away = False

    def cut(self) -> None:
        """End all connections at once, in the middle of whatever they carry."""
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection."""
        self.connections += 1
        if self.is_away:
            writer.transport.abort()
            return
        host, port = next(self._targets)
        ends = [writer]
        try:
            server_reader, server_writer = await asyncio.open_connection(host, port)
            ends.append(server_writer)
            self._open |= set(ends)
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, server_writer))
                group.create_task(_carry(server_reader, writer))
        except OSError:
            pass
        finally:
            for end in ends:
                self._open.discard(end)
                end.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.transport.abort()


@asynccontextmanager
async def a_cutter(*urls: str) -> AsyncIterator[Cutter]:
    """Run a proxy before these servers."""
    cutter = Cutter(urls)
    server = await asyncio.start_server(cutter.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cutter.url = f"http://127.0.0.1:{port}"
    try:
        yield cutter
    finally:
        server.close()
        cutter.cut()
