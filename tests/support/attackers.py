"""Hostile clients, on an address of their own; what they send is bounded and stays on this machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

ATTACKER = "127.0.0.2"


@dataclass(frozen=True, slots=True)
class RawConnection:
    """One open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send some bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def read_to_end(self, timeout_s: float = 15.0) -> bytes:
        """Return what arrives until the server closes the connection, or resets it."""
        received = b""
        async with asyncio.timeout(timeout_s):
            try:
                while part := await self.reader.read(65536):
                    received += part
            except ConnectionError:
                pass
        return received

    async def dribble(self, byte: bytes, pause_s: float = 0.05, timeout_s: float = 15.0) -> bytes:
        """Send the byte repeatedly until the server closes, and return what arrived."""

        async def send_on() -> None:
            try:
                while True:
                    await self.send(byte)
                    await asyncio.sleep(pause_s)
            except ConnectionError:
                pass

        async with asyncio.TaskGroup() as group:
            sending = group.create_task(send_on())
            received = await self.read_to_end(timeout_s)
            sending.cancel()
        return received

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it."""
        has_ended = self.reader._eof  # type: ignore[attr-defined]  # `at_eof` waits until all is read
        return not has_ended and self.reader.exception() is None


@asynccontextmanager
async def raw_connections(
    url: str, count: int, begun: bytes = b"", address: str = ATTACKER
) -> AsyncIterator[list[RawConnection]]:
    """Open `count` connections from an address, one after the other, and send `begun` on each."""
    target = urlsplit(url)
    opened: list[RawConnection] = []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection(
                target.hostname, target.port, local_addr=(address, 0)
            )
            opened.append(RawConnection(reader, writer))
            await opened[-1].send(begun)
        yield opened
    finally:
        for connection in opened:
            connection.writer.transport.abort()
