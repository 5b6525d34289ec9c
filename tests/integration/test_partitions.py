"""Weekly partitions: made ahead by many at once, and repaired from the DEFAULT one."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain import identity
from taskmill.domain.lifecycle import Failed, Status, Succeeded
from taskmill.storage import partitions, task_log
from taskmill.storage.weeks import Week
from tests.support.builders import ERROR, a_draft, a_key
from tests.support.housekeeping import housekeeping
from tests.support.log_lines import a_line, stored_lines
from tests.support.old_weeks import creating_at, made_by_the_release_before, old_week, rows_in
from tests.support.role_database import RoleDatabase
from tests.support.safety import assert_safe
from tests.support.stage import SETTINGS, Stage, a_stage


def test_weeks_begin_on_monday_in_utc_and_are_called_by_their_iso_number() -> None:
    week = Week.of(datetime(2026, 1, 1, 5, tzinfo=UTC))
    assert (week.start, week.end) == (
        datetime(2025, 12, 29, tzinfo=UTC),
        datetime(2026, 1, 5, tzinfo=UTC),
    )
    assert week.suffix == "2026w01"
    assert week.later(-1).suffix == "2025w52"
    assert Week.of(week.end) == week.later(1)
    lower, upper = week.bounds
    assert identity.created_at(lower) == week.start
    assert identity.created_at(upper) == week.end
    assert Week.of(datetime.fromisoformat("2026-01-05T01:00:00+02:00")) == week


async def test_the_weeks_around_now_are_made_once(database_url: str) -> None:
    async with a_stage(database_url) as stage:
        now = stage.clock.now()
        made = await partitions.ensure(stage.database, now)
        this = Week.of(now)
        assert made == [this.later(n) for n in range(-1, 5)]
        assert await partitions.ensure(stage.database, now) == []
        assert await partitions.attached(stage.database) == made
        later = await partitions.ensure(stage.database, now + timedelta(weeks=2))
        assert later == [this.later(5), this.later(6)]


async def test_many_processes_make_them_at_once(database_url: str) -> None:
    now = datetime.now(UTC)  # noqa: TID251 - before there is a stage
    processes = [RoleDatabase(database_url, SETTINGS) for _ in range(6)]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(partitions.ensure(database, now))
            for database in processes
            for _ in range(2)
        ]
    made = [week.suffix for task in tasks for week in task.result()]
    assert len(made) == len(set(made)) == 6
    for database in processes:
        await database.close()


async def test_the_database_cuts_weeks_as_the_program_does(stage: Stage) -> None:
    moment = stage.clock.now()
    weeks = [Week.of(moment).later(number) for number in range(-60, 60)]
    days = [week.monday + timedelta(days=number % 7) for number, week in enumerate(weeks)]
    rows = await stage.sql.fetch(
        "SELECT taskmill.first_id_of_week(day) AS first, taskmill.first_id_of_week(day + 7) AS past, "
        "to_char(day, 'IYYY\"w\"IW') AS suffix FROM unnest($1::date[]) AS day",
        days,
    )
    assert [((row["first"], row["past"]), row["suffix"]) for row in rows] == [
        (week.bounds, week.suffix) for week in weeks
    ]


async def test_only_weeks_of_the_partitioned_tables_can_be_made(stage: Stage) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError, match="queue has no partitions"):
        await stage.sql.execute("SELECT taskmill.make_partition('queue', '2026-11-23')")


async def test_they_are_made_under_load(stage: Stage) -> None:
    stop = asyncio.Event()

    async def load() -> None:
        lease = await stage.open_lease()
        while not stop.is_set():
            await stage.created()
            for taken in await stage.take(lease):
                await stage.end(taken, lease, Succeeded())

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(load())
        made = await partitions.ensure(stage.database, stage.clock.now() + timedelta(weeks=50))
        stop.set()
    assert len(made) == 6
    await assert_safe(stage.sql)


async def test_rows_without_a_week_go_to_the_default_partition_and_are_moved_later(
    stage: Stage,
) -> None:
    moment = Week.of(stage.clock.now()).later(-20).start + timedelta(days=3)
    lease = await stage.open_lease()
    async with creating_at(stage, moment) as creation:
        made = [
            (
                await creation.create(
                    a_draft(name=f"{n}", max_attempts=2, idempotency=a_key(f"{n}"))
                )
            ).task
            for n in range(7)
        ]
    taken = {one.task.id: one for one in await stage.take(lease)}
    await stage.end(taken[made[0].id], lease, Succeeded(result='{"a": 1}'))
    await stage.end(taken[made[1].id], lease, Failed(error=ERROR))
    await stage.service.cancel(made[2].id)
    await stage.end(taken[made[3].id], lease, Succeeded())
    await stage.service.retry(made[3].id)
    await stage.service.cancel(made[1].id)
    lines = [a_line(one, stage) for one in taken.values()]
    assert await task_log.store(stage.database, lines) == 7
    assert await rows_in(stage.sql, "task_default") == 7
    before = [await stage.task(task.id) for task in made]
    assert {task.status for task in before} == {
        Status.NEW,
        Status.IN_PROGRESS,
        Status.SUCCEEDED,
        Status.CANCELLED,
    }
    await assert_safe(stage.sql)

    assert await partitions.repair(stage.database) == [Week.of(moment)]
    assert await partitions.repair(stage.database) == []

    assert await rows_in(stage.sql, "task_default") == 0
    assert await rows_in(stage.sql, "task_event_default") == 0
    for table in ("task", "task_log"):
        assert await rows_in(stage.sql, f"{table}_{Week.of(moment).suffix}") == 7
    assert [await stage.task(task.id) for task in made] == before
    await assert_safe(stage.sql)
    # They go on as if nothing had happened, and the guard still stands.
    for one in (made[2], made[4], made[5]):
        await stage.end(taken[one.id], lease, Succeeded())
    with pytest.raises(asyncpg.CheckViolationError):
        await stage.sql.execute(
            f"UPDATE taskmill.task_{Week.of(moment).suffix} SET version = version + 5"  # noqa: S608 - see above
        )
    await assert_safe(stage.sql)


async def test_the_net_is_repaired_for_several_weeks(stage: Stage) -> None:
    first = Week.of(stage.clock.now()).later(-30)
    weeks = [first, first.later(2), first.later(3)]
    for week in weeks:
        async with creating_at(stage, week.start + timedelta(hours=1)) as creation:
            await creation.create(a_draft())
    assert await partitions.repair(stage.database) == weeks
    await assert_safe(stage.sql)


async def test_a_week_is_made_although_the_default_partition_has_rows_of_it(stage: Stage) -> None:
    moment = stage.clock.now() + timedelta(weeks=8)
    async with creating_at(stage, moment) as creation:
        made = (await creation.create(a_draft())).task
    await partitions.ensure(stage.database, moment)
    assert await rows_in(stage.sql, "task_default") == 0
    assert await stage.task(made.id) == made
    await assert_safe(stage.sql)


async def lines_of(stage: Stage, week: Week) -> UUID:
    """Make a finished task of that week with two log lines."""
    lease = await stage.open_lease()
    async with creating_at(stage, week.start + timedelta(days=1)) as creation:
        made = (await creation.create(a_draft(run_at=stage.clock.now()))).task
    [taken] = await stage.take(lease)
    await task_log.store(stage.database, [a_line(taken, stage, seq) for seq in (1, 2)])
    await stage.end(taken, lease, Succeeded())
    return made.id


async def test_lines_of_a_week_that_the_release_before_made_wait_in_the_default_partition(
    stage: Stage,
) -> None:
    week = Week.of(stage.clock.now()).later(-10)
    await made_by_the_release_before(stage, week)
    task_id = await lines_of(stage, week)
    assert await rows_in(stage.sql, "task_log_default") == 2
    assert await partitions.repair(stage.database) == [week]
    assert await rows_in(stage.sql, "task_log_default") == 0
    assert await rows_in(stage.sql, f"task_log_{week.suffix}") == 2
    assert len(await stored_lines(stage, task_id)) == 2
    assert await partitions.repair(stage.database) == []


async def test_a_week_ahead_that_the_release_before_made_gets_a_partition_for_lines(
    stage: Stage,
) -> None:
    week = Week.of(stage.clock.now()).later(5)
    await made_by_the_release_before(stage, week)
    await lines_of(stage, week)
    assert await partitions.ensure(stage.database, week.start) == [week.later(n) for n in range(5)]
    assert await rows_in(stage.sql, f"task_log_{week.suffix}") == 2


async def test_housekeeping_makes_repairs_and_drops(stage: Stage) -> None:
    week, _ = await old_week(stage)
    stray = Week.of(stage.clock.now()).later(-2)
    async with creating_at(stage, stray.start + timedelta(days=1)) as creation:
        await creation.create(a_draft())
    await housekeeping(stage, keep_tasks=timedelta(weeks=5))
    attached = await partitions.attached(stage.database)
    assert week not in attached
    assert stray in attached
    await assert_safe(stage.sql)
