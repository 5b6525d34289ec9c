"""Backfills: tasks for ticks of the past that made none, also where they lie in a stretch of skipped ones."""

from datetime import timedelta

import pytest

from taskmill.domain.checks import Check
from taskmill.domain.errors import InvalidInput
from taskmill.domain.fires import FireOutcome
from taskmill.domain.quotas import Owner, Quota, QuotaExceeded, QuotaLimit
from taskmill.operations.manual_fires import BackfillRequest
from taskmill.wire.schedule_requests import to_schedule
from tests.support.safety import assert_safe
from tests.support.scheduling import Scheduler
from tests.support.stage import Stage
from tests.support.verifying import found_in

CREATED, MISSED = FireOutcome.CREATED, FireOutcome.SKIPPED_MISSED
HOUR = timedelta(hours=1)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
EVERY_MINUTE = {"every": "PT1M", "task": {"name": "report"}}


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


async def test_a_backfill_makes_what_is_missing_once(scheduler: Scheduler) -> None:
    """Also where the ticks lie in a stretch of skipped ones, or before the schedule was made."""
    await scheduler.put(every="PT1M", catch_up="none", most=100)
    await scheduler.age(HOUR)
    await scheduler.fire()
    until = await scheduler.now()
    wanted = BackfillRequest(since=until - 2 * HOUR, until=until, priority=0)
    found = await scheduler.manual.backfill(
        "report",
        BackfillRequest(since=wanted.since, until=until, priority=0, is_dry_run=True),
    )
    before = len(await scheduler.tasks())
    made = await scheduler.manual.backfill("report", wanted)
    assert (made.ticks, made.next_since) == (found.ticks, found.next_since)
    assert len(made.ticks) == 100
    assert made.next_since is not None
    rest = await scheduler.manual.backfill(
        "report", BackfillRequest(since=made.next_since, until=until, priority=0)
    )
    assert rest.next_since is None
    assert (await scheduler.manual.backfill("report", wanted)).ticks == []
    tasks = await scheduler.tasks()
    assert len(tasks) == before + 100 + len(rest.ticks)
    assert [task["priority"] for task in tasks[before:]] == [0] * (len(tasks) - before)
    ticks = [fire.tick for fire in await scheduler.fires() if fire.outcome is CREATED]
    assert len(ticks) == len(set(ticks)) == len(tasks)
    assert await found_in(scheduler.database) == {}
    await assert_safe(scheduler.stage.sql)


async def test_a_backfill_of_a_part_leaves_the_rest_of_a_stretch(scheduler: Scheduler) -> None:
    await scheduler.put(every="PT1M", catch_up="none")
    await scheduler.age(HOUR)
    await scheduler.fire()
    [stretch, *_] = await scheduler.fires()
    assert stretch.ticks > 50
    wanted = BackfillRequest(since=stretch.tick, until=stretch.tick + 2 * MINUTE, priority=3)
    assert len((await scheduler.manual.backfill("report", wanted)).ticks) == 3
    outcomes = await scheduler.outcomes()
    assert outcomes[:4] == [(CREATED, 1)] * 3 + [(MISSED, stretch.ticks - 3)]
    assert await found_in(scheduler.database) == {}


async def test_a_backfill_within_a_stretch_leaves_what_is_before_and_after_it(
    scheduler: Scheduler,
) -> None:
    await scheduler.put(every="PT1M", catch_up="none")
    await scheduler.age(HOUR)
    await scheduler.fire()
    [stretch, *_] = await scheduler.fires()
    since = stretch.tick + 10 * MINUTE
    wanted = BackfillRequest(since=since, until=since + 2 * MINUTE, priority=0)
    assert len((await scheduler.manual.backfill("report", wanted)).ticks) == 3
    outcomes = await scheduler.outcomes()
    filled = [(CREATED, 1)] * 3
    assert outcomes[:5] == [(MISSED, 10), *filled, (MISSED, stretch.ticks - 13)]
    assert (await scheduler.manual.backfill("report", wanted)).ticks == []
    assert await found_in(scheduler.database) == {}
    single = BackfillRequest(since=since - 9 * MINUTE, until=since - 2 * MINUTE, priority=0)
    await scheduler.manual.backfill("report", single)
    assert (await scheduler.outcomes())[:12] == [
        (MISSED, 1),
        *[(CREATED, 1)] * 8,
        (MISSED, 1),
        *filled[:2],
    ]
    assert await found_in(scheduler.database) == {}


async def test_a_backfill_by_another_spec_than_that_of_the_skipped_ticks_splits_them_as_well(
    scheduler: Scheduler,
) -> None:
    await scheduler.put(every="PT1M")
    await scheduler.schedules.pause("report")
    await scheduler.age(HOUR)
    await scheduler.schedules.resume("report")
    [stretch] = await scheduler.fires()
    await scheduler.put(every="PT1M30S")
    until = stretch.until_tick
    assert until is not None
    wanted = BackfillRequest(since=stretch.tick, until=until, priority=0)
    made = (await scheduler.manual.backfill("report", wanted)).ticks
    fires = await scheduler.fires()
    left = [fire for fire in fires if fire.outcome is FireOutcome.SKIPPED_PAUSED]
    of_both = [tick for tick in made if tick.second == 0]
    assert sum(fire.ticks for fire in left) == stretch.ticks - len(of_both)
    ends = [fire.until_tick or fire.tick for fire in fires]
    assert all(end < later.tick for end, later in zip(ends, fires[1:], strict=False))
    assert await found_in(scheduler.database) == {}


async def test_a_backfill_splits_a_stretch_that_an_earlier_one_left_as_it_was(
    scheduler: Scheduler, stage: Stage
) -> None:
    await scheduler.put(every="PT1M", catch_up="none")
    await scheduler.age(HOUR)
    await scheduler.fire()
    [stretch, *_] = await scheduler.fires()
    await stage.sql.execute(
        "INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome, task_id)"
        " VALUES ($1, $2, 'backfill', 'created', gen_random_uuid())",
        stretch.schedule_id,
        stretch.tick + 5 * MINUTE,
    )
    assert await found_in(scheduler.database) == {Check.SCHEDULE_TICK_TWICE: 1}
    since = stretch.tick + 2 * MINUTE
    wanted = BackfillRequest(since=since, until=since, priority=0)
    await scheduler.manual.backfill("report", wanted)
    rest = (MISSED, stretch.ticks - 6)
    outcomes = await scheduler.outcomes()
    assert outcomes[:5] == [(MISSED, 2), (CREATED, 1), (MISSED, 2), (CREATED, 1), rest]
    assert await found_in(scheduler.database) == {}


async def test_a_backfill_ends_where_a_quota_of_its_owner_is_reached(scheduler: Scheduler) -> None:
    owner = Owner("mine", (QuotaLimit(Quota.WAITING_TASKS, 5),))
    await scheduler.schedules.put("report", to_schedule(EVERY_MINUTE), owner=owner)
    until = (await scheduler.get()).cursor_at
    wanted = BackfillRequest(since=until - HOUR, until=until, priority=0)
    made = await scheduler.manual.backfill("report", wanted)
    assert 1 <= len(made.ticks) == len(await scheduler.tasks()) <= 5
    assert made.next_since == made.ticks[-1] + MINUTE
    with pytest.raises(QuotaExceeded):
        await scheduler.manual.backfill("report", wanted)
    assert len(await scheduler.tasks()) == len(made.ticks)
    assert await found_in(scheduler.database) == {}


UNKNOWN_SPECS = ('{"moon": "full"}', '{"every": "PT1M", "zone": "Mars/Olympus"}', None)


@pytest.mark.parametrize("is_dry_run", [True, False])
@pytest.mark.parametrize("spec", UNKNOWN_SPECS)
async def test_skipped_ticks_of_a_spec_that_nobody_here_knows_are_refused_and_stay_as_they_are(
    scheduler: Scheduler, stage: Stage, spec: str | None, *, is_dry_run: bool
) -> None:
    """A later release has stored it, or it is no longer stored: how many ticks are left can't be said."""
    await scheduler.put(every="PT1M", catch_up="none")
    await scheduler.age(HOUR)
    await scheduler.fire()
    before = await scheduler.fires()
    if spec is None:
        await stage.sql.execute("DELETE FROM taskmill.schedule_revision")
    else:
        await stage.sql.execute("UPDATE taskmill.schedule_revision SET spec = $1::text::json", spec)
    stretch = before[0]
    until = stretch.tick + 2 * MINUTE
    wanted = BackfillRequest(since=stretch.tick, until=until, priority=0, is_dry_run=is_dry_run)
    with pytest.raises(InvalidInput) as caught:
        await scheduler.manual.backfill("report", wanted)
    assert caught.value.violations[0].pointer == "/from"
    assert await scheduler.fires() == before
    assert stretch.until_tick is not None
    earlier = BackfillRequest(since=stretch.tick - HOUR, until=stretch.tick - MINUTE, priority=0)
    assert (await scheduler.manual.backfill("report", earlier)).ticks, "others can be filled"


async def test_a_backfill_goes_no_further_than_the_schedule_has_come(scheduler: Scheduler) -> None:
    await scheduler.put(every="PT1S")
    until = await scheduler.now() + HOUR
    wanted = BackfillRequest(since=until - HOUR - SECOND, until=until, priority=0)
    made = await scheduler.manual.backfill("report", wanted)
    assert max(made.ticks) <= (await scheduler.get()).cursor_at
