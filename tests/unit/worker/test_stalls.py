"""A handler that blocks the event loop is named."""

import asyncio
import time

from taskmill.app import Context
from taskmill.runtime.clock import SystemClock
from taskmill.worker.stalls import StallWatch
from tests.support.api import LogLines, log_lines
from tests.support.attempts import a_pool
from tests.support.polling import eventually

__all__ = ["log_lines"]


def blocks(seconds: float) -> None:
    time.sleep(seconds)


async def test_the_handler_and_its_location_are_logged_once(log_lines: LogLines) -> None:
    async def handler(context: Context) -> None:
        if context.task.id.int == 2:
            blocks(0.8)
        else:
            await asyncio.sleep(0)

    stop, other, running = asyncio.Event(), a_pool({}), a_pool({"*": handler})
    async with asyncio.TaskGroup() as group:
        watch = StallWatch(SystemClock(), [other.pool, running.pool], longest_s=0.3)
        group.create_task(watch.run(stop))
        await asyncio.sleep(0)
        async with running.open():
            blocking = [running.start(number) for number in (1, 2)][1]
        await eventually(lambda: is_reported(log_lines), "a warning")
        stop.set()
    [line] = log_lines.named("handler.blocks_loop")
    assert (line["type"], line["task_id"]) == (blocking.task.type, str(blocking.task.id))
    assert "in blocks" in line["at"]
    assert line["blocked_s"] >= 0.3


async def test_a_loop_that_other_code_blocks_is_logged_too(log_lines: LogLines) -> None:
    stop, running = asyncio.Event(), a_pool({})
    async with asyncio.TaskGroup() as group:
        group.create_task(StallWatch(SystemClock(), [running.pool], longest_s=0.2).run(stop))
        await asyncio.sleep(0)
        blocks(0.5)
        stop.set()
    [line] = log_lines.named("loop.blocked")
    assert "in blocks" in line["at"]


async def is_reported(log_lines: LogLines) -> bool:
    return bool(log_lines.named("handler.blocks_loop"))
