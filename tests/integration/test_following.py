"""Following the feed over connections that are cut again and again: no change is missed or repeated."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from taskmill.client import AsyncTaskmillClient, NotAccepted, TaskmillClient, Unreachable
from taskmill.client.json_text import read_json
from taskmill.client.views.feed import ChangeView
from taskmill.domain.lifecycle import Status
from tests.support.api import LogLines, Served, serving
from tests.support.builders import a_draft
from tests.support.cutting import Cutter, a_cutter
from tests.support.dispatching import Recorder
from tests.support.fake_service import unused_url
from tests.support.feed import a_numbering, a_stream, all_numbered
from tests.support.fleet import a_fleet
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_stage
from tests.support.views import a_view
from tests.support.workers import a_worker

Received = list[tuple[str, int]]


@pytest.fixture(autouse=True)
def reconnect_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect at once: the tests cut very often."""
    monkeypatch.setattr("taskmill.client.following._FIRST_PAUSE_S", 0.01)


async def recorded_changes(sql: "asyncpg.Connection[asyncpg.Record]") -> Received:
    rows = await sql.fetch("SELECT task_id, version FROM taskmill.task_history ORDER BY 1, 2")
    return [(str(row["task_id"]), row["version"]) for row in rows]


def assert_complete(received: Received, history: Received) -> None:
    """Fail unless each change was received once, and those of a task in order."""
    assert len(received) == len(set(received)), "some came twice"
    assert sorted(received) == history, "some are missing"
    last: dict[str, int] = {}
    for task_id, version in received:
        assert version == last.get(task_id, 0) + 1, "out of order"
        last[task_id] = version


async def raw_reading(cutter: Cutter, received: Received, enough: asyncio.Event) -> None:
    """Read like any standard client: connect, read, remember the id, connect again."""
    last: str | None = "0"
    async with httpx.AsyncClient(base_url=cutter.url, timeout=20) as http:
        while not enough.is_set():
            try:
                async with a_stream(http, last=last) as stream:
                    async for block in stream:
                        last = block.id or last
                        if block.event:
                            change = block.change
                            received.append((change["task_id"], change["version"]))
            except httpx.TransportError:
                continue


@asynccontextmanager
async def cutting(cutter: Cutter, interval_s: float) -> AsyncIterator[None]:
    """Cut all connections at this interval, until shortly before the end."""
    stop = asyncio.Event()

    async def cut() -> None:
        while not stop.is_set():
            cutter.cut()
            try:
                async with asyncio.timeout(interval_s):
                    await stop.wait()
            except TimeoutError:
                continue

    async with asyncio.TaskGroup() as group:
        group.create_task(cut())
        try:
            yield
        finally:
            stop.set()


async def read_all(received: Received, history: Received) -> None:
    async def check() -> bool:
        return len(set(received)) >= len(history)

    await eventually(check, f"{len(history)} changes to be received", timeout_s=60)


async def test_nothing_is_missed_however_often_the_connection_is_cut(stage: Stage) -> None:
    """With two servers that alternate, workers, cancels and retries."""
    recorder, received, enough = Recorder(), Received(), asyncio.Event()
    async with (
        a_numbering(stage.database),
        serving(stage.service) as one,
        serving(stage.service) as two,
        a_cutter(one.url, two.url) as cutter,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(raw_reading(cutter, received, enough))
        async with cutting(cutter, 0.05), a_worker(stage, {"*": recorder.quick}):
            made = []
            for _ in range(40):
                made += await stage.creation.create_all([a_draft() for _ in range(5)])
                await all_numbered(stage)
            await recorder.has_begun(200, timeout_s=60)
        history = await recorded_changes(stage.sql)
        await read_all(received, history)
        enough.set()
        cutter.cut()
    assert cutter.connections > 10
    assert len(history) == 600
    assert_complete(received, history)
    await assert_safe(stage.sql)


async def _all_ended(sql: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    async def check() -> bool:
        ended = await sql.fetchval(
            "SELECT count(*) FROM taskmill.current_task WHERE status = 'succeeded'"
        )
        return bool(ended == count)

    await eventually(check, f"{count} tasks to end", timeout_s=240)


@pytest.mark.slow
async def test_nothing_of_20000_changes_is_missed_over_processes(
    stage_url: str, tmp_path: Path
) -> None:
    """With two API processes that alternate, two workers, and tasks over HTTP, while connections are cut."""
    count, received, enough = 6700, Received(), asyncio.Event()
    env = {"TASKMILL_API__PORT": "0"}
    sql = await asyncpg.connect(stage_url)
    with a_fleet(
        tmp_path, database_url=stage_url, env=env, api=2, worker=2, maintenance=1
    ) as fleet:
        urls = [program.facts["url"] for program in fleet.of("api")]
        async with a_cutter(*urls) as cutter, asyncio.TaskGroup() as group:
            group.create_task(raw_reading(cutter, received, enough))
            async with cutting(cutter, 0.1), httpx.AsyncClient(timeout=60) as http:
                task = {"name": "t", "payload": {"delay_s": 0, "failure_probability": 0}}
                for number in range(count // 50):
                    created = await http.post(f"{urls[number % 2]}/tasks/batch", json=[task] * 50)
                    assert created.status_code == 201, created.text
                await _all_ended(sql, count)
            history = await recorded_changes(sql)
            await read_all(received, history)
            enough.set()
            cutter.cut()
    await sql.close()
    assert len(history) == 3 * count > 20_000
    assert cutter.connections > 10
    assert_complete(received, history)


async def test_the_asynchronous_client_resumes_by_itself(stage: Stage) -> None:
    received: Received = []
    async with (
        a_numbering(stage.database),
        serving(stage.service) as one,
        a_cutter(one.url) as cutter,
        AsyncTaskmillClient(cutter.url) as client,
    ):
        await stage.created(queue="other")
        begun = asyncio.Event()

        async def follow() -> None:
            async for change in client.feed(after="0", queue="default"):
                begun.set()
                received.append((str(change.task_id), change.version))
                if len(received) == 101:
                    return

        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            await stage.created()
            await begun.wait()
            async with cutting(cutter, 0.03):
                for _ in range(20):
                    await stage.creation.create_all([a_draft() for _ in range(5)])
                    await all_numbered(stage)
    assert cutter.connections > 3
    history = await recorded_changes(stage.sql)
    assert len(set(received)) == 101
    assert set(received) < set(history)


async def test_the_synchronous_client_resumes_by_itself(stage: Stage) -> None:
    async with (
        a_numbering(stage.database),
        serving(stage.service) as one,
        a_cutter(one.url) as cutter,
    ):
        await stage.created()

        def follow() -> list[ChangeView]:
            found = []
            with TaskmillClient(cutter.url) as client:
                for change in client.feed(after="0"):
                    found.append(change)
                    begun.set()
                    if len(found) == 51:
                        break
            return found

        begun = threading.Event()
        async with asyncio.TaskGroup() as group:
            following = group.create_task(asyncio.to_thread(follow))
            assert await asyncio.to_thread(begun.wait, 15)
            async with cutting(cutter, 0.03):
                for _ in range(10):
                    await stage.creation.create_all([a_draft() for _ in range(5)])
                    await all_numbered(stage)
        found = following.result()
    assert sorted((str(c.task_id), c.version) for c in found) == await recorded_changes(stage.sql)
    assert {change.status for change in found} == {Status.NEW}


async def test_the_feed_without_following_ends_when_caught_up(api: Served, stage: Stage) -> None:
    # Characters at which Python cuts lines, but the standard does not.
    name = "one\u2028two\x85three\x0bfour"
    async with a_numbering(stage.database), AsyncTaskmillClient(api.url) as client:
        task = await stage.created(name=name)
        await stage.created(queue="other")

        async def check() -> list[ChangeView]:
            return [c async for c in client.feed(after="0", follow=False, queue="default")]

        [change] = await eventually(check, "the change to be numbered")
        assert (change.task_id, change.name) == (task.id, name)
        assert [c async for c in client.feed(after=change.cursor, follow=False, queue="x")] == []


async def test_a_refusal_of_the_service_reaches_the_client(api: Served, stage: Stage) -> None:
    await stage.created()
    async with AsyncTaskmillClient(api.url) as client:
        with pytest.raises(NotAccepted) as refused:
            await anext(client.feed(after="nonsense"))
        assert refused.value.status == 400
        with pytest.raises(NotAccepted) as refused:
            await anext(client.feed(status="done"))
        assert refused.value.status == 422
    async with AsyncTaskmillClient(unused_url(), retries=1) as client:
        with pytest.raises(Unreachable):
            await anext(client.feed())


async def test_waiting_for_a_task_polls_seldom_and_ends_soon(
    api: Served, stage: Stage, log_lines: LogLines
) -> None:
    task = await stage.created()
    async with a_numbering(stage.database), AsyncTaskmillClient(api.url) as client:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(client.wait(task.id, timeout_s=30))

            async def holds() -> bool:
                return bool(api.app._context.feed._watches)

            await eventually(holds, "the response to be held")
            await stage.service.cancel(task.id)
        assert waiting.result().status is Status.CANCELLED
    requests = [line for line in log_lines.named("request.served") if "/tasks/" in line["path"]]
    assert [line["status"] for line in requests] == [200, 200]


@pytest.fixture
def taskmill_url(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands use the service of the test."""
    monkeypatch.setenv("TASKMILL_URL", api.url)


@pytest.mark.usefixtures("taskmill_url")
async def test_the_command_prints_the_feed(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    from taskmill.cli.main import run  # noqa: PLC0415 - slow to import

    tasks = [await stage.created(queue="reports"), await stage.created()]
    await stage.service.cancel(tasks[0].id)
    async with a_numbering(stage.database):

        async def check() -> str:
            capsys.readouterr()
            assert await asyncio.to_thread(run, ["events", "--queue", "reports"]) == 0
            out = capsys.readouterr().out
            return out if out.count(str(tasks[0].id)) == 2 else ""

        out = await eventually(check, "both changes to be printed")
        lines = [line.split() for line in out.splitlines() if str(tasks[0].id) in line]
        assert [line[1] for line in lines if line[2] == str(tasks[0].id)] == [
            "created",
            "cancelled",
        ]
        arguments = ["events", "--status", "cancelled", "--json"]
        assert await asyncio.to_thread(run, arguments) == 0
        # The service, in this process, writes its log there, too.
        [line] = [one for one in capsys.readouterr().out.splitlines() if one.startswith("{")]
        change = a_view(ChangeView, read_json(line))
        assert (change.task_id, change.version) == (tasks[0].id, 2)
        assert await asyncio.to_thread(run, ["events", "--after", "99.9"]) == 1
        assert "cursor" in capsys.readouterr().err


async def test_two_streams_of_different_servers_have_the_same_changes(stage: Stage) -> None:
    async with (
        a_stage(stage.url) as other,
        a_numbering(stage.database),
        serving(stage.service) as one,
        serving(other.service) as two,
    ):
        for _ in range(10):
            await stage.creation.create_all([a_draft() for _ in range(7)])
        lists = []
        for url in (one.url, two.url):
            async with AsyncTaskmillClient(url) as client:

                async def check(client: AsyncTaskmillClient = client) -> list[str]:
                    found = [c.cursor async for c in client.feed(after="0", follow=False)]
                    return found if len(found) == 70 else []

                lists.append(await eventually(check, "all changes"))
        assert lists[0] == lists[1]
