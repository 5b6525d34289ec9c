"""Firing schedules: each tick makes its task once, whatever dies, and one schedule keeps no other."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.contracts import TypeContract
from taskmill.domain.errors import Unavailable
from taskmill.domain.fires import FireCause, FireOutcome
from taskmill.domain.quotas import Owner, Quota, QuotaLimit
from taskmill.maintenance.firing import MOST_AT_ONCE, FireSchedules
from taskmill.runtime.ids import IdFactory
from taskmill.storage.database import _HOT
from taskmill.storage.rights import MAINTENANCE
from taskmill.wire.schedule_requests import to_schedule
from tests.support.api import LogLines
from tests.support.clocks import ManualClock
from tests.support.polling import eventually
from tests.support.role_database import RoleDatabase
from tests.support.safety import assert_safe
from tests.support.scheduling import Scheduler, queues_locked
from tests.support.stage import SETTINGS, Stage, a_creation
from tests.support.verifying import found_in

CREATED, REFUSED = FireOutcome.CREATED, FireOutcome.REFUSED
_SECOND = timedelta(seconds=1)
# Copies of a schedule that is due, which is paused; they are due for longer than any other.
_MANY_OF_ONE_OWNER = """
    WITH pattern AS (
        UPDATE taskmill.schedule_cursor SET paused_at = now() RETURNING schedule_id, cursor_at, tz_version
    ),
    made AS (
        INSERT INTO taskmill.schedule (name, spec, task, queue, type, owner)
        SELECT 'many-' || n, s.spec, s.task, s.queue, s.type, 'hog'
        FROM taskmill.schedule AS s, generate_series(1, $1::integer) AS n
        RETURNING id
    )
    INSERT INTO taskmill.schedule_cursor (schedule_id, owner, cursor_at, next_at, tz_version)
    SELECT made.id, 'hog', pattern.cursor_at, now() - interval '30 s', pattern.tz_version FROM made, pattern
"""


class _CountedIds(IdFactory):
    """Ids of tasks, and how many were made."""

    made = 0

    def __call__(self) -> UUID:
        self.made += 1
        return super().__call__()


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


async def test_a_due_tick_makes_one_task_and_says_so(
    scheduler: Scheduler, log_lines: LogLines
) -> None:
    tick = await scheduler.due(task={"name": "nightly", "queue": "reports", "labels": {"a": "b"}})
    await scheduler.fire()
    await scheduler.fire()
    [task] = await scheduler.tasks()
    assert (task["name"], task["queue"], task["source"]) == ("nightly", "reports", "schedule")
    assert task["labels"] == '{"a": "b", "schedule": "report"}'
    [fire] = await scheduler.fires()
    assert (fire.tick, fire.outcome, fire.cause) == (tick, CREATED, FireCause.TICK)
    assert fire.task_id == task["id"]
    [line] = log_lines.named("task.created")
    assert (line["task_id"], line["schedule"]) == (str(task["id"]), "report")
    assert (line["tick"], line["cause"]) == (tick.isoformat(), "tick")
    schedule = await scheduler.get()
    assert (schedule.cursor_at, schedule.last_task_id) == (tick, task["id"])
    assert schedule.next_at is None
    assert await found_in(scheduler.database) == {}
    await assert_safe(scheduler.stage.sql)


async def test_nothing_fires_before_its_tick_and_it_is_known_when_that_comes(
    scheduler: Scheduler,
) -> None:
    await scheduler.put(every="PT1H")
    await scheduler.fire()
    schedule = await scheduler.get()
    assert await scheduler.fires() == []
    assert schedule.next_at is not None
    assert schedule.moment < schedule.next_at <= schedule.moment + timedelta(hours=1)


async def test_two_processes_fire_two_hundred_schedules_once_each(scheduler: Scheduler) -> None:
    names = [f"s{number}" for number in range(200)]
    for name in names:
        await scheduler.put(name, every="PT1S")
    await scheduler.age(3 * _SECOND)
    other = RoleDatabase(scheduler.stage.url, SETTINGS, role=MAINTENANCE)
    second = Scheduler(
        scheduler.stage,
        database=other,
        creation=a_creation(other, scheduler.stage.clock, scheduler.stage.ids),
    )
    try:
        await asyncio.gather(  # noqa: TID251 - both at once
            *(one.duty() for one in (scheduler, second) for _ in range(4))
        )
        await scheduler.fire()
    finally:
        await other.close()
    made = Counter(
        row["name"] for row in await scheduler.stage.sql.fetch("SELECT name FROM taskmill.task")
    )
    assert made.keys() == set(names)
    assert min(made.values()) >= 3
    assert await found_in(scheduler.database) == {}
    await assert_safe(scheduler.stage.sql)


async def test_a_process_that_dies_before_its_commit_leaves_the_tick_to_another(
    scheduler: Scheduler,
) -> None:
    tick = await scheduler.due()
    dying = await scheduler.database.connect(**_HOT)
    await dying.transaction().start()
    await scheduler.lock_and_fire(dying)
    await scheduler.fire()
    assert await scheduler.fires() == []  # it is locked, and nobody waits for it
    dying.terminate()

    async def has_fired() -> bool:
        await scheduler.fire()
        return bool(await scheduler.fires())

    await eventually(has_fired, "the tick to fire")
    assert [fire.tick for fire in await scheduler.fires()] == [tick]
    assert len(await scheduler.tasks()) == 1
    await assert_safe(scheduler.stage.sql)


async def test_a_commit_whose_result_is_lost_is_not_repeated(scheduler: Scheduler) -> None:
    await scheduler.due()
    dying = await scheduler.database.connect(**_HOT)
    async with dying.transaction():
        await scheduler.lock_and_fire(dying)
    dying.terminate()  # the process knows nothing of it
    await scheduler.fire()
    assert len(await scheduler.tasks()) == 1


@pytest.mark.parametrize("hours", [-2, 2])
async def test_the_clock_of_the_process_decides_nothing(stage: Stage, hours: int) -> None:
    clock = ManualClock(stage.clock.now() + timedelta(hours=hours))
    ids = IdFactory(clock, random.Random())  # noqa: S311 - no secret
    scheduler = Scheduler(stage, creation=a_creation(stage.database, stage.clock, ids))
    await scheduler.put("later", every="PT1H")
    tick = await scheduler.due()
    await scheduler.fire()
    assert [fire.tick for fire in await scheduler.fires()] == [tick]
    assert await scheduler.fires("later") == []
    [task] = await scheduler.tasks()
    assert abs(task["run_at"] - stage.clock.now()) < timedelta(minutes=1)


async def test_a_tick_that_has_its_fire_makes_no_second_task(scheduler: Scheduler) -> None:
    """As when a cursor was moved back by hand."""
    await scheduler.due()
    await scheduler.fire()
    await scheduler.stage.sql.execute(
        "UPDATE taskmill.schedule_cursor SET cursor_at = cursor_at - interval '1 h', next_at = now()"
    )
    await scheduler.fire()
    assert len(await scheduler.tasks()) == 1
    assert len(await scheduler.fires()) == 1


async def test_a_template_that_a_newer_contract_refuses_says_so_and_keeps_no_other(
    scheduler: Scheduler,
) -> None:
    for name in ("a", "b", "c"):
        await scheduler.due(name, task={"name": name, "type": name, "payload": {"n": 1}})
    schema = '{"type": "object", "properties": {"n": {"type": "string"}}}'
    contract = TypeContract(type="b", schema=schema)
    await scheduler.stage.service.contracts.register(contract, by="a test")
    await scheduler.fire()
    assert [await scheduler.outcomes(name) for name in "abc"] == [
        [(CREATED, 1)],
        [(REFUSED, 1)],
        [(CREATED, 1)],
    ]
    [refused] = await scheduler.fires("b")
    assert refused.problem is not None
    assert "/task/payload/n" in refused.problem
    assert (await scheduler.get("b")).cursor_at == refused.tick
    assert await found_in(scheduler.database) == {}


async def test_a_task_that_postgresql_refuses_keeps_no_other(scheduler: Scheduler) -> None:
    for name in ("a", "b", "c", "d"):
        await scheduler.due(name)
    await scheduler.stage.sql.execute(
        """UPDATE taskmill.schedule SET task = '{"name": "c", "labels": {"x": "\\u0000"}}' WHERE name = 'c'"""
    )
    await scheduler.fire()
    assert [await scheduler.outcomes(name) for name in "abcd"] == [
        [(CREATED, 1)],
        [(CREATED, 1)],
        [(REFUSED, 1)],
        [(CREATED, 1)],
    ]
    assert await found_in(scheduler.database) == {}
    await assert_safe(scheduler.stage.sql)


async def test_what_postgresql_says_of_a_refused_task_is_shown_without_its_values(
    scheduler: Scheduler,
) -> None:
    """Whoever may read the schedule's fires need not see what is secret in its payload."""
    await scheduler.due(task={"name": "odd", "payload": {"token": "hush"}})
    await scheduler.stage.sql.execute(
        "ALTER TABLE taskmill.task ADD CONSTRAINT no_odd CHECK (name <> 'odd')"
    )
    await scheduler.fire()
    [refused] = await scheduler.fires()
    assert refused.problem is not None
    assert "no_odd" in refused.problem
    assert "hush" not in refused.problem


async def test_a_queue_that_takes_long_to_make_delays_only_who_needs_it(
    scheduler: Scheduler,
) -> None:
    """Also a schedule whose owner has a quota, for which it is looked whether that is reached."""
    wanted = to_schedule({"every": "PT1S", "task": {"name": "owned"}})
    owner = Owner("mine", (QuotaLimit(Quota.WAITING_TASKS, 1_000),))
    await scheduler.schedules.put("owned", wanted, owner=owner)
    await scheduler.due("new")
    await scheduler.age(timedelta(seconds=5), "owned")
    await scheduler.stage.sql.execute(
        """UPDATE taskmill.schedule SET task = '{"name": "new", "queue": "another"}' WHERE name = 'new'"""
    )
    async with queues_locked(scheduler.stage):
        await scheduler.duty()
    assert {outcome for outcome, _ in await scheduler.outcomes("owned")} == {CREATED}
    assert await scheduler.fires("new") == []


async def test_a_schedule_that_can_not_be_read_is_left_for_later_and_keeps_no_other(
    scheduler: Scheduler,
) -> None:
    await scheduler.due("odd")
    await scheduler.due("good")
    await scheduler.stage.sql.execute(
        "UPDATE taskmill.schedule SET spec = '{\"moon\": \"full\"}' WHERE name = 'odd'"
    )
    await scheduler.fire()
    assert await scheduler.outcomes("good") == [(CREATED, 1)]
    odd = await scheduler.get("odd")
    assert await scheduler.fires("odd") == []
    assert odd.next_at is not None
    assert odd.next_at > odd.moment


async def test_a_queue_over_the_limit_is_refused_and_keeps_no_other(stage: Stage) -> None:
    creation = a_creation(stage.database, stage.clock, stage.ids, queue_limit=1)
    scheduler = Scheduler(stage, creation=creation)
    await scheduler.due("a")
    await scheduler.due("b")
    await stage.sql.execute(
        """UPDATE taskmill.schedule SET task = '{"name": "b", "queue": "another"}' WHERE name = 'b'"""
    )
    await scheduler.fire()
    assert await scheduler.outcomes("a") == [(CREATED, 1)]
    [refused] = await scheduler.fires("b")
    assert refused.outcome is REFUSED
    assert refused.problem is not None
    assert "queue-limit-reached" in refused.problem


async def test_a_schedule_that_is_replaced_while_it_fires_loses_no_tick_and_makes_none_twice(
    scheduler: Scheduler,
) -> None:
    """Its ticks are every second, so some are due at each replacement."""
    await scheduler.put(every="PT1S")
    for number in range(12):
        await scheduler.age(2 * _SECOND)
        body = {"name": f"task {number}"}
        await asyncio.gather(  # noqa: TID251 - both at once
            scheduler.duty(), scheduler.put(every="PT1S", task=body)
        )
    await scheduler.fire()
    fires = await scheduler.fires()
    tasks = [fire.task_id for fire in fires if fire.task_id is not None]
    assert len(tasks) == len(set(tasks)) == len(await scheduler.tasks()) == len(fires) >= 24
    assert (await scheduler.get()).revision == 13
    assert await found_in(scheduler.database) == {}
    await assert_safe(scheduler.stage.sql)


@pytest.mark.parametrize("overlap", ["allow", "skip"])
async def test_a_round_after_an_outage_plans_no_more_ticks_than_a_transaction_can_bear(
    stage: Stage, overlap: str
) -> None:
    """Else it would be cut off by its timeout, and so would each one after it; also where ticks make no task."""
    ids = _CountedIds(stage.clock, random.Random())  # noqa: S311 - no secret
    scheduler = Scheduler(stage, creation=a_creation(stage.database, stage.clock, ids))
    for name in ("a", "b", "c"):
        await scheduler.put(name, every="PT1S", catch_up="all", most=700, overlap=overlap)
    await scheduler.age(timedelta(hours=1))
    ids.made = 0
    assert await scheduler.duty()
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.schedule_fire") <= 1_000
    assert ids.made <= 1_400
    await scheduler.fire()
    accounted = "SELECT sum(ticks) FROM taskmill.schedule_fire GROUP BY schedule_id"
    assert all(row["sum"] >= 3_600 for row in await stage.sql.fetch(accounted))
    assert await found_in(scheduler.database) == {}


async def test_after_a_failure_a_round_takes_half_as_many_schedules(stage: Stage) -> None:
    """More than a transaction has time for would fail again and again."""
    settings = SETTINGS.model_copy(update={"statement_timeout_s": 0.5})
    hasty = RoleDatabase(stage.url, settings, role=MAINTENANCE)
    scheduler = Scheduler(stage)
    for number in range(60):
        await scheduler.put(f"s{number}", every="PT1H")
    await scheduler.age(timedelta(hours=1))
    duty = FireSchedules(hasty, scheduler.firing, scheduler.contracts, scheduler.timer, soon_s=3.0)
    other = await asyncpg.connect(stage.url)
    try:
        await other.execute("BEGIN; LOCK TABLE taskmill.schedule_fire IN EXCLUSIVE MODE")
        failures = 5
        for _ in range(failures):
            with pytest.raises(Unavailable):
                await duty()
        await other.execute("ROLLBACK")
        fired = "SELECT count(DISTINCT schedule_id) FROM taskmill.schedule_fire"
        rounds = []
        while await duty():
            rounds.append(await stage.sql.fetchval(fired))
        assert rounds == [MOST_AT_ONCE >> failures, 60]
        assert await stage.sql.fetchval(fired) == 60
    finally:
        await other.close()
        await hasty.close()


async def test_nobody_waits_for_all_schedules_of_another_one(scheduler: Scheduler) -> None:
    """Of many that are due, and due for longer, others' ones fire with the second batch."""
    many = MOST_AT_ONCE * 3
    await scheduler.due("pattern", task={"name": "a task"})
    await scheduler.stage.sql.execute(_MANY_OF_ONE_OWNER, many)
    later = to_schedule({"every": "PT1S", "task": {"name": "later"}})
    await scheduler.schedules.put("nobodys", later)
    await scheduler.schedules.put("theirs", later, owner=Owner("another"))
    await scheduler.age(2 * _SECOND, "nobodys", "theirs")
    for _ in range(2):
        assert await scheduler.duty()
    assert await scheduler.outcomes("nobodys") != []
    assert await scheduler.outcomes("theirs") != []
    await scheduler.fire()
    fired = "SELECT count(DISTINCT schedule_id) FROM taskmill.schedule_fire"
    assert await scheduler.stage.sql.fetchval(fired) == many + 2


async def test_a_lock_on_a_schedule_holds_up_no_other(scheduler: Scheduler) -> None:
    await scheduler.due("a")
    await scheduler.due("b")
    other = await asyncpg.connect(scheduler.stage.url)
    try:
        await other.execute(
            "BEGIN; SELECT FROM taskmill.schedule JOIN taskmill.schedule_cursor ON id = schedule_id "
            "WHERE name = 'a' FOR UPDATE"
        )
        await scheduler.fire()
    finally:
        await other.close()
    assert await scheduler.outcomes("b") == [(CREATED, 1)]
    await scheduler.fire()
    assert await scheduler.outcomes("a") == [(CREATED, 1)]
