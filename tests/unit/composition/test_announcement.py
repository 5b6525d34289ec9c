"""A process is announced when it serves, and never once it stops."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taskmill.composition.announcement import Announcement
from taskmill.composition.process import Process
from taskmill.settings import load


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    process = Process(load(database_url="postgresql://127.0.0.1:1/none"))
    yield process
    await process.close()


class AFront:
    """A front that serves, or never does."""

    def __init__(self, *, serves: bool) -> None:
        self.url: str | None = "http://127.0.0.1:1"
        self.started = asyncio.Event()
        if serves:
            self.started.set()


@pytest.mark.parametrize("serves", [False, True])
async def test_what_stops_is_not_announced(
    serves: bool,  # noqa: FBT001 - a parameter
    process: Process,
    tmp_path: Path,
) -> None:
    announced: list[str | None] = []
    stop = asyncio.Event()
    stop.set()
    announcement = Announcement([tmp_path / "ready"], announced.append, AFront(serves=serves))
    announcement.process = process
    async with asyncio.timeout(5):
        await announcement.run(stop)
    assert not announced
    assert not os.listdir(tmp_path)  # noqa: PTH208 - the loop has nothing else to do


async def test_a_stop_ends_the_wait_for_a_front_that_never_serves(
    process: Process, tmp_path: Path
) -> None:
    stop = asyncio.Event()
    announcement = Announcement([tmp_path / "ready"], lambda _: None, AFront(serves=False))
    announcement.process = process
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(announcement.run(stop))
        await asyncio.sleep(0)
        assert not waiting.done()
        stop.set()
