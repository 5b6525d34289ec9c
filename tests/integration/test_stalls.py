"""A handler that blocks the event loop is named."""

import asyncio
import time
from uuid import UUID

from taskmill.domain.lifecycle import Outcome, Succeeded
from taskmill.domain.task import Fence
from taskmill.runtime.clock import SystemClock
from taskmill.worker.finishing import Attempt
from taskmill.worker.runs import Run, Runs
from taskmill.worker.stalls import StallWatch
from tests.support.api import LogLines
from tests.support.contexts import CLAIMED
from tests.support.polling import eventually


def blocks(seconds: float) -> None:
    time.sleep(seconds)


async def test_the_handler_and_the_place_are_told_once(log_lines: LogLines) -> None:
    clock, stop = SystemClock(), asyncio.Event()

    async def work(_: Run) -> Outcome:
        blocks(0.8)
        return Succeeded()

    async def record(run: Run, _: Outcome) -> None:
        runs.recorded(run)

    runs = Runs(worker="w", work=work, record=record, freed=lambda: None, patience_s=1)
    fence = Fence(task_id=CLAIMED.id, lease_id=UUID(int=2), claim_no=CLAIMED.claim_no)
    async with asyncio.TaskGroup() as group:
        group.create_task(StallWatch(clock, longest_s=0.3).run(stop))
        await asyncio.sleep(0)
        async with runs:
            runs.start(Attempt(task=CLAIMED, fence=fence, began_at=0))
        await eventually(lambda: told(log_lines), "a warning")
        stop.set()
    [line] = log_lines.named("handler.blocks_loop")
    assert (line["type"], line["task_id"]) == (CLAIMED.type, str(CLAIMED.id))
    assert "in blocks" in line["at"]
    assert line["blocked_s"] >= 0.3


async def test_a_loop_that_somebody_else_blocks_is_told_too(log_lines: LogLines) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(StallWatch(SystemClock(), longest_s=0.2).run(stop))
        await asyncio.sleep(0)
        blocks(0.5)
        stop.set()
    [line] = log_lines.named("loop.blocked")
    assert "in blocks" in line["at"]


async def told(log_lines: LogLines) -> bool:
    return bool(log_lines.named("handler.blocks_loop"))
