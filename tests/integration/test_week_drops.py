"""Weeks past their retention are dropped: exactly, without reading them, and nobody waits for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Status, Succeeded
from taskmill.storage import counts, partition_locks, partitions, task_log, week_drops
from taskmill.storage.week_drops import drop_finished
from taskmill.storage.weeks import Week
from tests.support.builders import a_draft, a_key
from tests.support.housekeeping import duties
from tests.support.locks import until_blocked
from tests.support.log_lines import a_line
from tests.support.old_weeks import made_by_the_release_before, old_week, rows_in
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage

KEEP = timedelta(weeks=3)


async def drop_old(stage: Stage) -> list[Week]:
    return await drop_finished(stage.maintenance_database, stage.clock.now(), KEEP)


@pytest.fixture
def quick_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow one another sooner."""
    monkeypatch.setattr(partition_locks, "_PAUSES_S", (0.2, 0.2))


@pytest.fixture
def never_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting a week fails the test."""
    monkeypatch.setattr(counts, "count_week", None)


@asynccontextmanager
async def reading(stage: Stage) -> AsyncIterator[None]:
    """Hold the tables of tasks as a dump does."""
    async with stage.sql.transaction():
        await stage.sql.execute(
            "LOCK TABLE taskmill.task, taskmill.task_event IN ACCESS SHARE MODE"
        )
        yield


async def test_a_finished_week_is_dropped_with_its_keys_and_counts(stage: Stage) -> None:
    week, task_id = await old_week(stage)
    young = await stage.created(idempotency=a_key("young"), queue="q1")
    await counts.fold(stage.maintenance_database)
    dropped = await drop_old(stage)
    assert week in dropped
    assert week not in await partitions.attached(stage.database)
    assert await counts.by_queue(stage.database) == {"q1": {Status.NEW: 1}}
    rows = await stage.sql.fetch("SELECT task_id FROM taskmill.idempotency")
    assert [row["task_id"] for row in rows] == [young.id]
    assert (
        await stage.sql.fetchval(
            "SELECT count(*) FROM taskmill.task_event WHERE task_id <> $1", young.id
        )
        == 0
    )
    assert await rows_in(stage.sql, "task_log") == 0
    fresh = await stage.creation.create(a_draft(idempotency=a_key("10/0")))
    assert not fresh.replayed
    assert fresh.task.id != task_id


async def test_a_week_is_retained_as_long_as_promised(stage: Stage) -> None:
    week, _ = await old_week(stage)
    now = week.end + timedelta(weeks=3)
    early = await drop_finished(stage.maintenance_database, now - timedelta(seconds=1), KEEP)
    assert week not in early
    assert week in await drop_finished(stage.maintenance_database, now, KEEP)


async def test_a_week_with_an_unfinished_task_is_not_dropped(stage: Stage) -> None:
    week, _ = await old_week(stage, finished=False)
    assert week not in await drop_old(stage)
    assert await rows_in(stage.sql, f"task_{week.suffix}") == 10
    await assert_safe(stage.sql)


async def test_a_week_whose_task_was_lost_from_what_waits_is_not_dropped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    week, _ = await old_week(stage, finished=False)
    await stage.sql.execute("DELETE FROM taskmill.dispatch")
    reported: list[str] = []
    monkeypatch.setattr(week_drops, "_report_retained", lambda _, reason: reported.append(reason))
    assert week not in await drop_old(stage)
    assert "neither wait nor run" in reported[0]
    assert await rows_in(stage.sql, f"task_{week.suffix}") == 10


async def test_a_week_without_a_partition_for_lines_is_dropped_too(stage: Stage) -> None:
    week = Week.of(stage.clock.now()).later(-10)
    await made_by_the_release_before(stage, week)
    assert week in await drop_old(stage)


async def test_lines_whose_week_the_release_before_dropped_are_dropped_later(stage: Stage) -> None:
    week, _ = await old_week(stage)
    assert await rows_in(stage.sql, f"task_log_{week.suffix}") == 10
    await stage.sql.execute(
        f"DROP TABLE taskmill.task_{week.suffix}, taskmill.task_event_{week.suffix}"
    )
    await drop_finished(stage.maintenance_database, stage.clock.now(), timedelta(weeks=50))
    assert await rows_in(stage.sql, "task_log") == 0
    assert await partitions.repair(stage.database) == []
    assert week not in await partitions.attached(stage.database)


@pytest.mark.usefixtures("never_counted")
async def test_a_drop_reads_no_task_and_counters_stay_exact(stage: Stage) -> None:
    week, _ = await old_week(stage)
    other, retried = await old_week(stage, weeks_ago=9)
    await counts.fold(stage.maintenance_database)
    # The statements that change a status: none of them may leave its week out.
    await stage.service.retry(retried)
    lease = await stage.open_lease()
    for taken in await stage.take(lease):
        await stage.end(taken, lease, Succeeded())
    assert set(await drop_finished(stage.maintenance_database, week.end + KEEP, KEEP)) >= {week}
    await assert_safe(stage.sql)
    assert other in await drop_old(stage)
    assert await counts.by_queue(stage.database) == {}
    await counts.fold(stage.maintenance_database)
    await drop_old(stage)
    assert await rows_in(stage.sql, "task_week_count") == 0
    assert await rows_in(stage.sql, "task_count") == 0


# What the release before did once a second.
_FOLD_OF_BEFORE = """
    WITH folded AS (DELETE FROM taskmill.task_count RETURNING queue, status, tasks)
    INSERT INTO taskmill.task_count (queue, status, tasks)
    SELECT queue, status, sum(tasks)::bigint FROM folded GROUP BY queue, status HAVING sum(tasks) <> 0
"""


async def test_weeks_that_the_release_before_counted_are_counted_once_more(stage: Stage) -> None:
    week, _ = await old_week(stage)
    await stage.sql.execute(_FOLD_OF_BEFORE)
    other, retried = await old_week(stage, weeks_ago=9)
    await counts.fold(stage.maintenance_database)
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task_week_count") > 0
    dropped = await drop_finished(stage.maintenance_database, week.end + KEEP, KEEP)
    assert week in dropped
    await assert_safe(stage.sql)
    # From here on every task is counted by week again.
    assert not await stage.database.fetch_value("has_counts_without_week")
    await stage.service.retry(retried)
    await stage.sql.execute(_FOLD_OF_BEFORE)
    assert await stage.database.fetch_value("has_counts_without_week")
    await stage.service.cancel(retried)
    assert other in await drop_old(stage)
    assert await counts.by_queue(stage.database) == {}


async def test_counters_of_a_week_that_the_release_before_dropped_are_deleted(stage: Stage) -> None:
    week, _ = await old_week(stage)
    await counts.fold(stage.maintenance_database)
    await stage.sql.execute(f"""
        INSERT INTO taskmill.task_count (queue, status, tasks)
        SELECT queue, final_status, -count(*) FROM taskmill.task_{week.suffix} GROUP BY queue, final_status;
        DELETE FROM taskmill.idempotency;
        DROP TABLE taskmill.task_{week.suffix}, taskmill.task_event_{week.suffix};
    """)  # noqa: S608 - our own names
    await counts.fold(stage.maintenance_database)
    await drop_old(stage)
    assert await rows_in(stage.sql, "task_week_count") == 0
    assert not await stage.database.fetch_value("has_counts_without_week")
    assert await counts.by_queue(stage.database) == {}
    await assert_safe(stage.sql)


async def test_two_processes_that_count_a_week_count_it_once(stage: Stage) -> None:
    week, _ = await old_week(stage)
    await stage.sql.execute(_FOLD_OF_BEFORE)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(counts.count_week(stage.database, week.monday, week.bounds))
    await assert_safe(stage.sql)
    assert not await stage.database.fetch_value("has_counts_without_week")


@pytest.mark.usefixtures("quick_tries")
async def test_while_a_dump_holds_the_tables_nobody_waits_for_long(stage: Stage) -> None:
    week, _ = await old_week(stage)
    load = _Load(stage)
    longest_s = 0.0

    async def watch() -> None:
        nonlocal longest_s
        while not load.stop.is_set():
            began = asyncio.get_running_loop().time()
            await stage.database.fetch("last_task_id")
            longest_s = max(longest_s, asyncio.get_running_loop().time() - began)

    async with asyncio.TaskGroup() as group:
        group.create_task(load.run("load"))
        group.create_task(watch())
        async with reading(stage):
            with pytest.raises(Unavailable):
                await drop_old(stage)
            assert await rows_in(stage.sql, f"task_{week.suffix}") == 10
            with pytest.raises(Unavailable):
                await partitions.ensure(stage.database, stage.clock.now() + timedelta(weeks=1))
        assert week in await drop_old(stage)
        load.stop.set()
    # 50 ms, and what a busy machine adds. Before, all waited for 2 s.
    assert longest_s < 1
    await assert_safe(stage.sql)


@pytest.mark.usefixtures("quick_tries")
async def test_a_drop_tries_again_until_a_reader_is_gone(stage: Stage) -> None:
    week, _ = await old_week(stage)
    async with asyncio.TaskGroup() as group, reading(stage):
        drop = group.create_task(drop_old(stage))
        await until_blocked(stage)
    assert week in drop.result()


@pytest.mark.usefixtures("quick_tries")
async def test_a_task_that_runs_again_just_before_the_drop_keeps_its_week(stage: Stage) -> None:
    week, task_id = await old_week(stage)
    async with asyncio.TaskGroup() as group, reading(stage):
        drop = group.create_task(drop_old(stage))
        await until_blocked(stage)
        await stage.service.retry(task_id)
    assert week not in drop.result()
    assert (await stage.task(task_id)).status is Status.NEW
    await assert_safe(stage.sql)


async def test_a_week_that_can_never_be_dropped_keeps_no_other_week_and_no_other_duty(
    stage: Stage,
) -> None:
    stuck, _ = await old_week(stage)
    week, _ = await old_week(stage, weeks_ago=9)
    await stage.sql.execute(
        f"CREATE VIEW public.report AS SELECT id FROM taskmill.task_{stuck.suffix}"  # noqa: S608 - our own names
    )
    with pytest.raises(asyncpg.DependentObjectsStillExistError):
        await drop_old(stage)
    attached = await partitions.attached(stage.database)
    assert stuck in attached
    assert week not in attached
    await assert_safe(stage.sql)
    failed = []
    for name, duty in duties(stage, keep_tasks=KEEP).items():
        try:
            await duty()
        except asyncpg.DependentObjectsStillExistError:
            failed.append(name)
    assert failed == ["drop-weeks"]
    await stage.sql.execute("DROP VIEW public.report")
    assert stuck in await drop_old(stage)


async def test_keys_are_deleted_in_parts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(week_drops, "_KEYS_AT_ONCE", 3)
    week, _ = await old_week(stage)
    assert await rows_in(stage.sql, "idempotency") == 10
    assert week in await drop_old(stage)
    assert await rows_in(stage.sql, "idempotency") == 0


async def test_processes_that_drop_at_once_drop_each_week_once(stage: Stage) -> None:
    week, _ = await old_week(stage)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(drop_old(stage)) for _ in range(3)]
    assert [week in task.result() for task in tasks].count(True) == 1
    await assert_safe(stage.sql)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("list_events", (0, 10, 1000)),
        ("list_latest_events", (10,)),
        ("find_explain_snapshot", ()),
        ("verify_entries", (UUID(int=2**128 - 1),)),
    ],
)
async def test_reads_of_a_history_lock_the_tables_in_the_order_of_a_drop(
    stage: Stage, name: str, more: tuple[object, ...]
) -> None:
    """While one waits for the first, nobody waits for it."""
    taken = await stage.running(await stage.open_lease())
    async with asyncio.TaskGroup() as group, stage.sql.transaction():
        await stage.sql.execute("LOCK TABLE taskmill.task IN ACCESS EXCLUSIVE MODE")
        request = group.create_task(stage.database.fetch(name, taken.task.id, *more))
        await until_blocked(stage)
        await stage.sql.execute("LOCK TABLE taskmill.task_event IN ACCESS EXCLUSIVE MODE NOWAIT")
    assert request.result() is not None


@pytest.mark.parametrize("name", ["read_changes", "find_own_ends"])
async def test_reads_of_several_histories_lock_them_in_the_same_order(
    stage: Stage, name: str
) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    columns = ([taken.task.id], [2]) if name == "read_changes" else ([taken.task.id], [lease], [1])
    async with asyncio.TaskGroup() as group, stage.sql.transaction():
        await stage.sql.execute("LOCK TABLE taskmill.task IN ACCESS EXCLUSIVE MODE")
        request = group.create_task(stage.database.fetch(name, *columns))
        await until_blocked(stage)
        await stage.sql.execute("LOCK TABLE taskmill.task_event IN ACCESS EXCLUSIVE MODE NOWAIT")
    assert len(request.result()) == (name == "read_changes")


async def test_dropping_under_load_blocks_nobody(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.faults._COLLISION_CLASS", "no deadlock is tried again")
    weeks = [Week.of(stage.clock.now()).later(-n) for n in range(9, 15)]
    for week in weeks:
        await partitions.ensure(stage.database, week.start)
    load = _Load(stage)

    async def drop() -> None:
        for week in weeks:
            await load.goes_on()
            await drop_finished(stage.maintenance_database, week.end + KEEP, KEEP)
        load.stop.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(drop())
        for number in range(4):
            group.create_task(load.run(f"{number}"))
    assert not set(weeks) & set(await partitions.attached(stage.database))
    await assert_safe(stage.sql)


class _Load:
    """Creates, claims and ends; its batches repeat keys, so they read tasks while they write others."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._rounds = 0
        self.stop = asyncio.Event()

    async def run(self, name: str) -> None:
        lease = await self._stage.open_lease()
        while not self.stop.is_set():
            keys = (f"{name}-{self._rounds}", f"{name}-{self._rounds - 1}")
            await self._stage.creation.create_all([a_draft(idempotency=a_key(key)) for key in keys])
            for taken in await self._stage.take(lease):
                line = a_line(taken, self._stage)
                await task_log.store(self._stage.database, [line])
                await self._stage.end(taken, lease, Succeeded())
            self._rounds += 1

    async def goes_on(self) -> None:
        """Wait for some more rounds."""
        seen = self._rounds

        async def moved() -> bool:
            return self._rounds >= seen + 4

        await eventually(moved, "some more load")
