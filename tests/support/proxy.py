"""A proxy between the program and PostgreSQL that loses what a test wants lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from taskmill.settings import DatabaseSettings
from taskmill.storage.database import Database
from tests.support.role_database import RoleDatabase
from tests.support.stage import SETTINGS, Stage

_CHUNK = 65536
_PORT = 5432


class Network:
    """Forwards bytes until a test makes it fail."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._group = asyncio.TaskGroup()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._cut_at: bytes | None = None
        self._refuses = False
        self._is_silent = False
        self._swallowed: set[asyncio.StreamWriter] = set()
        self.cut = asyncio.Event()

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def lose_response_to(self, text: str) -> None:
        """Let the next request that contains `text` reach PostgreSQL, and break before its response.

        Statements are prepared once: this must be the first time that its connection sends it.
        """
        self._cut_at = text.encode()
        self.cut.clear()

    def break_all(self) -> None:
        """End all connections."""
        for writer in self._open:
            writer.transport.abort()

    def fall_silent(self) -> None:
        """Swallow every response from now on, and break nothing."""
        self._is_silent = True

    def swallow_what_is_open(self) -> None:
        """Swallow every response on the connections that are open now; new ones work."""
        self._swallowed |= self._open

    def refuse(self, *, refuses: bool) -> None:
        """Refuse new connections, or accept them again."""
        self._refuses = refuses

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        server_reader, server_writer = await asyncio.open_unix_connection(self._socket_path)
        self._open |= {writer, server_writer}
        lost = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_requests(reader, server_writer, lost))
                group.create_task(self._pass_responses(server_reader, writer, lost))
        finally:
            for end in (writer, server_writer):
                self._open.discard(end)
                end.transport.abort()

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event
    ) -> None:
        name: bytes | None = None
        while data := await _read(reader):
            if self._cut_at is not None and self._cut_at in data:
                self._cut_at = None
                if data[:1] == b"Q":  # a simple query: this is all of it
                    lost.set()
                else:  # a preparation: type, length, then the statement's name
                    name = data[5 : data.index(0, 5)]
            elif name is not None and data[:1] == b"B" and b"\x00" + name + b"\x00" in data:
                lost.set()
            writer.write(data)
        writer.transport.abort()

    async def _pass_responses(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event
    ) -> None:
        while data := await _read(reader):
            if lost.is_set():
                self.cut.set()
                break
            if not self._is_silent and writer not in self._swallowed:
                writer.write(data)
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""


@asynccontextmanager
async def a_network(url: str) -> AsyncIterator[tuple[Network, str]]:
    """Run a network, and yield it with the database's address through it."""
    parts = urlsplit(url)
    folder = parse_qs(parts.query)["host"][0]
    network = Network(f"{folder}/.s.PGSQL.{_PORT}")
    server = await asyncio.start_server(network._serve, "127.0.0.1", 0)
    network._server = server
    through = parts._replace(
        netloc=f"{parts.username}:{parts.password}@127.0.0.1:{network.port}",
        query="sslmode=disable",
    )
    try:
        yield network, through.geturl()
    finally:
        server.close()
        network.break_all()


@asynccontextmanager
async def far_away(
    stage: Stage, settings: DatabaseSettings = SETTINGS
) -> AsyncIterator[tuple[Network, Database]]:
    """A database behind a proxy of its own."""
    async with a_network(stage.url) as (network, url):
        database = RoleDatabase(url, settings)
        try:
            yield network, database
        finally:
            await database.close()
