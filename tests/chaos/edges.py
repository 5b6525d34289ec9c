"""A proxy between a process and a server, which a nemesis may cut, silence, slow down or hold up."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Self, TypeAlias

_CHUNK = 65536
_BIND = b"B"  # how a request begins that runs a prepared statement

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect: TypeAlias = Callable[[], Awaitable[Streams]]


class Edge:
    """Forwards bytes between clients of `port` and the server behind it, until it is made to fail.

    `counts` has the effects so far: connections reset and refused, responses lost, and chunks swallowed, delayed
    and held back.
    """

    def __init__(self, name: str, connect: Connect) -> None:
        self.name = name
        self.delay_s = 0.0
        self.counts: Counter[str] = Counter()
        self._connect = connect
        self._is_silent = False
        self._refuses = False
        self._loses_a_response = False
        self._passes = asyncio.Event()
        self._passes.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.heal()
        self.reset()
        if self._serving:
            await asyncio.wait(self._serving)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def is_used(self) -> bool:
        """Whether a client is connected."""
        return bool(self._open)

    def reset(self) -> None:
        """End all connections at once."""
        self.counts["reset"] += len(self._open)
        for writer in list(self._open):
            writer.transport.abort()

    def fall_silent(self) -> None:
        """Drop everything that is sent from now on, in both directions, and close nothing."""
        self._is_silent = True

    def hold_back(self) -> None:
        """Hold everything that is sent in both directions; deliver it when healed, even if its sender gave up."""
        self._passes.clear()

    def refuse(self) -> None:
        """End all connections and take no new ones."""
        self._refuses = True
        self.reset()

    def lose_a_response(self) -> None:
        """Let the next statement reach the server and take effect, and break before its response."""
        self._loses_a_response = True

    def keep_responses(self) -> None:
        """Lose no more responses."""
        self._loses_a_response = False

    def heal(self) -> None:
        """Forward everything again; connections that have lost bytes are closed."""
        if self._is_silent:
            self.reset()
        self._is_silent = self._refuses = self._loses_a_response = False
        self.delay_s = 0.0
        self._passes.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            if self._refuses:
                self.counts["refused"] += 1
                raise ConnectionRefusedError
            server_reader, server_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, server_writer}
        self._open |= ends
        lost = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_requests(reader, server_writer, lost))
                group.create_task(self._pass_responses(server_reader, writer, lost))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event
    ) -> None:
        while data := await _read(reader):
            if self._loses_a_response and data[:1] == _BIND:
                self._loses_a_response = False
                lost.set()
            await self._pass(data, writer)
        writer.transport.abort()

    async def _pass_responses(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event
    ) -> None:
        while data := await _read(reader):
            if lost.is_set():
                self.counts["lost"] += 1
                break
            await self._pass(data, writer)
        writer.transport.abort()

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if self.delay_s:
            self.counts["delayed"] += 1
            await asyncio.sleep(self.delay_s)
        if not self._passes.is_set():
            self.counts["held_back"] += 1
            await self._passes.wait()
        if self._is_silent:
            self.counts["swallowed"] += 1
        else:
            writer.write(data)


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""
