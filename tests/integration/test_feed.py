"""GET /events: what a stream sends, where it begins, what it leaves out, and how it ends."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import pytest

from taskmill.domain.errors import ChangesForgotten
from taskmill.domain.feed import Cursor, FeedPage
from taskmill.domain.lifecycle import Succeeded
from taskmill.maintenance.retention import Housekeeping
from taskmill.observability.catalogue import REGISTRY
from taskmill.settings import Settings
from taskmill.settings.groups import FeedSettings
from taskmill.storage import changes
from taskmill.storage.database import Database
from taskmill.wire.feed import ChangeView
from tests.support.api import SETTINGS, LogLines, Served, serving
from tests.support.builders import a_draft
from tests.support.feed import a_numbering, a_stream, all_numbered, taken, task_versions, until
from tests.support.polling import eventually
from tests.support.proxy import a_network
from tests.support.stage import Stage, a_stage


@pytest.fixture(autouse=True)
async def _numbered(stage: Stage) -> AsyncIterator[None]:
    async with a_numbering(stage.database):
        yield


def with_feed(**settings: Any) -> Settings:  # noqa: ANN401 - the settings of the feed
    return SETTINGS.model_copy(update={"feed": FeedSettings(**settings)})


def housekeeping(stage: Stage) -> Housekeeping:
    return Housekeeping(
        stage.database,
        clock=stage.clock,
        keep_tasks=timedelta(days=365),
        keep_changes=timedelta(days=7),
        keep_rejections=timedelta(days=30),
    )


async def test_a_stream_has_what_happens_from_its_beginning_on(api: Served, stage: Stage) -> None:
    await stage.created()
    await all_numbered(stage)
    async with a_stream(api.http) as stream:
        first = await anext(stream)
        assert first.comments == ["ok"]
        assert first.retry == 1000
        task = await api.create(queue="reports", labels={"team": "finance"})
        lease = await stage.open_lease()
        for one in await stage.take(lease):
            if str(one.task.id) == task["id"]:
                await stage.end(one, lease, Succeeded())
            else:
                continue
        seen = [c for c in await taken(stream, 4) if c["task_id"] == task["id"]]
    assert [(c["event"], c["version"], c["status"]) for c in seen] == [
        ("created", 1, "new"),
        ("claimed", 2, "in_progress"),
        ("succeeded", 3, "succeeded"),
    ]
    history = (await api.get(f"/tasks/{task['id']}/events")).json()["items"]
    for change, event in zip(seen, history, strict=True):
        ChangeView.model_validate(change)
        assert {name: change[name] for name in event} == event
        assert change["queue"] == "reports"
        assert change["labels"] == {"team": "finance"}
        assert change["name"] == "a task"
        assert change["type"] == "emulate"


async def test_a_stream_continues_after_the_given_id(api: Served, stage: Stage) -> None:
    made = await stage.service.create_all([a_draft() for _ in range(5)])
    await stage.created()
    await all_numbered(stage)
    ids = [str(one.task.id) for one in made]
    async with a_stream(api.http, "?after=0") as stream:
        whole = await taken(stream, 6)
    assert {c["task_id"] for c in whole[:5]} == set(ids)
    assert [c["cursor"] for c in whole] == ["1.1", "1.2", "1.3", "1.4", "1.5", "2.1"]
    for number, change in enumerate(whole[:-1], start=1):
        async with a_stream(api.http, last=change["cursor"]) as stream:
            assert await taken(stream, 6 - number) == whole[number:]
        async with a_stream(api.http, f"?after={change['cursor']}") as stream:
            assert await taken(stream, 6 - number) == whole[number:]
    async with a_stream(api.http, "?after=0", last="1.5") as stream:
        assert await taken(stream, 1) == whole[5:], "the header wins over the address"


async def test_a_reader_from_before_the_first_change_continues_from_there(
    api: Served, stage: Stage
) -> None:
    async with a_stream(api.http) as stream:
        first = str((await anext(stream)).id)
    task = await stage.created()
    await all_numbered(stage)
    async with a_stream(api.http, last=first) as stream:
        assert task_versions(await taken(stream, 1)) == [(str(task.id), 1)]


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


async def test_a_stream_reports_when_it_has_caught_up(api: Served, stage: Stage) -> None:
    await stage.created()
    await all_numbered(stage)
    async with a_stream(api.http, "?after=0") as stream:
        blocks = await until(stream, "live")
        assert [block.event for block in blocks] == [None, "change", None]
        assert blocks[-1].id == "1.1"


async def test_a_stream_has_caught_up_only_when_everything_was_sent(
    api: Served, stage: Stage
) -> None:
    """What the reader has for a stream may be many parts; a client without following stops at the report."""
    async with a_stream(api.http) as other:
        await until(other, "live")
        await stage.service.create_all([a_draft() for _ in range(1000)])
        await all_numbered(stage)
        await taken(other, 1000)
        async with a_stream(api.http, "?after=0") as stream:
            blocks = await until(stream, "live")
        assert sum(block.event is not None for block in blocks) == 1000


async def test_a_position_that_a_failover_lost_counts_as_forgotten(stage: Stage) -> None:
    await stage.service.create_all([a_draft()])
    await all_numbered(stage)
    with pytest.raises(ChangesForgotten):
        await changes.read(stage.database, Cursor(8, 1), 100)


async def test_an_unknown_kind_of_change_delays_the_feed_and_ends_nothing(
    api: Served, stage: Stage, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = changes.read

    async def unknown(*_: object) -> FeedPage:
        raise ValueError("'pondered' is not a valid EventType")

    async with a_stream(api.http) as stream:
        await until(stream, "live")
        monkeypatch.setattr(changes, "read", unknown)
        task = await stage.created()
        await all_numbered(stage)

        async def has_failed() -> bool:
            return bool(log_lines.named("feed.failed"))

        await eventually(has_failed, "the reader to fail")
        monkeypatch.setattr(changes, "read", read)
        assert task_versions(await taken(stream, 1)) == [(str(task.id), 1)]


FILTERS = [
    ("queue=a", {0, 2}),
    ("queue=a&queue=c", {0, 2, 3}),
    ("type=mail", {1, 3}),
    ("queue=a&type=mail", set()),
    ("status=cancelled", {0}),
    ("status=succeeded&status=cancelled", {0}),
    ("status=new&queue=b", {1}),
    ("task={1}&task={3}", {1, 3}),
    ("task={1}&queue=a", set()),
    ("task={0}&status=cancelled", {0}),
]


@pytest.mark.parametrize(("query", "wanted"), FILTERS)
async def test_a_filter_applies_before_and_after_catching_up(
    api: Served, stage: Stage, query: str, wanted: set[int]
) -> None:
    async def change_all() -> list[str]:
        tasks = [
            await stage.created(queue=queue, type=kind)
            for queue, kind in (("a", "x"), ("b", "mail"), ("a", "x"), ("c", "mail"))
        ]
        await stage.service.cancel(tasks[0].id)
        return [str(task.id) for task in tasks]

    ids = await change_all()
    await all_numbered(stage)
    parameters = query.format(*ids)
    async with a_stream(api.http, f"?after=0&{parameters}") as stream:
        blocks = await until(stream, "live")
        found = {block.change["task_id"] for block in blocks if block.event}
        assert found == {ids[number] for number in wanted}
        if "task=" in query:
            return
        ids = await change_all()
        last = await stage.created(queue="a", type="mail")
        await stage.service.cancel(last.id)
        await all_numbered(stage)
        async with a_stream(api.http) as other:
            behind = (await anext(other)).id
        async for block in stream:
            if block.event and block.change["task_id"] != str(last.id):
                found.add(block.change["task_id"])
            if block.event is None and block.id and _cursor(block.id) >= _cursor(str(behind)):
                break
            if len(found & set(ids)) == len(wanted):
                break
        assert found & set(ids) == {ids[number] for number in wanted}


def _cursor(text: str) -> Cursor:
    return Cursor.parse(text)


async def test_a_stream_without_changes_stays_open_and_moves_its_id(stage: Stage) -> None:
    async with (
        serving(stage.service, with_feed(heartbeat_s=0.1)) as api,
        a_stream(api.http, "?queue=nothing") as stream,
    ):
        await until(stream, "live")
        for number in range(1, 3):
            await stage.created()
            await all_numbered(stage)
            async with asyncio.timeout(15):
                async for block in stream:
                    assert block.event is None
                    assert block.comments == ["heartbeat"]
                    if block.id == f"{number}.1":
                        break
        other = await stage.created(queue="nothing")
        async with a_stream(api.http, "?queue=nothing", last="2.1") as again:
            assert task_versions(await taken(again, 1)) == [(str(other.id), 1)]


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
        await stage.service.create_all([a_draft() for _ in range(20)])
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
            await stage.service.create_all([a_draft(labels=LONG) for _ in range(500)])
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
            await stage.service.create_all([a_draft(labels=LONG) for _ in range(500)])
            return bool(log_lines.named("stream.stalled"))

        async def has_no_listeners() -> bool:
            return not streams

        await eventually(is_cut, "the stream to be cut", timeout_s=60)
        await eventually(has_no_listeners, "no listener to be left")
        transport.resume_reading()
        with pytest.raises((ConnectionError, AssertionError)):
            await remainder_of(reader)
        assert not log_lines.named("request.failed")


async def test_streams_end_at_once_when_the_server_stops(stage: Stage) -> None:
    async with serving(stage.service) as api, a_stream(api.http) as stream:
        await until(stream, "live")
        began = asyncio.get_running_loop().time()
        api.app.stop_being_ready()
        last = (await until(stream, "this server stops"))[-1]
        assert last.retry is not None
        assert 1000 <= last.retry < 3000
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert asyncio.get_running_loop().time() - began < 2
        refused = await api.get("/events")
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await api.get("/stats")).status_code == 200, "other requests are still served"


async def test_a_server_without_listeners_stops_at_once(stage: Stage) -> None:
    """It closes the feed first, and stops its reader later."""
    async with serving(stage.service) as api:
        async with a_stream(api.http) as stream:
            await until(stream, "live")
            api.app.stop_being_ready()
            await until(stream, "this server stops")
        assert (await api.get("/readyz")).status_code == 503
        assert (await api.get("/stats")).status_code == 200


async def test_a_stream_outlives_the_timeout_of_requests(stage: Stage) -> None:
    limits = SETTINGS.limits.model_copy(update={"request_timeout_s": 0.3})
    settings = with_feed(heartbeat_s=0.1).model_copy(update={"limits": limits})
    async with serving(stage.service, settings) as api, a_stream(api.http) as stream:
        async with asyncio.timeout(15):
            beats = 0
            async for block in stream:
                beats += "heartbeat" in block.comments
                if beats == 10:
                    break
        task = await stage.created()
        assert task_versions(await taken(stream, 1)) == [(str(task.id), 1)]


async def test_an_old_stream_ends_and_is_resumed(stage: Stage) -> None:
    async with serving(stage.service, with_feed(stream_s=0.3)) as api:
        async with a_stream(api.http) as stream:
            blocks = await until(stream, "time to connect anew")
        last = next(block.id for block in reversed(blocks) if block.id)
        task = await stage.created()
        async with a_stream(api.http, last=last) as stream:
            assert task_versions(await taken(stream, 1)) == [(str(task.id), 1)]


async def test_there_are_no_more_streams_than_are_allowed(stage: Stage) -> None:
    async with serving(stage.service, with_feed(streams=2)) as api:
        async with a_stream(api.http), a_stream(api.http):
            refused = await api.get("/events")
            assert refused.status_code == 503
            assert refused.json()["type"] == "/problems/unavailable"
            assert int(refused.headers["Retry-After"]) >= 1

        async def is_let_in() -> bool:
            try:
                async with a_stream(api.http):
                    return True
            except AssertionError:
                return False

        await eventually(is_let_in, "a seat to be free")


async def test_a_cursor_before_what_is_kept_is_refused_with_advice(
    api: Served, stage: Stage
) -> None:
    for _ in range(5):
        await stage.created()
        await all_numbered(stage)
    await stage.sql.execute(
        "UPDATE taskmill.change_batch SET at = now() - interval '8 days' WHERE position < 4"
    )
    await housekeeping(stage)()
    for options in (
        {"headers": {"Last-Event-ID": "2.1"}},
        {"params": {"after": "2.1"}},
        # The cursor of a reader from before the first change.
        {"params": {"after": "0.0"}},
    ):
        refused = await api.get("/events", **options)
        assert refused.status_code == 410, refused.text
        problem = refused.json()
        assert problem["type"] == "/problems/changes-forgotten"
        assert problem["kept_days"] == 7
        assert "7 days" in problem["detail"]
        assert "after=0" in problem["detail"]
    async with a_stream(api.http, last="3.1") as stream:
        assert [c["cursor"] for c in await taken(stream, 2)] == ["4.1", "5.1"]
    async with a_stream(api.http, "?after=0") as stream:
        assert [c["cursor"] for c in await taken(stream, 3)] == ["3.1", "4.1", "5.1"]


async def test_a_stream_ends_when_changes_are_pruned_while_it_catches_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.operations.feed._CATCH_UP_PAGE", 2)
    for _ in range(8):
        await stage.created()
        await all_numbered(stage)
    pages = 0
    read = changes.read

    async def forgetting(database: Database, after: Cursor, limit: int) -> FeedPage:
        nonlocal pages
        pages += 1
        if pages == 3:
            await stage.sql.execute("DELETE FROM taskmill.change_batch WHERE position < 7")
        return await read(database, after, limit)

    monkeypatch.setattr(changes, "read", forgetting)
    async with serving(stage.service) as api, a_stream(api.http, "?after=0") as stream:
        blocks = await until(stream, "the changes that follow are no longer kept")
        cursors = [block.id for block in blocks if block.event]
        refused = await api.get("/events", headers={"Last-Event-ID": str(cursors[-1])})
        assert refused.status_code == 410


BAD = [
    ({"headers": {"Last-Event-ID": "x"}}, 400, "header:Last-Event-ID"),
    ({"headers": {"Last-Event-ID": ""}}, 400, "header:Last-Event-ID"),
    ({"headers": {"Last-Event-ID": "1.2.3"}}, 400, "header:Last-Event-ID"),
    ({"headers": {"Last-Event-ID": "1"}}, 400, "header:Last-Event-ID"),
    ({"headers": {"Last-Event-ID": "-1"}}, 400, "header:Last-Event-ID"),
    ({"headers": {"Last-Event-ID": "9" * 30}}, 400, "header:Last-Event-ID"),
    ({"headers": {"Last-Event-ID": "\u0661".encode()}}, 400, "header:Last-Event-ID"),
    (
        {"headers": [("Last-Event-ID", "1.1"), ("Last-Event-ID", "1.2")]},
        422,
        "header:Last-Event-ID",
    ),
    ({"params": {"after": "soon"}}, 400, "query:after"),
    ({"params": {"after": "999999.1"}}, 400, "query:after"),
    ({"params": {"queue": "A B"}}, 422, "query:queue"),
    ({"params": {"status": "done"}}, 422, "query:status"),
    ({"params": {"task": "{" + str(uuid4()) + "}"}}, 422, "query:task"),
    ({"params": {"task": "0"}}, 422, "query:task"),
    ({"params": {"label": "a=b"}}, 422, "query:label"),
    ({"params": [("after", "0"), ("after", "1")]}, 422, "query:after"),
]


@pytest.mark.parametrize(("options", "status", "pointer"), BAD)
async def test_invalid_parameters_are_refused(
    api: Served, stage: Stage, options: dict[str, Any], status: int, pointer: str
) -> None:
    await stage.created()
    await all_numbered(stage)
    refused = await api.get("/events", **options)
    assert refused.status_code == status, refused.text
    assert refused.json()["errors"][0]["pointer"] == pointer


async def test_a_head_request_ends_at_once(api: Served) -> None:
    response = await api.http.head("/events")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream"
    assert (await api.get("/stats")).status_code == 200


async def test_changes_of_dropped_tasks_are_skipped(api: Served, stage: Stage) -> None:
    tasks = [await stage.created() for _ in range(3)]
    await all_numbered(stage)
    await stage.sql.execute("DELETE FROM taskmill.dispatch")
    await stage.sql.execute("DELETE FROM taskmill.task WHERE id = $1", tasks[1].id)
    async with a_stream(api.http, "?after=0") as stream:
        assert [c["task_id"] for c in await taken(stream, 2)] == [
            str(tasks[0].id),
            str(tasks[2].id),
        ]
    async with a_stream(api.http, last="1.1") as stream:
        assert [c["task_id"] for c in await taken(stream, 1)] == [str(tasks[2].id)]


async def test_a_stream_outlives_an_outage_of_the_database(stage: Stage) -> None:
    async with a_network(stage.url) as (network, through), a_stage(through) as cut_off:
        settings = with_feed(heartbeat_s=0.1)
        async with serving(cut_off.service, settings) as api:
            first = await stage.created()
            await all_numbered(stage)
            async with a_stream(api.http, "?after=0") as stream, a_stream(api.http) as late:
                assert task_versions(await taken(stream, 1)) == [(str(first.id), 1)]
                await until(late, "live")
                network.refuse(refuses=True)
                network.break_all()
                for one in (stream, late):
                    for _ in range(3):
                        await until(one, "heartbeat")
                missed = await stage.service.create_all([a_draft() for _ in range(20)])
                await all_numbered(stage)
                await until(late, "heartbeat")
                network.refuse(refuses=False)
                for one in (stream, late):
                    seen = await taken(one, 20)
                    assert {c["task_id"] for c in seen} == {str(m.task.id) for m in missed}


async def test_a_stream_that_catches_up_outlives_an_outage(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.operations.feed._CATCH_UP_PAGE", 5)
    monkeypatch.setattr("taskmill.operations.listeners._OUTAGE_PAUSE_S", 0.05)
    await stage.service.create_all([a_draft() for _ in range(40)])
    await all_numbered(stage)
    async with a_network(stage.url) as (network, through), a_stage(through) as cut_off:
        read, pages = changes.read, 0

        async def breaking(database: Database, after: Cursor, limit: int) -> FeedPage:
            nonlocal pages
            pages += 1
            if pages in {3, 5}:
                network.break_all()
            network.refuse(refuses=3 <= pages < 8)
            return await read(database, after, limit)

        monkeypatch.setattr(changes, "read", breaking)
        async with serving(cut_off.service) as api, a_stream(api.http, "?after=0") as stream:
            seen = await taken(stream, 40)
            assert [c["cursor"] for c in seen] == [f"1.{n}" for n in range(1, 41)]
