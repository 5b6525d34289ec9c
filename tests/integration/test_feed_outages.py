"""Streams outlive an outage of the database, and changes that can't be read yet."""

import pytest

from taskmill.domain.feed import Cursor, FeedPage
from taskmill.storage import changes
from taskmill.storage.database import Database
from tests.support.api import LogLines, Served, serving
from tests.support.builders import a_draft
from tests.support.feed import a_stream, all_numbered, taken, task_versions, until, with_feed
from tests.support.polling import eventually
from tests.support.proxy import a_network
from tests.support.stage import Stage, a_stage

pytestmark = pytest.mark.usefixtures("numbered")


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
                missed = await stage.creation.create_all([a_draft() for _ in range(20)])
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
    await stage.creation.create_all([a_draft() for _ in range(40)])
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
