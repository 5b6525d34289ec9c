"""Cancelling, retrying, expiring and pausing."""

import asyncio
from datetime import timedelta

import pytest

from taskmill.domain.errors import TaskNotFound, TransitionRefused, Unavailable
from taskmill.domain.lifecycle import Cancelled, Failed, Interrupted, Lost, Status, Succeeded
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.system import CancelResult
from taskmill.maintenance.expiry import expire_waiting
from tests.support.builders import ERROR, a_draft
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage


async def test_a_waiting_task_is_cancelled_at_once_and_never_runs(stage: Stage) -> None:
    lease = await stage.open_lease()
    made = await stage.created()
    result, task = await stage.service.cancel(made.id)
    assert (result, task.status) == (CancelResult.CANCELLED, Status.CANCELLED)
    assert task.finished_at is not None
    assert await stage.take(lease) == []
    assert await stage.event_types(made.id) == ["created", "cancelled"]
    await assert_safe(stage.sql)


async def test_a_cancel_of_a_running_task_is_recorded_once_and_ends_it(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    result, task = await stage.service.cancel(taken.task.id)
    assert (result, task.status, task.cancel_requested) == ("requested", Status.IN_PROGRESS, True)
    again, same = await stage.service.cancel(taken.task.id)
    assert (again, same.version) == (CancelResult.REQUESTED, task.version)
    await stage.end(taken, lease, Cancelled())
    assert (await stage.task(taken.task.id)).status is Status.CANCELLED
    events = await stage.service.reading.events(taken.task.id)
    assert [str(event.event_type) for event in events] == [
        "created",
        "claimed",
        "cancel_requested",
        "cancelled",
    ]
    await assert_safe(stage.sql)


async def test_a_finished_task_can_not_be_cancelled(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    await stage.end(taken, lease, Succeeded())
    before = await stage.task(taken.task.id)
    with pytest.raises(TransitionRefused) as refused:
        await stage.service.cancel(taken.task.id)
    assert refused.value.status is Status.SUCCEEDED
    assert await stage.task(taken.task.id) == before


async def test_an_unknown_task_can_not_be_cancelled_or_retried(stage: Stage) -> None:
    for steer in (stage.service.cancel, stage.service.retry, stage.service.reading.events):
        with pytest.raises(TaskNotFound):
            await steer(stage.ids())
    with pytest.raises(TaskNotFound):
        await stage.service.reading.get(stage.ids())


async def test_a_task_that_keeps_moving_is_cancelled_nevertheless(stage: Stage) -> None:
    lease = await stage.open_lease()
    made = await stage.created(max_losses=1000)

    async def move() -> None:
        for _ in range(60):
            for taken in await stage.take(lease):
                await stage.end(taken, lease, Interrupted())

    async with asyncio.TaskGroup() as group:
        moving = group.create_task(move())
        result = None
        while result is None and not moving.done():
            try:
                result, _ = await stage.service.cancel(made.id)
            except Unavailable:
                continue
    assert result is not None
    assert (await stage.task(made.id)).status is Status.CANCELLED
    await assert_safe(stage.sql)


@pytest.mark.parametrize("ending", [Succeeded(result="1"), Failed(error=ERROR), Cancelled()])
async def test_a_finished_task_runs_again_from_the_beginning(
    stage: Stage, ending: Succeeded | Failed | Cancelled
) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    await stage.end(taken, lease, ending)
    task = await stage.service.retry(taken.task.id)
    assert (task.status, task.run, task.attempt, task.losses) == (Status.NEW, 2, 0, 0)
    assert (task.result, task.error, task.started_at, task.finished_at) == (None, None, None, None)
    assert not task.cancel_requested
    [again] = await stage.take(lease)
    assert (again.task.claim_no, again.task.run, again.task.attempt) == (2, 2, 1)
    assert await stage.end(taken, lease, Succeeded(result="stale")) is None
    await stage.end(again, lease, Succeeded(result="2"))
    assert (await stage.task(taken.task.id)).result == "2"
    await assert_safe(stage.sql)


async def test_attempts_and_losses_are_per_run(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, max_losses=1)
    await stage.end(taken, lease, Lost())
    [taken] = await stage.take(lease)
    await stage.end(taken, lease, Lost())
    await stage.service.retry(taken.task.id)
    [taken] = await stage.take(lease)
    assert (taken.task.losses, taken.task.attempt) == (0, 1)
    await stage.end(taken, lease, Lost())
    assert (await stage.task(taken.task.id)).status is Status.NEW
    await assert_safe(stage.sql)


async def test_an_unfinished_task_does_not_run_again(stage: Stage) -> None:
    lease = await stage.open_lease()
    waiting = await stage.created(delay=timedelta(hours=1))
    taken = await stage.running(lease)
    for task_id in (waiting.id, taken.task.id):
        before = await stage.task(task_id)
        with pytest.raises(TransitionRefused):
            await stage.service.retry(task_id)
        assert await stage.task(task_id) == before
    await assert_safe(stage.sql)


async def test_of_many_retries_at_once_one_succeeds(stage: Stage) -> None:
    made = await stage.created()
    await stage.service.cancel(made.id)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(_retried(stage, made.id)) for _ in range(8)]
    assert sum(task.result() for task in calls) == 1
    assert (await stage.task(made.id)).run == 2
    await assert_safe(stage.sql)


async def _retried(stage: Stage, task_id: object) -> bool:
    try:
        await stage.service.retry(task_id)  # type: ignore[arg-type]
    except TransitionRefused:
        return False
    return True


async def test_only_waiting_tasks_past_their_expiry_expire(stage: Stage) -> None:
    lease = await stage.open_lease()
    soon = stage.clock.now() + timedelta(seconds=30)
    running = await stage.running(lease, expires_at=soon)
    waiting = await stage.created(expires_at=soon)
    late = await stage.created(expires_at=stage.clock.now() - timedelta(seconds=1))
    later = await stage.created(
        expires_at=stage.clock.now() - timedelta(seconds=1), delay=timedelta(hours=1)
    )
    assert await expire_waiting(stage.maintenance_database) is False
    statuses = [
        (await stage.task(task_id)).status
        for task_id in (running.task.id, waiting.id, late.id, later.id)
    ]
    assert statuses == ["in_progress", "new", "failed", "failed"]
    expired, [*_, event] = await stage.task(late.id), await stage.service.reading.events(late.id)
    assert "Expired" in (expired.error or "")
    assert (event.event_type, event.reason) == ("expired", "expired")
    await assert_safe(stage.sql)


async def test_a_task_that_waits_for_its_next_attempt_expires_as_well(stage: Stage) -> None:
    lease = await stage.open_lease()
    policy = RetryPolicy(base=timedelta(hours=1))
    soon = stage.clock.now() + timedelta(seconds=0.5)
    taken = await stage.running(lease, expires_at=soon, max_attempts=3, retry=policy)
    await stage.end(taken, lease, Failed(error=ERROR))

    async def expires() -> bool:
        await expire_waiting(stage.maintenance_database)
        return (await stage.task(taken.task.id)).status is Status.FAILED

    assert not await expires()
    await eventually(expires, "the expiry")
    *_, failed, expired = await stage.service.reading.events(taken.task.id)
    assert (failed.event_type, "no such customer" in (failed.error or "")) == (
        "retry_scheduled",
        True,
    )
    assert (expired.event_type, expired.reason, expired.attempt) == ("expired", "expired", 1)
    await assert_safe(stage.sql)


async def test_a_task_that_expired_may_run_again_without_an_expiry(stage: Stage) -> None:
    lease = await stage.open_lease()
    made = await stage.created(expires_at=stage.clock.now() - timedelta(seconds=1))
    await expire_waiting(stage.maintenance_database)
    await stage.service.retry(made.id)
    await expire_waiting(stage.maintenance_database)
    assert [one.task.id for one in await stage.take(lease)] == [made.id]
    await assert_safe(stage.sql)


async def test_expiry_continues_where_it_stopped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.maintenance.expiry._MOST_AT_ONCE", 3)
    past = stage.clock.now() - timedelta(seconds=1)
    await stage.creation.create_all([a_draft(expires_at=past) for _ in range(7)])
    assert [await expire_waiting(stage.maintenance_database) for _ in range(3)] == [
        True,
        True,
        False,
    ]
    await assert_safe(stage.sql)


async def test_queues_have_their_pause_counts_and_oldest_due_task(stage: Stage) -> None:
    lease = await stage.open_lease()
    await stage.running(lease, queue="a")
    await stage.created(queue="a", delay=timedelta(hours=1))
    due = [await stage.created(queue="a", priority=n) for n in (1, 9)]
    await stage.created(queue="b", delay=timedelta(hours=1))
    paused = await stage.service.set_queue_paused("a", paused=True)
    again = await stage.service.set_queue_paused("a", paused=True)
    assert paused.paused_at == again.paused_at is not None
    a, b = await stage.service.queues()
    assert (a.name, a.counts) == ("a", {Status.NEW: 3, Status.IN_PROGRESS: 1})
    assert a.oldest_due_at == due[0].run_at
    assert (b.name, b.paused_at, b.oldest_due_at, b.counts) == ("b", None, None, {Status.NEW: 1})
    resumed = await stage.service.set_queue_paused("a", paused=False)
    assert resumed.paused_at is None
    assert resumed.counts == a.counts
    assert resumed.oldest_due_at == due[0].run_at


async def test_a_database_with_the_schema_is_ready(stage: Stage) -> None:
    assert (await stage.service.readiness()).is_ready
    await stage.sql.execute("UPDATE taskmill.alembic_version SET version_num = '0000'")
    state = await stage.service.readiness()
    assert not state.is_ready
    assert "taskmill migrate" in (state.parts["schema"] or "")
