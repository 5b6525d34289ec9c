"""One reader for all streams: what it reads, what it renders, and streams whose clients read too slowly."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import orjson
import pytest

from taskmill.observability.catalogue import REGISTRY
from taskmill.storage import changes
from taskmill.storage.database import Database
from tests.support.api import LogLines, Served, serving
from tests.support.builders import a_draft
from tests.support.feed import a_stream, all_numbered, taken, task_versions, until, with_feed
from tests.support.polling import eventually
from tests.support.stage import Stage

pytestmark = pytest.mark.usefixtures("numbered")


async def test_streams_and_their_changes_are_counted(api: Served, stage: Stage) -> None:
    def value_of(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"taskmill_feed_{name}", labels) or 0

    before = value_of("changes_read_total"), value_of("streams_ended_total", reason="gone")
    async with a_stream(api.http) as stream:
        await until(stream, "live")
        assert value_of("streams") == 1
        await stage.created()
        await all_numbered(stage)
        await taken(stream, 1)
    assert value_of("changes_read_total") == before[0] + 1

    async def has_ended() -> bool:
        return value_of("streams") == 0

    await eventually(has_ended, "the stream to end")
    assert value_of("streams_ended_total", reason="gone") == before[1] + 1


async def test_without_listeners_nothing_is_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    read = changes.read

    async def counted(*arguments: Any) -> Any:  # noqa: ANN401 - those of the original
        nonlocal reads
        reads += 1
        return await read(*arguments)

    monkeypatch.setattr(changes, "read", counted)
    async with serving(stage.service) as api:
        feed = api.app._context.feed

        async def is_idle() -> bool:
            return not feed._wanted.is_set() and not feed._started.is_set()

        await eventually(is_idle, "no listener to be left")
        await stage.created()
        await all_numbered(stage)
        assert reads == 0
        async with a_stream(api.http) as one, a_stream(api.http) as two:
            await until(one, "live")
            await until(two, "live")
            task = await stage.created()
            for stream in (one, two):
                assert task_versions(await taken(stream, 1))[-1] == (str(task.id), 1)
        await eventually(is_idle, "the reader to be idle")


async def test_many_streams_share_one_reader_and_each_change_is_rendered_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0
    statements: list[str] = []
    fetch = Database.fetch

    async def noted(
        self: Database, name: str, *arguments: object, **form: bool
    ) -> list[asyncpg.Record]:
        statements.append(name)
        return await fetch(self, name, *arguments, **form)

    def counted(change: Any) -> bytes:  # noqa: ANN401 - a change
        nonlocal made
        made += 1
        return b"id: %b\nevent: change\ndata: {}\n\n" % str(change.cursor).encode()

    monkeypatch.setattr("taskmill.operations.listeners.change_frame", counted)
    monkeypatch.setattr(Database, "fetch", noted)
    async with serving(stage.service) as api, asyncio.TaskGroup() as group:
        ready: list[asyncio.Event] = [asyncio.Event() for _ in range(60)]

        async def follow(number: int) -> None:
            count = 0
            async with a_stream(api.http) as stream:
                await until(stream, "live")
                ready[number].set()
                async for block in stream:
                    count += block.event is not None
                    if count == 20:
                        return

        for number in range(60):
            group.create_task(follow(number))
        for event in ready:
            await event.wait()
        statements.clear()
        await stage.creation.create_all([a_draft() for _ in range(20)])
        # All of them are in one page: one more read finds it, for all listeners.
    assert made == 20
    assert statements.count("read_changes") == 1


async def test_a_slow_reader_is_disconnected_with_a_reason_and_misses_nothing(
    stage: Stage, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.api.feeds._STALLED_S", 120)
    async with (
        serving(stage.service, with_feed(buffer=1000)) as api,
        a_narrow_reader(api.url) as (reader, transport),
    ):
        streams = api.app._context.feed._streams

        async def is_dropped() -> bool:
            await stage.creation.create_all([a_draft(labels=LONG) for _ in range(500)])
            await all_numbered(stage)
            return any(stream.end is not None for stream in streams)

        await eventually(is_dropped, "the stream to be dropped", timeout_s=60)
        transport.resume_reading()
        text = await remainder_of(reader)
        assert "too slow" in text
        assert "retry: " in text
        assert log_lines.named("stream.dropped")
        before = re.findall(r"^id: (\S+)\nevent: change$", text, re.MULTILINE)
        total = await stage.sql.fetchval("SELECT count(*) FROM taskmill.task")
        async with a_stream(api.http, last=before[-1]) as stream:
            remaining = await taken(stream, total - len(before), timeout_s=60)
        assert len({*before, *(change["cursor"] for change in remaining)}) == total


LONG = orjson.dumps({f"k{n}": "x" * 255 for n in range(10)}).decode()


@asynccontextmanager
async def a_narrow_reader(
    url: str,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.ReadTransport]]:
    """Open a stream over a connection with small buffers, and read only its beginning."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)  # noqa: FBT003 - the library's signature
        host, port = url.removeprefix("http://").split(":")
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
        writer.write(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        async with asyncio.timeout(15):
            await reader.readuntil(b": live")
        transport = writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()
        try:
            yield reader, transport
        finally:
            transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def remainder_of(reader: asyncio.StreamReader) -> str:
    """Return the remainder of a stream without the marks of its chunks."""
    text = b""
    async with asyncio.timeout(60):
        while not text.endswith(b"\r\n0\r\n\r\n"):
            piece = await reader.read(65536)
            assert piece, "it ended in the middle"
            text += piece
    return re.sub(rb"\r\n[0-9a-f]+\r\n", b"", text).decode()


async def test_a_reader_that_reads_nothing_is_disconnected(
    stage: Stage, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.api.feeds._STALLED_S", 0.2)
    async with (
        serving(stage.service) as api,
        a_narrow_reader(api.url) as (reader, transport),
    ):
        streams = api.app._context.feed._streams

        async def is_cut() -> bool:
            await stage.creation.create_all([a_draft(labels=LONG) for _ in range(500)])
            return bool(log_lines.named("stream.stalled"))

        async def has_no_listeners() -> bool:
            return not streams

        await eventually(is_cut, "the stream to be cut", timeout_s=60)
        await eventually(has_no_listeners, "no listener to be left")
        transport.resume_reading()
        with pytest.raises((ConnectionError, AssertionError)):
            await remainder_of(reader)
        assert not log_lines.named("request.failed")
