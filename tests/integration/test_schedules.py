"""Storing schedules: putting, replacing, pausing, deleting, listing; and having them make tasks by hand."""

import asyncio
from datetime import timedelta

import pytest

from taskmill.domain.errors import InvalidInput, QueueLimitReached, Unavailable
from taskmill.domain.fires import FireCause, FireOutcome
from taskmill.domain.parts import PAGE_BYTES
from taskmill.domain.quotas import Owner, Quota, QuotaExceeded, QuotaLimit
from taskmill.domain.schedule_errors import (
    ScheduleLimitReached,
    ScheduleMismatch,
    ScheduleNotFound,
)
from taskmill.domain.schedules.spec import ScheduleSpec
from taskmill.domain.schedules.ticks import Tick, count_ticks, due_at
from taskmill.maintenance.zone_updates import ZoneUpdates
from taskmill.operations import schedule_changes
from taskmill.storage import schedules as rows
from taskmill.wire.schedule_requests import to_schedule
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.scheduling import Scheduler, queues_locked
from tests.support.stage import Stage, a_creation
from tests.support.verifying import found_in, verification_of

CREATED, PAUSED = FireOutcome.CREATED, FireOutcome.SKIPPED_PAUSED
MISSED = FireOutcome.SKIPPED_MISSED
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
WAIT_BEFORE_INSERT = """
    CREATE FUNCTION taskmill.wait_here() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(4711);
        RETURN NEW;
    END $$;
    CREATE TRIGGER wait_here BEFORE INSERT ON taskmill.schedule
    FOR EACH ROW EXECUTE FUNCTION taskmill.wait_here();
"""
WAITING = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
EVERY_MINUTE = {"every": "PT1M", "task": {"name": "report"}}


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


async def test_the_same_request_again_changes_nothing(scheduler: Scheduler) -> None:
    first = await scheduler.put()
    again = await scheduler.put()
    assert (again.id, again.revision, again.updated_at) == (first.id, 1, first.updated_at)


async def test_the_same_request_with_other_quotas_of_its_owner_counts(scheduler: Scheduler) -> None:
    limits = [(QuotaLimit(Quota.WAITING_TASKS, most),) for most in (5, 7)]
    for number, limit in enumerate((limits[0], limits[0], limits[1])):
        stored, _ = await scheduler.schedules.put(
            "report", to_schedule(EVERY_MINUTE), owner=Owner("mine", limit)
        )
        assert (stored.content.owner_quotas, stored.revision) == (limit, 1 + number // 2)


async def test_a_replaced_schedule_makes_nothing_for_ticks_of_the_past(
    scheduler: Scheduler,
) -> None:
    """Its new ticks of the last hour were never asked for."""
    await scheduler.put(every="P7D")
    await scheduler.age(HOUR)
    replaced = await scheduler.put(every="PT1M", catch_up="all", within="P1D")
    assert replaced.revision == 2
    await scheduler.fire()
    assert await scheduler.fires() == []
    assert await found_in(scheduler.database) == {}


async def test_a_tick_that_is_due_when_its_schedule_is_replaced_fires_as_before(
    scheduler: Scheduler,
) -> None:
    await scheduler.due(task={"name": "before"})
    await scheduler.put(every="P7D", task={"name": "after"})
    [task] = await scheduler.tasks()
    assert task["name"] == "before"
    assert await found_in(scheduler.database) == {}


async def test_a_schedule_that_was_left_for_later_can_be_replaced_at_once(
    scheduler: Scheduler,
) -> None:
    """Its next look is later than its tick: as after it had to wait, or by earlier rules of its time zone."""
    await scheduler.due(task={"name": "before"})
    await scheduler.stage.sql.execute(
        "UPDATE taskmill.schedule_cursor SET next_at = now() + interval '1 min'"
    )
    await scheduler.put(every="P7D", task={"name": "after"})
    [task] = await scheduler.tasks()
    assert task["name"] == "before"
    assert await found_in(scheduler.database) == {}


async def test_a_tick_that_its_jitter_delays_is_not_lost_when_its_schedule_is_replaced(
    scheduler: Scheduler,
) -> None:
    spec = ScheduleSpec(every=DAY, jitter_s=86_399)
    tick = (await scheduler.now()).replace(hour=0, minute=0, second=0)
    name = next(
        name
        for name in (f"s{number}" for number in range(10_000))
        if due_at(name, spec, Tick(at=tick)) > tick + DAY - 2 * MINUTE
    )
    await scheduler.put(name, every="P1D", jitter_s=86_399)
    await scheduler.stage.sql.execute(
        "UPDATE taskmill.schedule_cursor SET cursor_at = $1, next_at = $2",
        tick - SECOND,
        due_at(name, spec, Tick(at=tick)),
    )
    replaced = await scheduler.put(name, every="P1D", jitter_s=86_399, task={"name": "after"})
    assert replaced.cursor_at < tick
    assert replaced.next_at == due_at(name, spec, Tick(at=tick))


async def test_a_schedule_is_replaced_only_in_the_revision_that_is_known(
    scheduler: Scheduler,
) -> None:
    await scheduler.put()
    with pytest.raises(ScheduleMismatch) as caught:
        await scheduler.put_if({7}, every="PT2M")
    assert caught.value.revision == 1
    await scheduler.put_if({1}, every="PT2M")
    with pytest.raises(ScheduleMismatch):
        await scheduler.put_if({1}, name="another")


async def test_a_deleted_schedule_is_gone_and_its_name_may_come_again(scheduler: Scheduler) -> None:
    await scheduler.due()
    await scheduler.fire()
    first = await scheduler.get()
    with pytest.raises(ScheduleMismatch):
        await scheduler.schedules.delete("report", {9})
    await scheduler.schedules.delete("report", {1})
    with pytest.raises(ScheduleNotFound):
        await scheduler.get()
    with pytest.raises(ScheduleNotFound):
        await scheduler.schedules.delete("report")
    again = await scheduler.put()
    assert again.id != first.id
    assert await scheduler.fires() == []
    assert len(await scheduler.tasks()) == 1
    assert await scheduler.stage.sql.fetchval("SELECT count(*) FROM taskmill.schedule_fire") == 1


async def test_ticks_of_a_paused_schedule_are_skipped_and_it_goes_on_with_the_next(
    scheduler: Scheduler,
) -> None:
    await scheduler.put()
    paused = await scheduler.schedules.pause("report")
    assert paused.paused_at is not None
    await scheduler.age(HOUR)
    await scheduler.fire()
    assert await scheduler.fires() == []
    before = await scheduler.get()
    resumed = await scheduler.schedules.resume("report")
    assert resumed.paused_at is None
    # 60, and one more for each minute that has begun meanwhile.
    skipped = count_ticks(ScheduleSpec(every=MINUTE), before.cursor_at, resumed.cursor_at)
    assert skipped >= 60
    assert await scheduler.outcomes() == [(PAUSED, skipped)]
    assert resumed.next_at is not None
    assert resumed.next_at > resumed.moment
    assert await scheduler.tasks() == []
    assert await found_in(scheduler.database) == {}


async def test_a_schedule_that_goes_on_may_catch_up_with_all_that_it_missed(
    scheduler: Scheduler,
) -> None:
    anchor = await scheduler.now() - 5 * MINUTE
    await scheduler.put(every="PT10M", anchor=anchor.isoformat(), within="P1D", most=4)
    await scheduler.schedules.pause("report")
    await scheduler.age(HOUR)
    await scheduler.schedules.resume("report", catches_up=True)
    assert await scheduler.outcomes() == [(MISSED, 2), *[(CREATED, 1)] * 4]
    assert len(await scheduler.tasks()) == 4
    assert await found_in(scheduler.database) == {}


async def test_a_schedule_that_can_not_catch_up_yet_stays_paused(scheduler: Scheduler) -> None:
    """Else its missed ticks would be lost, though they were asked for."""
    await scheduler.put(within="P1D")
    await scheduler.schedules.pause("report")
    await scheduler.age(HOUR)
    await scheduler.stage.sql.execute(
        """UPDATE taskmill.schedule SET task = '{"name": "report", "queue": "another"}'"""
    )
    async with queues_locked(scheduler.stage):
        with pytest.raises(Unavailable):
            await scheduler.schedules.resume("report", catches_up=True)
    assert (await scheduler.get()).paused_at is not None
    await scheduler.schedules.resume("report", catches_up=True)
    outcomes = await scheduler.outcomes()
    assert len(outcomes) >= 60
    assert set(outcomes) == {(CREATED, 1)}


async def test_what_is_due_when_a_schedule_is_paused_fires_first(scheduler: Scheduler) -> None:
    await scheduler.due()
    await scheduler.schedules.pause("report")
    assert await scheduler.outcomes() == [(CREATED, 1)]


async def test_a_schedule_runs_by_hand_once_for_each_key(scheduler: Scheduler) -> None:
    stored = await scheduler.put()
    await scheduler.put("other")
    first = await scheduler.manual.run("report", "k")
    again = await scheduler.manual.run("report", "k")
    other = await scheduler.manual.run("other", "k")
    assert (again.task.id, again.replayed) == (first.task.id, True)
    assert other.task.id != first.task.id
    await scheduler.manual.run("report")
    assert await scheduler.causes() == [FireCause.MANUAL] * 2
    now = await scheduler.get()
    assert (now.cursor_at, now.next_at) == (stored.cursor_at, stored.next_at)
    await assert_safe(scheduler.stage.sql)


async def test_what_was_asked_for_by_hand_within_a_pause_hides_no_tick_and_makes_none_missing(
    scheduler: Scheduler,
) -> None:
    """Also where the stretch of skipped ticks began before those that are verified."""
    await scheduler.put()
    await scheduler.schedules.pause("report")
    await scheduler.age(HOUR)
    await scheduler.manual.run("report")
    await scheduler.age(HOUR)
    await scheduler.schedules.resume("report")
    found = await verification_of(scheduler.database, since=90 * MINUTE)
    assert dict(found.counts) == {}
    assert await found_in(scheduler.database) == {}


async def test_a_template_that_is_not_allowed_is_refused_at_once(stage: Stage) -> None:
    scheduler = Scheduler(
        stage, creation=a_creation(stage.database, stage.clock, stage.ids, queue_limit=1)
    )
    await scheduler.put()
    with pytest.raises(QueueLimitReached):
        await scheduler.put("other", task={"name": "x", "queue": "another"})
    with pytest.raises(InvalidInput) as caught:
        await scheduler.put("other", task={"name": "x", "labels": {"schedule": "another"}})
    assert caught.value.violations[0].pointer == "/task/labels/schedule"


async def test_there_may_be_no_more_schedules_than_the_limit(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_changes, "MOST_SCHEDULES", 2)
    await scheduler.put("a")
    await scheduler.put("b")
    with pytest.raises(ScheduleLimitReached):
        await scheduler.put("c")
    await scheduler.schedules.delete("a")
    await scheduler.put("c")


async def test_schedules_that_are_put_at_once_are_no_more_than_their_owners_quota(
    scheduler: Scheduler, stage: Stage
) -> None:
    owner = Owner("mine", (QuotaLimit(Quota.SCHEDULES, 2),))
    refused: list[str] = []

    async def put(name: str) -> None:
        try:
            await scheduler.schedules.put(name, to_schedule(EVERY_MINUTE), owner=owner)
        except QuotaExceeded:
            refused.append(name)

    async def all_wait() -> bool:
        return bool(await stage.sql.fetchval(WAITING) == 4)

    # None is stored before all have come as far as they can.
    await stage.sql.execute(WAIT_BEFORE_INSERT)
    await stage.sql.execute("SELECT pg_advisory_lock(4711)")
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(put(f"s{number}"))
        await eventually(all_wait, "four that wait")
        await stage.sql.execute("SELECT pg_advisory_unlock(4711)")
    assert len(refused) == 2
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.schedule") == 2


async def test_schedules_are_listed_in_their_order_page_by_page(scheduler: Scheduler) -> None:
    for name in ("b", "a", "c"):
        await scheduler.put(name, task={"name": name, "queue": name})
    page = await scheduler.schedules.page(after=None, limit=2)
    assert ([one.name for one in page], page.has_more) == (["b", "a"], True)
    page = await scheduler.schedules.page(after=page[-1].id, limit=2)
    assert ([one.name for one in page], page.has_more) == (["c"], False)
    some = await rows.page(scheduler.database, after=0, limit=5, queues=("a", "c", "none"))
    assert [one.name for one in some] == ["a", "c"]
    assert await rows.queues(scheduler.database) == ["a", "b", "c"]


async def test_a_page_of_large_templates_has_few(scheduler: Scheduler) -> None:
    """Each may be as large as a request: 500 of them would need a lot of memory."""
    large = "x" * (PAGE_BYTES // 3)
    for number in range(5):
        await scheduler.put(f"s{number}", task={"name": "a", "payload": {"n": large}})
    read: list[str] = []
    after: int | None = None
    while True:
        page = await scheduler.schedules.page(after=after, limit=500)
        of_queue = await rows.page(
            scheduler.database, after=after or 0, limit=500, queues=("default",)
        )
        assert [one.name for one in of_queue] == [one.name for one in page]
        assert len(page) <= 3
        read += [one.name for one in page]
        after = page[-1].id
        if not page.has_more:
            break
    assert read == [f"s{number}" for number in range(5)]


async def test_new_rules_of_time_zones_move_the_next_tick(scheduler: Scheduler) -> None:
    stored = await scheduler.put(cron="0 3 * * *", zone="Europe/Berlin")
    await scheduler.stage.sql.execute(
        "UPDATE taskmill.schedule_cursor SET tz_version = 'old', next_at = next_at + interval '1 h'"
    )
    update = ZoneUpdates(scheduler.stage.maintenance_database)
    assert await update() is False
    moved = await scheduler.get()
    assert (moved.next_at, moved.revision) == (stored.next_at, 1)
    assert moved.tz_version != "old"
    assert (
        await scheduler.stage.sql.fetchval("SELECT count(*) FROM taskmill.schedule_revision") == 1
    )


async def test_what_became_of_ticks_is_deleted_when_it_is_old(scheduler: Scheduler) -> None:
    await scheduler.due()
    await scheduler.fire()
    await scheduler.due("young")
    await scheduler.fire()
    await scheduler.put(every="PT2H")
    await scheduler.stage.sql.execute(
        "UPDATE taskmill.schedule_fire SET at = now() - interval '91 days' WHERE task_id = "
        "(SELECT last_task_id FROM taskmill.schedule_cursor JOIN taskmill.schedule ON id = schedule_id "
        "WHERE name = 'report')"
    )
    await scheduler.stage.sql.execute(
        "UPDATE taskmill.schedule_revision SET at = now() - interval '91 days'"
    )
    assert await rows.prune(scheduler.stage.maintenance_database, 90, 10) == 1
    assert await scheduler.fires() == []
    assert len(await scheduler.fires("young")) == 1
    left = await scheduler.stage.sql.fetch(
        "SELECT schedule_id, revision FROM taskmill.schedule_revision ORDER BY 1, 2"
    )
    assert [row["revision"] for row in left] == [2, 1]
