"""The page of events: the latest ones, its filter, and the stream that goes on from there."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from taskmill.domain.lifecycle import Failed
from taskmill.storage import changes
from tests.support.api import Served
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.builders import ERROR
from tests.support.feed import a_numbering, all_numbered
from tests.support.pages import serving_pages
from tests.support.stage import Stage
from tests.support.visitors import FORM, visitor

STREAM = re.compile(r'data-stream="([^"]+)"')


async def numbered(stage: Stage) -> None:
    while await changes.number(stage.maintenance_database, 1000):
        pass


def names_of(html: str) -> list[str]:
    return re.findall(r'<a href="/ui/tasks/[^"]+" dir="auto"><bdi>([^<]*)</bdi></a>', html)


def stream_of(html: str) -> str:
    [address] = STREAM.findall(html)
    return str(address.replace("&amp;", "&"))


@asynccontextmanager
async def following(
    pages: Served, path: str, headers: dict[str, str] | None = None
) -> AsyncIterator[AsyncIterator[tuple[str, int]]]:
    """Open a stream; yield the rows that come, each time with how many there were."""
    async with (
        asyncio.timeout(20),
        pages.http.stream("GET", path, headers=headers or {}) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"

        async def parts() -> AsyncIterator[tuple[str, int]]:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    found = orjson.loads(line.removeprefix("data: "))
                    yield found["rows"], found["count"]

        yield parts()


async def test_the_latest_events_come_first_with_what_happened(pages: Served, stage: Stage) -> None:
    assert "Nothing has happened yet" in (await pages.get("/ui/events")).text
    lease = await stage.open_lease()
    task = await stage.running(lease, name="<b>a task</b>", queue="mail", type="send")
    await stage.end(task, lease, Failed(error=ERROR))
    await stage.created(name="another", queue="news")
    await numbered(stage)
    html = (await pages.get("/ui/events")).text
    first = "&lt;b&gt;a task&lt;/b&gt;"
    assert names_of(html) == ["another", first, first, first]
    assert ">Failed</span>" in html
    assert "ValueError" in html
    for query, count in (
        ("queue=mail", 3),
        ("type=send&event=failed", 1),
        ("event=claimed", 1),
        ("queue=none", 0),
    ):
        found = (await pages.get(f"/ui/events?{query}")).text
        assert len(names_of(found)) == count, query
    for query in ("queue=No!", "event=lunch", "before=x", "before=1.2.3"):
        assert (await pages.get(f"/ui/events?{query}")).status_code == 422
    assert (await pages.get("/ui/events/stream?after=x")).status_code == 422


async def test_events_are_paged_back_to_the_first(pages: Served, stage: Stage) -> None:
    for number in range(3):
        await stage.sql.execute(
            "INSERT INTO taskmill.change_batch (task_ids, versions, position)"
            " SELECT array_agg(gen_random_uuid()), array_agg(1), $1 FROM generate_series(1, 150)",
            number + 2,
        )
    task = await stage.created(name="the first")
    await stage.sql.execute("UPDATE taskmill.change_batch SET position = 1 WHERE position IS NULL")
    page = (await pages.get("/ui/events")).text
    assert "Nothing among the latest 300" in page
    older = re.findall(r'rel="next" href="([^"]+)"', page)[0].replace("&amp;", "&")
    second = (await pages.get(older)).text
    assert names_of(second) == ["the first"]
    assert str(task.id) in second
    assert "data-stream" not in second
    assert 'rel="next"' not in second


async def test_the_stream_goes_on_where_the_page_ends(pages: Served, stage: Stage) -> None:
    async with a_numbering(stage.database):
        await stage.created(name="seen")
        await all_numbered(stage)
        address = stream_of((await pages.get("/ui/events?queue=default&event=created")).text)
        await stage.created(name="meanwhile")
        await stage.created(name="elsewhere", queue="other")
        async with following(pages, address) as parts:
            rows, count = await anext(parts)
            assert (names_of(rows), count) == (["meanwhile"], 1)
            lease = await stage.open_lease()
            await stage.running(lease, name="later <i>")
            rows, count = await anext(parts)
            assert (names_of(rows), count) == (["later &lt;i&gt;"], 1)
            assert 'class="status new"' in rows


async def test_of_many_events_at_once_the_newest_are_sent_and_all_are_counted(
    pages: Served, stage: Stage
) -> None:
    address = stream_of((await pages.get("/ui/events")).text)
    for number in range(120):
        await stage.created(name=f"task {number}")
    await numbered(stage)
    shown: list[str] = []
    counted = 0
    async with following(pages, address) as parts:
        async for rows, count in parts:
            assert len(names_of(rows)) <= 50
            shown, counted = [*names_of(rows), *shown], counted + count
            if counted >= 120:
                break
    assert counted == 120
    assert shown[0] == "task 119"


async def test_a_stream_whose_place_is_gone_goes_on_at_the_present(
    pages: Served, stage: Stage
) -> None:
    async with a_numbering(stage.database):
        await stage.created()
        await all_numbered(stage)
        for after in ("0", "99.1"):
            async with following(pages, f"/ui/events/stream?after={after}") as parts:
                await stage.created(name=f"after {after}")
                while f"after {after}" not in names_of((await anext(parts))[0]):
                    pass


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


async def test_who_sees_some_queues_gets_their_events_only(closed: Served, stage: Stage) -> None:
    session = await visitor(closed, stage, "tasks:read queue=mail")
    async with a_numbering(stage.database):
        for queue in ("mail", "foreign"):
            await stage.created(name=f"in {queue}", queue=queue)
        await all_numbered(stage)
        html = (await closed.get("/ui/events", headers=session)).text
        assert names_of(html) == ["in mail"]
        assert "foreign" not in html
        async with following(closed, stream_of(html), session) as parts:
            await stage.created(name="of others", queue="foreign")
            await stage.created(name="own", queue="mail")
            rows, count = await anext(parts)
    assert (names_of(rows), count) == (["own"], 1)


async def test_a_stream_of_events_ends_with_its_session(closed: Served, stage: Stage) -> None:
    session = await visitor(closed, stage, "tasks:read")
    async with a_numbering(stage.database):
        await stage.created()
        await all_numbered(stage)
        address = stream_of((await closed.get("/ui/events", headers=session)).text)
        async with following(closed, address, session) as parts:
            await stage.created(name="before")
            assert names_of((await anext(parts))[0]) == ["before"]
            left = await closed.post("/ui/logout", b"", headers=session | FORM)
            assert left.status_code == 303
            await stage.created(name="after")
            assert [rows async for rows, _ in parts] == []


async def test_pages_of_events_and_streams_of_the_api_have_one_quota(stage: Stage) -> None:
    async with serving_pages(stage, REQUIRED) as pages:
        for first, second in (("/ui/events/stream", "/events"), ("/events", "/ui/events/stream")):
            key = await a_new_key(stage.database, "tasks:read", quotas=("streams=1",))
            async with following(pages, first, shown(key)):
                refused = await pages.get(second, headers=shown(key))
                assert refused.status_code == 409
