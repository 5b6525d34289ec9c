"""A service for the whole session, in a thread of its own: Schemathesis runs outside of any loop."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import pytest

from taskmill.settings import FeedSettings, PullSettings, Settings
from tests.support.api import serving
from tests.support.postgres import DatabaseServer
from tests.support.stage import a_stage, stage_template

__all__ = ["stage_template"]


# Streams and long polls end soon, so that each is a response.
SETTINGS = Settings(feed=FeedSettings(stream_s=0.05, wait_s=0.05), pull=PullSettings(wait_s=0.05))


@dataclass(frozen=True)
class RunningService:
    """The service's URL, and tasks that it has, in several statuses."""

    url: str
    task_ids: tuple[str, ...]


@pytest.fixture(scope="session")
def service(database_server: DatabaseServer, stage_template: str) -> Iterator[RunningService]:
    """A service with the usual settings, but for streams."""
    url = database_server.create(template=stage_template)
    ready: Future[RunningService] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(_serve(url, ready, stop),))
    thread.start()
    try:
        yield ready.result(timeout=30)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
        database_server.drop(url)


async def _serve(url: str, ready: "Future[RunningService]", stop: asyncio.Event) -> None:
    try:
        async with a_stage(url) as stage, serving(stage.service, SETTINGS) as served:
            lease_id = await stage.open_lease()
            running = await stage.running(lease_id)
            cancelled = await stage.created()
            await stage.service.cancel(cancelled.id)
            waiting = await stage.created()
            ids = (running.task.id, cancelled.id, waiting.id)
            ready.set_result(RunningService(served.url, tuple(map(str, ids))))
            await stop.wait()
    except BaseException as error:
        if not ready.done():
            ready.set_exception(error)
        raise
