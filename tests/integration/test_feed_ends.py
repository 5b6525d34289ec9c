"""How streams end: when the server stops, when they are old, and when there are too many."""

import asyncio

import pytest

from tests.support.api import SETTINGS, serving
from tests.support.feed import a_stream, taken, task_versions, until, with_feed
from tests.support.polling import eventually
from tests.support.stage import Stage

pytestmark = pytest.mark.usefixtures("numbered")


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
