"""Rescheduling: a waiting task gets another due time, priority or queue, and nothing else of it changes."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import pytest

from taskmill.domain.errors import (
    InvalidInput,
    QueueLimitReached,
    TaskNotFound,
    TransitionRefused,
    VersionMismatch,
)
from taskmill.domain.lifecycle import EventType, Failed, Interrupted, Status, Succeeded
from taskmill.domain.rescheduling import Rescheduling
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import Task
from taskmill.maintenance.expiry import expire_waiting
from taskmill.storage.statements import statement
from tests.support.builders import ERROR
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.verifying import found_in

NOW = Rescheduling(delay=timedelta(0))
HOUR = timedelta(hours=1)
SLOW = RetryPolicy(base=HOUR, factor=1, jitter=0)


async def assert_sound(stage: Stage) -> None:
    await assert_safe(stage.sql)
    assert await found_in(stage.database) == {}


async def test_a_scheduled_task_runs_now(stage: Stage) -> None:
    lease = await stage.open_lease()
    made = await stage.created(delay=HOUR)
    assert await stage.take(lease) == []
    task = await stage.service.reschedule(made.id, NOW)
    assert (task.status, task.version, task.attempt) == (Status.NEW, 2, 0)
    assert task.run_at == task.updated_at
    [taken] = await stage.take(lease)
    assert taken.task.id == made.id
    await stage.end(taken, lease, Succeeded())
    events = await stage.service.reading.events(made.id)
    assert [(event.event_type, event.reason) for event in events] == [
        (EventType.CREATED, None),
        (EventType.RESCHEDULED, "operator"),
        (EventType.CLAIMED, None),
        (EventType.SUCCEEDED, None),
    ]
    await assert_sound(stage)


async def test_the_pause_before_a_retry_is_skipped_and_no_attempt_is_lost(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, max_attempts=3, retry=SLOW)
    await stage.end(taken, lease, Failed(error=ERROR))
    task = await stage.service.reschedule(taken.task.id, NOW)
    assert (task.attempt, task.max_attempts, task.error is None) == (1, 3, False)
    [again] = await stage.take(lease)
    assert again.task.attempt == 2
    await assert_sound(stage)


async def test_a_task_moves_to_another_queue_and_is_counted_there(stage: Stage) -> None:
    lease = await stage.open_lease()
    made = await stage.created(queue="mail", priority=1)
    task = await stage.service.reschedule(made.id, Rescheduling(queue="urgent", priority=9))
    assert (task.queue, task.priority, task.run_at) == ("urgent", 9, made.run_at)
    counts = {one.name: one.counts.get(Status.NEW, 0) for one in await stage.service.queues()}
    assert counts == {"mail": 0, "urgent": 1}
    assert await stage.take(lease, queue="mail") == []
    assert [one.task.id for one in await stage.take(lease, queue="urgent")] == [made.id]
    await assert_sound(stage)


async def test_a_task_that_waits_like_that_already_is_left_alone(stage: Stage) -> None:
    made = await stage.created(queue="mail", priority=1)
    same = Rescheduling(queue="mail", priority=1, delay=timedelta(0))
    assert await stage.service.reschedule(made.id, same) == made
    assert await stage.event_types(made.id) == ["created"]


async def test_what_runs_or_has_ended_is_refused(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    with pytest.raises(TransitionRefused, match=r"can't reschedule .* it is in_progress"):
        await stage.service.reschedule(taken.task.id, NOW)
    await stage.end(taken, lease, Succeeded())
    with pytest.raises(TransitionRefused, match="it is succeeded"):
        await stage.service.reschedule(taken.task.id, Rescheduling(queue="other"))
    assert [one.name for one in await stage.service.queues()] == ["default"]
    with pytest.raises(TaskNotFound):
        await stage.service.reschedule(stage.ids(), NOW)


async def test_only_the_named_versions_are_changed(stage: Stage) -> None:
    made = await stage.created()
    urgent = Rescheduling(priority=9)
    with pytest.raises(VersionMismatch):
        await stage.service.reschedule(made.id, urgent, versions={2})
    assert (await stage.service.reschedule(made.id, urgent, versions={1, 7})).version == 2


async def test_a_guard_refuses_before_anything_is_changed(stage: Stage) -> None:
    made = await stage.created()

    def guard(task: Task) -> None:
        assert task.id == made.id
        raise QueueLimitReached(0)

    with pytest.raises(QueueLimitReached):
        await stage.service.reschedule(made.id, Rescheduling(queue="other"), guard=guard)
    assert await stage.task(made.id) == made
    assert [one.name for one in await stage.service.queues()] == ["default"]


async def test_a_task_expires_as_before(stage: Stage) -> None:
    made = await stage.created(delay=HOUR, expires_at=stage.clock.now() + 2 * HOUR)
    with pytest.raises(InvalidInput):
        await stage.service.reschedule(made.id, Rescheduling(delay=3 * HOUR))
    await stage.service.reschedule(made.id, Rescheduling(delay=HOUR / 2))
    await stage.sql.execute(
        "UPDATE taskmill.dispatch SET expires_at = now() WHERE task_id = $1", made.id
    )
    await expire_waiting(stage.database)
    assert (await stage.task(made.id)).status is Status.FAILED


async def test_a_cancel_of_the_version_before_is_refused_though_it_waited(stage: Stage) -> None:
    made = await stage.created()

    async def blocked() -> bool:
        waiting: int = await stage.sql.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return waiting > 0

    async with asyncio.TaskGroup() as group:
        async with stage.database.hot() as connection, connection.transaction():
            arguments = (made.id, 1, made.queue, 9, made.run_at)
            assert await connection.fetch(statement("reschedule_task"), *arguments)
            cancelling = group.create_task(refused_cancel(stage, made.id))
            await eventually(blocked, "the cancel waits")
        assert (await cancelling).version == 2
    assert (await stage.task(made.id)).status is Status.NEW
    await assert_sound(stage)


async def refused_cancel(stage: Stage, task_id: UUID) -> VersionMismatch:
    """Cancel the first version of a task, and return why that is refused."""
    with pytest.raises(VersionMismatch) as caught:
        await stage.service.cancel(task_id, {1})
    return caught.value


async def test_rescheduling_and_claims_at_once_leave_each_task_in_one_place(stage: Stage) -> None:
    lease = await stage.open_lease()
    made = [await stage.created(max_losses=100) for _ in range(5)]

    async def move() -> None:
        for number in range(40):
            for task in made:
                wanted = Rescheduling(priority=number % 10, queue=f"q{number % 3}")
                with suppress(TransitionRefused):
                    await stage.service.reschedule(task.id, wanted)

    async def claim() -> None:
        for _ in range(60):
            for taken in await stage.take(lease):
                await stage.end(taken, lease, Interrupted())

    async with asyncio.TaskGroup() as group:
        group.create_task(move())
        group.create_task(claim())
    assert {(await stage.task(one.id)).status for one in made} == {Status.NEW}
    await assert_sound(stage)


async def test_a_task_keeps_whose_quota_it_counts_for(stage: Stage) -> None:
    made = await stage.created()
    await stage.sql.execute(
        "UPDATE taskmill.dispatch SET owner = 'team', bytes = 7 WHERE task_id = $1", made.id
    )
    await stage.service.reschedule(made.id, Rescheduling(queue="other"))
    row = await stage.sql.fetchrow("SELECT queue, owner, bytes FROM taskmill.dispatch")
    assert row is not None
    assert tuple(row) == ("other", "team", 7)
