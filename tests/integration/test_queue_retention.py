"""A queue keeps its ended tasks for its own time: what is past it goes one by one, and a week stays for it."""

import asyncio
from collections.abc import Collection
from datetime import timedelta

import asyncpg
import pytest

from taskmill.domain.lifecycle import Permanent, Status, Succeeded
from taskmill.domain.retention import LONGEST_KEEP, SHORTEST_KEEP
from taskmill.maintenance import task_pruning
from taskmill.operations.queues import tidy
from taskmill.storage import counts, partitions, progress, pruned_tasks, queues, task_log
from taskmill.storage.callbacks import NewCallback, insert
from taskmill.storage.progress import Report
from taskmill.storage.week_drops import drop_finished
from taskmill.storage.weeks import Week
from tests.support.builders import ERROR, a_draft, a_fence, a_key
from tests.support.log_lines import a_line
from tests.support.old_weeks import creating_at, old_week, rows_in
from tests.support.pruning import DAY, a_pass, ended, made_older, pruning, remaining
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.verifying import found_in

KEEP = timedelta(days=365)


async def test_ended_tasks_go_when_their_queues_time_is_over_with_all_that_belongs_to_them(
    stage: Stage,
) -> None:
    lease = await stage.open_lease()
    async with creating_at(stage, stage.clock.now() - 3.2 * DAY) as creation:
        await creation.create(a_draft(queue="brief", idempotency=a_key("order-1")))
    [taken] = await stage.take(lease, queue="brief")
    async with stage.database.hot_transaction() as connection:
        await insert(connection, [NewCallback(taken.task.id, "http://a/", "http://a")])
    await task_log.store(stage.database, [a_line(taken, stage)])
    await progress.store(stage.database, [Report(fence=a_fence(taken, lease), share=0.5)])
    await stage.end(taken, lease, Succeeded())
    kept = await ended(stage, "other", ago=4 * DAY)
    await stage.service.set_queue_keep("brief", 3 * DAY)

    await made_older(stage, [taken.task.id], 2.9 * DAY)
    await a_pass(pruning(stage))
    assert taken.task.id in await remaining(stage)
    await made_older(stage, [taken.task.id], 0.2 * DAY)
    await a_pass(pruning(stage))

    assert await remaining(stage) == set(kept)
    for table in ("task_log", "task_progress", "task_callback"):
        assert await rows_in(stage.sql, table) == 0
    await counts.fold(stage.maintenance_database)
    assert await counts.by_queue(stage.database) == {"other": {Status.SUCCEEDED: 3}}
    await assert_safe(stage.sql)


async def test_verify_misses_nothing_that_went_as_its_queue_says(stage: Stage) -> None:
    gone = await ended(stage, "brief", 5)
    await ended(stage, "other")
    await stage.service.set_queue_keep("brief", SHORTEST_KEEP)
    await a_pass(pruning(stage))
    assert not set(gone) & await remaining(stage)
    assert await found_in(stage.database) == {}


async def test_verify_still_finds_a_task_that_was_lost(stage: Stage) -> None:
    [old, *_] = await ended(stage, "other", ago=1.1 * DAY)
    await ended(stage, "brief")
    await stage.service.set_queue_keep("brief", SHORTEST_KEEP)
    await a_pass(pruning(stage))
    for table, column in (("task_event", "task_id"), ("task", "id")):
        await stage.sql.execute(f"DELETE FROM taskmill.{table} WHERE {column} = $1", old)  # noqa: S608 - our own names
    # It was created before the moment that the note names, so the feed may lack it; the counters have it.
    assert set(await found_in(stage.database)) == {"counter_drift"}
    await stage.sql.execute("DELETE FROM taskmill.pruned_queue")
    assert set(await found_in(stage.database)) == {"change_unknown", "counter_drift"}


async def test_what_waits_or_runs_or_ended_too_recently_stays(stage: Stage) -> None:
    lease = await stage.open_lease()
    await stage.service.set_queue_keep("brief", SHORTEST_KEEP)
    running = await stage.running(lease, queue="brief")
    waiting = await stage.created(queue="brief")
    long_ago = Week.of(stage.clock.now()).later(-2)
    await partitions.ensure(stage.database, long_ago.start)
    async with creating_at(stage, long_ago.start + DAY) as creation:
        late = (await creation.create(a_draft(queue="late"))).task
    [taken] = await stage.take(lease, queue="late")
    await stage.end(taken, lease, Succeeded())
    await stage.service.set_queue_keep("late", DAY)

    await made_older(stage, [late.id], 0.9 * DAY)
    await a_pass(pruning(stage))
    assert await remaining(stage) == {running.task.id, waiting.id, late.id}
    await made_older(stage, [late.id], 0.2 * DAY)
    await a_pass(pruning(stage))
    assert await remaining(stage) == {running.task.id, waiting.id}
    await assert_safe(stage.sql)


async def test_a_queue_without_a_time_of_its_own_loses_nothing(stage: Stage) -> None:
    kept = await ended(stage, "brief")
    await a_pass(pruning(stage))
    await stage.service.set_queue_keep("brief", SHORTEST_KEEP)
    await stage.service.set_queue_keep("brief", None)
    await a_pass(pruning(stage))
    assert await remaining(stage) == set(kept)


async def test_a_pass_goes_on_in_batches_and_rounds(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_pruning, "_TASKS_AT_ONCE", 2)
    monkeypatch.setattr(task_pruning, "_BATCHES_A_ROUND", 1)
    await ended(stage, "brief", 5)
    await ended(stage, "brief", 1, ago=1.1 * DAY, outcome=Permanent(error=ERROR))
    await stage.service.set_queue_keep("brief", SHORTEST_KEEP)
    duty = pruning(stage)
    rounds = [await duty() for _ in range(4)]
    # The failed one, then two, two and one of those that succeeded.
    assert rounds == [True, True, True, False]
    assert await remaining(stage) == set()
    await assert_safe(stage.sql)


async def test_a_task_that_runs_again_just_before_is_not_deleted(stage: Stage) -> None:
    [task_id] = await ended(stage, "brief", 1)
    await stage.service.set_queue_keep("brief", SHORTEST_KEEP)
    async with stage.sql.transaction():
        await stage.sql.execute("SELECT FROM taskmill.task WHERE id = $1 FOR UPDATE", task_id)
        await a_pass(pruning(stage))
    assert await remaining(stage) == {task_id}
    await stage.service.retry(task_id)
    await a_pass(pruning(stage))
    assert (await stage.task(task_id)).status is Status.NEW
    await assert_safe(stage.sql)


async def test_processes_that_prune_at_once_delete_each_task_once(stage: Stage) -> None:
    await ended(stage, "brief", 10)
    await stage.service.set_queue_keep("brief", SHORTEST_KEEP)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(a_pass(pruning(stage)))
    assert await remaining(stage) == set()
    await assert_safe(stage.sql)


OLD_KEEP = timedelta(weeks=3)


async def dropped_now(stage: Stage) -> Collection[Week]:
    return await drop_finished(stage.maintenance_database, stage.clock.now(), OLD_KEEP)


async def test_a_week_stays_for_a_queue_that_keeps_its_tasks_for_longer(stage: Stage) -> None:
    week, _ = await old_week(stage)
    await stage.service.set_queue_keep("q0", LONGEST_KEEP)
    assert week not in await dropped_now(stage)
    # The other queue's tasks are past the time of the settings, but ended just now.
    await a_pass(pruning(stage, OLD_KEEP))
    assert len(await remaining(stage)) == 10
    await made_older(stage, list(await remaining(stage)), OLD_KEEP)
    await a_pass(pruning(stage, OLD_KEEP))
    rows = await stage.sql.fetch("SELECT DISTINCT queue FROM taskmill.task")
    assert [row["queue"] for row in rows] == ["q0"]
    assert len(await remaining(stage)) == 5
    await assert_safe(stage.sql)

    await stage.service.set_queue_keep("q0", None)
    assert week in await dropped_now(stage)
    await assert_safe(stage.sql)


async def test_with_an_archive_a_week_that_stays_for_a_queue_stays_whole(stage: Stage) -> None:
    await old_week(stage)
    await made_older(stage, list(await remaining(stage)), OLD_KEEP)
    await stage.service.set_queue_keep("q0", LONGEST_KEEP)
    await a_pass(pruning(stage, OLD_KEEP, is_archived=True))
    assert len(await remaining(stage)) == 10
    await stage.service.set_queue_keep("q1", DAY)
    await a_pass(pruning(stage, OLD_KEEP, is_archived=True))
    assert len(await remaining(stage)) == 5


async def test_a_time_that_is_over_keeps_no_week(stage: Stage) -> None:
    week, _ = await old_week(stage)
    await stage.service.set_queue_keep("q0", timedelta(weeks=8))
    assert week in await dropped_now(stage)


async def test_a_week_stays_until_tasks_that_ended_late_are_past_their_queues_shorter_time(
    stage: Stage,
) -> None:
    week, _ = await old_week(stage)
    await stage.service.set_queue_keep("q0", 2 * DAY)
    # They waited for weeks, and ended just now.
    assert week not in await dropped_now(stage)
    await made_older(stage, list(await remaining(stage)), 2 * DAY)
    await a_pass(pruning(stage, OLD_KEEP))
    assert len(await remaining(stage)) == 5
    assert week in await dropped_now(stage)


async def test_the_database_drops_no_week_that_a_queue_keeps_whoever_asks(stage: Stage) -> None:
    """A process of the release before knows no queue's time."""
    week, _ = await old_week(stage)
    await stage.service.set_queue_keep("q1", LONGEST_KEEP)
    async with stage.maintenance_database.hot() as connection:
        with pytest.raises(asyncpg.RaiseError, match="queue q1 keeps its tasks for longer"):
            await connection.execute(f"SELECT taskmill.drop_week('{week.monday}')")
    assert await rows_in(stage.sql, f"task_{week.suffix}") == 10


async def test_a_week_in_which_no_task_is_left_is_dropped_early(stage: Stage) -> None:
    week, _ = await old_week(stage)
    for name in ("q0", "q1"):
        await stage.service.set_queue_keep(name, DAY)
    now = stage.clock.now()
    await drop_finished(stage.maintenance_database, now, KEEP)
    assert week in await partitions.attached(stage.database)
    await made_older(stage, list(await remaining(stage)), 2 * DAY)
    await a_pass(pruning(stage))
    this = Week.of(now)
    assert week in await drop_finished(stage.maintenance_database, now, KEEP)
    assert [this.later(n) for n in range(-1, 5)] == await partitions.attached(stage.database)
    # The keys of its tasks hold until they run out.
    assert await rows_in(stage.sql, "idempotency") == 10
    assert await found_in(stage.database) == {}
    await assert_safe(stage.sql)


async def test_notes_about_what_went_end_with_the_weeks(stage: Stage) -> None:
    await old_week(stage)
    await stage.service.set_queue_keep("q0", DAY)
    await a_pass(pruning(stage))
    assert await rows_in(stage.sql, "pruned_queue") == 0
    await made_older(stage, list(await remaining(stage)), DAY)
    await a_pass(pruning(stage))
    assert await rows_in(stage.sql, "pruned_queue") == 1
    await stage.sql.execute("UPDATE taskmill.pruned_queue SET created_before = '2020-01-01'")
    await pruned_tasks.forget(stage.maintenance_database)
    assert await rows_in(stage.sql, "pruned_queue") == 0


async def test_a_queue_with_a_time_of_its_own_is_not_removed_while_it_is_empty(
    stage: Stage,
) -> None:
    await stage.service.set_queue_keep("brief", DAY)
    await stage.sql.execute("UPDATE taskmill.queue SET created_at = now() - interval '2 days'")
    await tidy(stage.maintenance_database)
    assert "brief" in await queues.names(stage.database)
    await stage.service.set_queue_keep("brief", None)
    await tidy(stage.maintenance_database)
    assert "brief" not in await queues.names(stage.database)


@pytest.mark.parametrize("keep", [SHORTEST_KEEP - timedelta(seconds=1), LONGEST_KEEP + DAY])
async def test_the_database_refuses_a_time_that_is_too_short_or_too_long(
    stage: Stage, keep: timedelta
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await stage.service.set_queue_keep("brief", keep)
