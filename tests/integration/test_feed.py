"""GET /events: what a stream sends, where it begins, what it leaves out, and what it refuses."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from taskmill.domain.feed import Cursor
from taskmill.domain.lifecycle import Succeeded
from taskmill.wire.feed import ChangeView
from tests.support.api import Served, serving
from tests.support.builders import a_draft
from tests.support.feed import a_stream, all_numbered, taken, task_versions, until, with_feed
from tests.support.stage import Stage

pytestmark = pytest.mark.usefixtures("numbered")


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
    made = await stage.creation.create_all([a_draft() for _ in range(5)])
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
        await stage.creation.create_all([a_draft() for _ in range(1000)])
        await all_numbered(stage)
        await taken(other, 1000)
        async with a_stream(api.http, "?after=0") as stream:
            blocks = await until(stream, "live")
        assert sum(block.event is not None for block in blocks) == 1000


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
