"""A job that is slower than its interval: its schedule keeps its times, and says what became of each tick."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from taskmill.domain.fires import Fire, FireCause, FireOutcome
from taskmill.domain.lifecycle import Cancelled, Succeeded
from taskmill.storage.claims import TakenTask
from tests.support.safety import assert_safe
from tests.support.scheduling import Scheduler
from tests.support.stage import Stage
from tests.support.verifying import found_in

CREATED, HELD, OVERLAP = FireOutcome.CREATED, FireOutcome.HELD, FireOutcome.SKIPPED_OVERLAP
HOUR = timedelta(hours=1)
TICKS = 7


class _Worker:
    """Takes each task when it is made, and takes so many intervals for it, or until it is asked to cancel."""

    def __init__(self, stage: Stage, intervals: int) -> None:
        self._stage = stage
        self._intervals = intervals
        self._running: dict[UUID, tuple[int, TakenTask, UUID]] = {}

    async def work(self, now: int) -> None:
        """End what takes no longer than until `now`, in intervals; then take what waits."""
        for task_id, (began, taken, lease) in list(self._running.items()):
            if (await self._stage.task(task_id)).cancel_requested:
                await self._stage.end(taken, lease, Cancelled())
            elif now - began >= self._intervals:
                await self._stage.end(taken, lease, Succeeded())
            else:
                continue
            del self._running[task_id]

    async def take(self, now: int) -> None:
        """Begin all that waits."""
        lease = await self._stage.open_lease()
        for taken in await self._stage.take(lease):
            self._running[taken.task.id] = now, taken, lease


async def _fires_of_a_slow_job(scheduler: Scheduler, overlap: str) -> list[Fire]:
    """Let a tick come each hour, whose task takes three; return what became of them."""
    anchor = await scheduler.now() - timedelta(seconds=5)
    await scheduler.put(every="PT1H", anchor=anchor.isoformat(), overlap=overlap)
    worker = _Worker(scheduler.stage, intervals=3)
    for hour in range(TICKS):
        await worker.work(hour)
        await scheduler.age(HOUR)
        await scheduler.fire()
        await worker.take(hour)
    return await scheduler.fires()


@pytest.mark.parametrize(
    ("overlap", "outcomes"),
    [
        ("allow", [CREATED] * TICKS),
        ("skip", [CREATED, OVERLAP, OVERLAP, CREATED, OVERLAP, OVERLAP, CREATED]),
        ("hold_one", [CREATED, CREATED, OVERLAP, CREATED, OVERLAP, OVERLAP, HELD]),
        ("cancel_running", [CREATED] * TICKS),
    ],
)
async def test_a_job_that_is_slower_than_its_interval_does_not_stretch_its_schedule(
    stage: Stage, overlap: str, outcomes: Sequence[FireOutcome]
) -> None:
    scheduler = Scheduler(stage)
    fires = await _fires_of_a_slow_job(scheduler, overlap)
    assert [fire.outcome for fire in fires] == outcomes
    ticks = [fire.tick for fire in fires]
    assert {after - before for before, after in pairwise(ticks)} == {HOUR}
    assert {fire.cause for fire in fires} == {FireCause.TICK}
    made = [fire.task_id for fire in fires if fire.outcome is CREATED]
    assert sorted(made, key=str) == sorted(
        (task["id"] for task in await scheduler.tasks()), key=str
    )
    cancelled = [fire.cancelled_task_id for fire in fires]
    assert cancelled == ([None, *made[:-1]] if overlap == "cancel_running" else [None] * TICKS)
    assert await found_in(scheduler.database) == {}
    await assert_safe(stage.sql)
