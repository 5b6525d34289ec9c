"""What a handler learns of the schedule that made its task."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from taskmill.app import Context, ScheduledTick
from taskmill.domain.fires import FireOutcome
from taskmill.domain.lifecycle import Status, Succeeded
from taskmill.operations.manual_fires import BackfillRequest
from taskmill.worker.calling import in_loop, in_processes, in_threads
from taskmill.worker.execution import execute
from taskmill.worker.scheduled_ticks import with_ticks
from taskmill.worker.threads import Threads
from tests.integration.isolated_app import ticks, ticks_in_loop
from tests.integration.test_isolation import a_pool
from tests.support.contexts import a_context
from tests.support.polling import eventually
from tests.support.scheduling import Scheduler
from tests.support.stage import Stage
from tests.support.workers import a_worker, finished


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


class Seen:
    """A handler that records the schedules of its contexts, oldest first."""

    def __init__(self) -> None:
        self.schedules: list[ScheduledTick | None] = []

    async def __call__(self, context: Context) -> None:
        self.schedules.append(context.schedule)


@asynccontextmanager
async def seeing(stage: Stage) -> AsyncIterator[Seen]:
    seen = Seen()
    async with a_worker(stage, {"*": with_ticks(seen, stage.database)}):
        yield seen


async def done(scheduler: Scheduler, count: int) -> None:
    """Wait until so many tasks of the schedule have ended."""
    tasks = await scheduler.tasks()
    assert len(tasks) == count
    for task in tasks:
        assert (await finished(scheduler.stage, task["id"])).status is Status.SUCCEEDED


async def test_a_handler_gets_its_tick_and_the_one_before(scheduler: Scheduler) -> None:
    await scheduler.due()
    await scheduler.fire()
    await scheduler.due()
    await scheduler.fire()
    first, second = [fire.tick for fire in await scheduler.fires()]
    async with seeing(scheduler.stage) as seen:
        await done(scheduler, 2)
    by_tick = {one.tick: one for one in seen.schedules if one is not None}
    assert by_tick == {
        first: ScheduledTick(name="report", tick=first),
        second: ScheduledTick(name="report", tick=second, previous_tick=first),
    }


async def test_the_tick_before_is_the_latest_that_made_a_task(scheduler: Scheduler) -> None:
    """What was skipped in between is the next task's to see to; a run by hand is no tick."""
    await scheduler.due()
    await scheduler.fire()
    await scheduler.manual.run("report", None)
    now = await scheduler.now()
    await scheduler.put(at=[(now - timedelta(minutes=n)).isoformat() for n in (20, 10)])
    await scheduler.age(timedelta(minutes=35))
    await scheduler.fire()
    first, by_hand, skipped, last = await scheduler.fires()
    assert skipped.outcome is FireOutcome.SKIPPED_MISSED
    async with seeing(scheduler.stage) as seen:
        await done(scheduler, 3)
    by_tick = {one.tick: one for one in seen.schedules if one is not None}
    assert by_tick[last.tick].previous_tick == first.tick
    assert by_tick[last.tick].is_catch_up
    assert not by_tick[first.tick].is_catch_up
    assert by_tick[by_hand.tick].previous_tick == first.tick


async def test_a_tick_that_is_made_up_for_by_hand_is_no_catch_up(scheduler: Scheduler) -> None:
    stored = await scheduler.put(every="PT1M")
    wanted = BackfillRequest(
        since=stored.cursor_at - timedelta(seconds=61),
        until=stored.cursor_at,
        priority=0,
        is_dry_run=False,
    )
    made = await scheduler.manual.backfill("report", wanted)
    async with seeing(scheduler.stage) as seen:
        await done(scheduler, len(made.ticks))
    assert {one.tick for one in seen.schedules if one} == set(made.ticks)
    assert not any(one.is_catch_up for one in seen.schedules if one)


async def test_every_attempt_of_a_task_has_the_same_tick(scheduler: Scheduler) -> None:
    tick = await scheduler.due(task={"name": "report", "max_attempts": 2})
    await scheduler.fire()
    seen = Seen()

    async def second_time(context: Context) -> None:
        await seen(context)
        if context.attempt == 1:
            raise ValueError("not yet")

    handler = with_ticks(second_time, scheduler.stage.database)
    async with a_worker(scheduler.stage, {"*": handler}):
        await done(scheduler, 1)
    assert seen.schedules == [ScheduledTick(name="report", tick=tick)] * 2


async def test_a_task_that_no_schedule_made_has_none_whatever_its_labels_say(stage: Stage) -> None:
    async with seeing(stage) as seen:
        for labels in ("{}", '{"schedule":"report"}', '{"other":"schedule"}'):
            made = await stage.created(labels=labels)
            await finished(stage, made.id)
    assert seen.schedules == [None, None, None]


async def test_the_tick_of_a_schedule_that_was_deleted_is_there(scheduler: Scheduler) -> None:
    tick = await scheduler.due()
    await scheduler.fire()
    await scheduler.schedules.delete("report")
    async with seeing(scheduler.stage) as seen:
        await done(scheduler, 1)
    assert seen.schedules == [ScheduledTick(name="report", tick=tick)]


async def test_a_tick_that_is_no_longer_stored_is_none(scheduler: Scheduler) -> None:
    await scheduler.due()
    await scheduler.fire()
    await scheduler.stage.sql.execute("DELETE FROM taskmill.schedule_fire")
    async with seeing(scheduler.stage) as seen:
        await done(scheduler, 1)
    assert seen.schedules == [None]


async def test_a_task_whose_tick_can_not_be_read_is_handed_back_and_waits(
    scheduler: Scheduler,
) -> None:
    tick = await scheduler.due()
    await scheduler.fire()
    sql = scheduler.stage.sql
    await sql.execute("ALTER TABLE taskmill.schedule_fire RENAME TO away")
    async with seeing(scheduler.stage) as seen:
        reason = "SELECT reason FROM taskmill.task_event WHERE event = 'handed_back' LIMIT 1"

        async def was_handed_back() -> bool:
            return bool(await sql.fetchval(reason) == "tick_unread")

        await eventually(was_handed_back, "its return")
        await sql.execute("ALTER TABLE taskmill.away RENAME TO schedule_fire")
        await done(scheduler, 1)
    assert seen.schedules == [ScheduledTick(name="report", tick=tick)]
    [task] = await scheduler.tasks()
    assert task["attempt"] == 1, "it has cost no attempt"


async def test_async_functions_plain_ones_and_isolated_ones_have_it(scheduler: Scheduler) -> None:
    tick = await scheduler.due()
    await scheduler.fire()
    [task] = await scheduler.tasks()
    context = a_context()
    context = replace(
        context,
        task=replace(context.task, id=task["id"], labels=task["labels"], type=ticks.name),
    )
    async with a_pool() as processes:
        for handler in (
            in_loop(ticks_in_loop),
            in_threads(ticks, Threads()),
            in_processes(ticks, processes),
        ):
            outcome = await execute(
                with_ticks(handler, scheduler.database), context, result_bytes=1000
            )
            assert isinstance(outcome, Succeeded)
            assert orjson.loads(outcome.result or "") == ["report", tick.isoformat()]
