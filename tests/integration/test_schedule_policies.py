"""What becomes of ticks that were missed, and of those that come while the task before has not ended."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from taskmill.domain.fires import FireCause, FireOutcome
from taskmill.domain.lifecycle import Status, Succeeded
from taskmill.storage import schedules as rows
from tests.support.safety import assert_safe
from tests.support.scheduling import Scheduler
from tests.support.stage import Stage
from tests.support.verifying import found_in

CREATED, HELD = FireOutcome.CREATED, FireOutcome.HELD
MISSED, OVERLAP = FireOutcome.SKIPPED_MISSED, FireOutcome.SKIPPED_OVERLAP
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"catch_up": "none"}, [(MISSED, 59), (CREATED, 1)]),
        ({"catch_up": "latest"}, [(MISSED, 59), (CREATED, 1)]),
        ({"catch_up": "all", "within": "PT2H"}, [(CREATED, 1)] * 60),
        ({"catch_up": "all", "most": 2}, [(MISSED, 58), (CREATED, 1), (CREATED, 1)]),
        ({"catch_up": "all", "within": "PT1S"}, [(MISSED, 60)]),
    ],
)
async def test_an_outage_of_an_hour_ends_as_the_policy_says(
    scheduler: Scheduler, policy: dict[str, Any], expected: list[tuple[FireOutcome, int]]
) -> None:
    """Each tick of the hour is accounted for, those that make no task in one row."""
    start = await scheduler.now()
    anchor = start - timedelta(seconds=30)
    await scheduler.put(every="PT1M", anchor=anchor.isoformat(), **policy)
    await scheduler.age(HOUR)
    await scheduler.fire()
    outcomes = await scheduler.outcomes()
    assert sum(ticks for _, ticks in outcomes) == 60
    assert outcomes == expected
    assert len(await scheduler.tasks()) == [outcome for outcome, _ in expected].count(CREATED)
    assert await found_in(scheduler.database) == {}
    await assert_safe(scheduler.stage.sql)


async def test_a_tick_that_is_caught_up_with_says_so(scheduler: Scheduler) -> None:
    await scheduler.put(every="PT10M", catch_up="all", within="PT3H")
    await scheduler.age(HOUR)
    await scheduler.fire()
    causes = await scheduler.causes()
    assert causes[0] is FireCause.CATCH_UP
    assert len(causes) == 6


async def test_a_short_stop_loses_no_tick(scheduler: Scheduler) -> None:
    await scheduler.put(every="PT5S", catch_up="none")
    await scheduler.age(timedelta(seconds=30))
    await scheduler.fire()
    assert await scheduler.outcomes() == [(CREATED, 1)] * 6
    assert set(await scheduler.causes()) == {FireCause.TICK}


async def _three_ticks(scheduler: Scheduler, overlap: str) -> list[tuple[FireOutcome, int]]:
    """Fire three ticks of a schedule whose tasks nobody runs."""
    await scheduler.put(every="PT1S", overlap=overlap)
    await scheduler.age(timedelta(seconds=3))
    await scheduler.duty()
    return (await scheduler.outcomes())[:3]


async def test_ticks_overlap_where_that_is_allowed(scheduler: Scheduler) -> None:
    assert await _three_ticks(scheduler, "allow") == [(CREATED, 1)] * 3


async def test_ticks_are_skipped_while_the_task_before_has_not_ended(scheduler: Scheduler) -> None:
    """A job that is slower than its interval: what became of each tick is there to read."""
    assert await _three_ticks(scheduler, "skip") == [(CREATED, 1), (OVERLAP, 1), (OVERLAP, 1)]
    assert len(await scheduler.tasks()) == 1
    await _end_all(scheduler.stage)
    await scheduler.age(timedelta(seconds=1))
    await scheduler.duty()
    assert len(await scheduler.tasks()) == 2


async def test_one_tick_is_held_until_the_task_before_has_ended(scheduler: Scheduler) -> None:
    outcomes = await _three_ticks(scheduler, "hold_one")
    assert outcomes == [(CREATED, 1), (HELD, 1), (OVERLAP, 1)]
    held = (await scheduler.get()).held_tick
    assert held == (await scheduler.fires())[1].tick
    await _end_all(scheduler.stage)
    await scheduler.stage.sql.execute("UPDATE taskmill.schedule_cursor SET next_at = now()")
    await scheduler.duty()
    [_, was_held, *_] = await scheduler.fires()
    assert (was_held.tick, was_held.outcome) == (held, CREATED)
    assert was_held.task_id in {task["id"] for task in await scheduler.tasks()}
    assert await found_in(scheduler.database) == {}
    await assert_safe(scheduler.stage.sql)


async def test_a_held_tick_is_looked_at_once_a_second(scheduler: Scheduler) -> None:
    await _one_task(scheduler, overlap="hold_one")
    await scheduler.age(MINUTE)
    await scheduler.duty()
    schedule = await scheduler.get()
    assert schedule.held_tick is not None
    assert schedule.next_at is not None
    assert schedule.next_at <= schedule.moment + timedelta(seconds=1)


async def test_a_tick_that_is_held_for_longer_than_fires_are_stored_makes_its_task(
    scheduler: Scheduler,
) -> None:
    await scheduler.put(every="PT1H", overlap="hold_one")
    for _ in range(2):
        await scheduler.age(HOUR)
        await scheduler.fire()
    assert await scheduler.outcomes() == [(CREATED, 1), (HELD, 1)]
    await scheduler.stage.sql.execute(
        "UPDATE taskmill.schedule_fire SET at = now() - interval '91 days'"
    )
    assert await rows.prune(scheduler.stage.maintenance_database, 90, 10) == 1
    await _end_all(scheduler.stage)
    await scheduler.stage.sql.execute("UPDATE taskmill.schedule_cursor SET next_at = now()")
    await scheduler.fire()
    assert await scheduler.outcomes() == [(CREATED, 1)]
    assert len(await scheduler.tasks()) == 2
    # One that no schedule waits for is deleted as any other.
    await scheduler.put("gone", overlap="hold_one")
    await scheduler.stage.sql.execute(
        "INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome, at) "
        "SELECT id, now(), 'tick', 'held', now() - interval '91 days' FROM taskmill.schedule WHERE name = 'gone'"
    )
    assert await rows.prune(scheduler.stage.maintenance_database, 90, 10) == 1


async def test_the_task_before_is_cancelled_at_once_where_that_is_asked_for(
    scheduler: Scheduler,
) -> None:
    before = await _one_task(scheduler, overlap="cancel_running")
    await scheduler.age(MINUTE)
    await scheduler.fire()
    fire = (await scheduler.fires())[-1]
    assert (fire.outcome, fire.cancelled_task_id) == (CREATED, before)
    assert (await scheduler.stage.task(before)).status is Status.CANCELLED
    await assert_safe(scheduler.stage.sql)


async def test_a_running_task_is_asked_to_cancel(scheduler: Scheduler) -> None:
    stage = scheduler.stage
    before = await _one_task(scheduler, overlap="cancel_running")
    lease = await stage.open_lease()
    assert [taken.task.id for taken in await stage.take(lease)] == [before]
    await scheduler.age(MINUTE)
    await scheduler.fire()
    assert (await stage.task(before)).cancel_requested
    assert (await scheduler.fires())[-1].cancelled_task_id == before
    await assert_safe(stage.sql)


async def test_nothing_is_cancelled_that_has_ended(scheduler: Scheduler) -> None:
    await _one_task(scheduler, overlap="cancel_running")
    await _end_all(scheduler.stage)
    await scheduler.age(MINUTE)
    await scheduler.fire()
    fire = (await scheduler.fires())[-1]
    assert (fire.outcome, fire.cancelled_task_id) == (CREATED, None)


@pytest.mark.parametrize(
    ("overlap", "expected"), [("skip", OVERLAP), ("hold_one", HELD), ("cancel_running", CREATED)]
)
async def test_a_run_by_hand_hides_no_task_of_a_tick(
    scheduler: Scheduler, overlap: str, expected: FireOutcome
) -> None:
    """The task of the tick before runs on, though that which was run by hand has ended."""
    before = await _one_task(scheduler, overlap=overlap)
    by_hand = (await scheduler.manual.run("report")).task
    lease = await scheduler.stage.open_lease()
    taken = {one.task.id: one for one in await scheduler.stage.take(lease)}
    await scheduler.stage.end(taken[by_hand.id], lease, Succeeded())
    await scheduler.age(MINUTE)
    await scheduler.fire()
    assert (await scheduler.get()).last_task_id != by_hand.id
    fire = (await scheduler.fires())[-1]
    assert fire.outcome is expected
    if expected is CREATED:
        assert fire.cancelled_task_id == before
    await assert_safe(scheduler.stage.sql)


async def _one_task(scheduler: Scheduler, *, overlap: str) -> UUID:
    """Put a schedule with a tick every minute, and fire one of them; return its task."""
    await scheduler.put(overlap=overlap)
    await scheduler.age(MINUTE)
    await scheduler.fire()
    [task] = await scheduler.tasks()
    made: UUID = task["id"]
    return made


async def _end_all(stage: Stage) -> None:
    lease = await stage.open_lease()
    for taken in await stage.take(lease):
        await stage.end(taken, lease, Succeeded())
