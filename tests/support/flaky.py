"""A proxy before a service that resets, loses, delays and refuses, like a bad network and a busy service."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

FATES: Final = {"pass": 24, "reset": 2, "lose": 2, "stall": 1, "refuse": 3}
_REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n"
    b"retry-after: 0\r\ncontent-length: 2\r\n\r\n{}"
)


class FlakyProxy:
    """Each request passes, is cut off before or after the service has it, stalls, or gets a 503."""

    def __init__(self, target: str, *, stall_s: float, seed: int = 1) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname, parts.port
        self._stall_s = stall_s
        self._randomness = random.Random(seed)  # noqa: S311 - no secret
        self.fates: Counter[str] = Counter()
        self._serving: dict[asyncio.Task[object], asyncio.StreamWriter] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client."""
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = writer
        try:
            await self._serve(reader, writer)
        finally:
            del self._serving[task]

    async def end(self) -> None:
        """Abort all connections, and wait until nobody is served."""
        for writer in self._serving.values():
            writer.transport.abort()
        if self._serving:
            await asyncio.wait(self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
            try:
                while await self._exchange(reader, writer, up_reader, up_writer):
                    pass
            finally:
                up_writer.transport.abort()
        writer.transport.abort()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> bool:
        request = await _message(reader)
        [fate] = self._randomness.choices(list(FATES), list(FATES.values()))
        self.fates[fate] += 1
        if fate == "refuse":
            writer.write(_REFUSAL)
            return True
        if fate == "reset":
            return False
        up_writer.write(request)
        response = await _message(up_reader)
        if fate == "stall":
            await asyncio.sleep(self._stall_s)
        if fate in ("lose", "stall"):
            return False
        writer.write(response)
        return True


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    lengths = [
        int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")
    ]
    return head + (await reader.readexactly(lengths[0]) if lengths else b"")


@asynccontextmanager
async def a_flaky_proxy(target: str, *, stall_s: float) -> AsyncIterator[tuple[FlakyProxy, str]]:
    """A proxy that serves, and its address."""
    proxy = FlakyProxy(target, stall_s=stall_s)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        try:
            yield proxy, f"http://127.0.0.1:{port}"
        finally:
            server.close()
            await proxy.end()
