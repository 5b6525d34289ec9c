"""Claiming and ending claims, against the real statements."""

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from taskmill.domain.lifecycle import (
    Cancelled,
    Failed,
    Interrupted,
    Lost,
    Outcome,
    Permanent,
    Reason,
    Retry,
    Status,
    Succeeded,
)
from taskmill.storage import claims, leases
from taskmill.storage.bucket_scan import BucketScan
from taskmill.storage.claims import Bucket, BucketStart
from tests.support.builders import AT_ONCE, ERROR, a_draft, a_fence, an_end
from tests.support.safety import assert_safe
from tests.support.stage import Stage


async def test_a_claimed_task_carries_all_that_its_handler_needs(stage: Stage) -> None:
    lease = await stage.open_lease()
    made = await stage.created(
        name="invoice",
        type="pdf",
        queue="billing",
        priority=7,
        payload={"order": 5},
        labels='{"team":"a"}',
        max_attempts=4,
        max_losses=2,
        retry=AT_ONCE,
        timeout=timedelta(seconds=9.5),
        traceparent="00-abc-def-01",
    )
    [taken] = await stage.take(lease)
    task = taken.task
    assert (task.id, task.name, task.type, task.queue, task.priority) == (
        made.id,
        "invoice",
        "pdf",
        "billing",
        7,
    )
    assert (task.claim_no, task.run, task.attempt, task.losses) == (1, 1, 1, 0)
    assert (task.max_attempts, task.max_losses, task.retry) == (4, 2, AT_ONCE)
    assert (task.timeout, task.traceparent) == (timedelta(seconds=9.5), "00-abc-def-01")
    assert (task.payload, task.created_at) == ('{"order":5}', made.created_at)
    assert 0 <= taken.waited_s < 60
    row = await stage.task(made.id)
    assert (row.status, row.version, row.attempt) == (Status.IN_PROGRESS, 2, 1)
    await assert_safe(stage.sql)


async def test_a_claim_takes_no_more_than_its_limit_and_the_most_urgent_first(stage: Stage) -> None:
    lease = await stage.open_lease()
    for priority in (0, 9, 4, 9):
        await stage.created(priority=priority)
    assert [one.task.priority for one in await stage.take(lease, limit=2)] == [9, 9]
    assert [one.task.priority for one in await stage.take(lease, limit=1)] == [4]
    assert [one.task.priority for one in await stage.take(lease)] == [0]
    assert await stage.take(lease) == []


async def test_tasks_of_a_bucket_are_claimed_in_the_order_of_their_due_times(stage: Stage) -> None:
    lease = await stage.open_lease()
    made = [await stage.created() for _ in range(5)]
    in_order = []
    for _ in made:
        [one] = await stage.take(lease, limit=1)
        in_order.append(one.task.id)
    assert in_order == [task.id for task in made]


async def test_a_scheduled_task_is_not_claimed_before_its_time(stage: Stage) -> None:
    lease = await stage.open_lease()
    await stage.created(delay=timedelta(hours=1))
    assert await stage.take(lease) == []


async def test_only_the_requested_buckets_are_claimed(stage: Stage) -> None:
    lease = await stage.open_lease()
    for queue, kind, priority in (("a", "x", 4), ("a", "y", 4), ("b", "x", 4), ("a", "x", 5)):
        await stage.created(queue=queue, type=kind, priority=priority)
    bucket = Bucket(queue="a", type="x", priority=4)
    taken = await claims.take(
        stage.database, lease_id=lease, worker="w", buckets=[(bucket, BucketStart())], limit=9
    )
    assert [(t.task.queue, t.task.type, t.task.priority) for t in taken] == [("a", "x", 4)]


async def test_a_bucket_is_read_from_the_given_start(stage: Stage) -> None:
    lease = await stage.open_lease()
    first, second = await stage.created(), await stage.created()
    bucket = Bucket(queue="default", type="emulate", priority=4)
    start = BucketStart(run_at=second.run_at, task_id=second.id)
    taken = await claims.take(
        stage.database, lease_id=lease, worker="w", buckets=[(bucket, start)], limit=9
    )
    assert [one.task.id for one in taken] == [second.id]
    assert [one.task.id for one in await stage.take(lease)] == [first.id]


async def test_nothing_is_claimed_under_a_lease_that_is_closed_expired_or_unknown(
    stage: Stage,
) -> None:
    closed, expired = await stage.open_lease(), await stage.open_lease(ttl_s=-1)
    await leases.close_lease(stage.database, closed, "stopped")
    await stage.created()
    for lease in (closed, expired, stage.ids()):
        assert await stage.take(lease) == []
    assert len(await stage.take(await stage.open_lease())) == 1


async def test_nothing_is_claimed_from_a_paused_queue(stage: Stage) -> None:
    lease = await stage.open_lease()
    await stage.created(queue="paused")
    await stage.created(queue="open")
    buckets = [
        (Bucket(queue=queue, type="emulate", priority=4), BucketStart())
        for queue in ("paused", "open")
    ]
    await stage.service.set_queue_paused("paused", paused=True)
    assert list(await BucketScan().scan(stage.database)) == [buckets[1][0]]
    taken = await claims.take(stage.database, lease_id=lease, worker="w", buckets=buckets, limit=9)
    assert [one.task.queue for one in taken] == ["open"]
    await stage.service.set_queue_paused("paused", paused=False)
    assert [one.task.queue for one in await stage.take(lease)] == ["paused"]


async def test_a_task_past_its_expiry_is_not_claimed(stage: Stage) -> None:
    lease = await stage.open_lease()
    await stage.created(expires_at=stage.clock.now() - timedelta(seconds=1))
    assert await stage.take(lease) == []


async def test_a_success_keeps_the_result_exactly_as_it_came(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    result = '{"b": 1,  "a":[1.50, "\\u0000"]}'
    ended = await stage.end(taken, lease, Succeeded(result=result))
    assert ended is not None
    task = await stage.task(taken.task.id)
    assert (task.status, task.result, task.error) == (Status.SUCCEEDED, result, None)
    assert task.finished_at is not None
    await assert_safe(stage.sql)


async def test_a_failed_attempt_is_tried_again_until_none_is_left(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, max_attempts=2)
    await stage.end(taken, lease, Failed(error=ERROR))
    waiting = await stage.task(taken.task.id)
    assert (waiting.status, waiting.attempt) == (Status.NEW, 1)
    [again] = await stage.take(lease)
    assert (again.task.attempt, again.task.claim_no) == (2, 2)
    await stage.end(again, lease, Failed(error=ERROR, reason=Reason.TIMEOUT))
    failed = await stage.task(taken.task.id)
    assert (failed.status, failed.attempt) == (Status.FAILED, 2)
    assert failed.error == '{"type": "ValueError", "message": "no such customer"}'
    events = await stage.service.reading.events(taken.task.id)
    assert [(str(e.event_type), e.reason) for e in events] == [
        ("created", None),
        ("claimed", None),
        ("retry_scheduled", "error"),
        ("claimed", None),
        ("failed", "timeout"),
    ]
    await assert_safe(stage.sql)


async def test_a_retry_waits_as_long_as_the_handler_requested(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, max_attempts=2)
    ended = await stage.end(taken, lease, Retry(error=ERROR, after=timedelta(minutes=5)))
    assert ended is not None
    task = await stage.task(taken.task.id)
    assert ended.run_at == task.run_at
    assert abs(task.run_at - task.updated_at - timedelta(minutes=5)) < timedelta(seconds=1)
    assert await stage.take(lease) == []


async def test_an_attempt_that_is_handed_back_costs_nothing(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    await stage.end(taken, lease, Interrupted())
    task = await stage.task(taken.task.id)
    assert (task.status, task.attempt, task.losses) == (Status.NEW, 0, 0)
    [again] = await stage.take(lease)
    assert (again.task.attempt, again.task.claim_no) == (1, 2)
    await assert_safe(stage.sql)


async def test_losses_are_counted_until_none_is_left(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, max_losses=1)
    await stage.end(taken, lease, Lost())
    assert (await stage.task(taken.task.id)).losses == 1
    [again] = await stage.take(lease)
    assert again.task.attempt == 1
    await stage.end(again, lease, Lost())
    task = await stage.task(taken.task.id)
    assert (task.status, task.losses, task.attempt) == (Status.FAILED, 1, 0)
    assert "WorkerLost" in (task.error or "")
    await assert_safe(stage.sql)


async def test_a_requested_cancel_decides_every_way_back(stage: Stage) -> None:
    lease = await stage.open_lease()
    for outcome in (Failed(error=ERROR), Interrupted(), Lost(), Cancelled()):
        taken = await stage.running(lease, max_attempts=3)
        await stage.service.cancel(taken.task.id)
        ended = await stage.end(taken, lease, outcome)
        assert ended is not None
        assert (ended.status, ended.reason) == (Status.CANCELLED, "cancelled")
    await assert_safe(stage.sql)


async def test_success_and_final_failure_win_over_a_requested_cancel(stage: Stage) -> None:
    lease = await stage.open_lease()
    for outcome, status in (
        (Succeeded(), Status.SUCCEEDED),
        (Permanent(error=ERROR), Status.FAILED),
        (Failed(error=ERROR), Status.FAILED),
    ):
        taken = await stage.running(lease)
        await stage.service.cancel(taken.task.id)
        ended = await stage.end(taken, lease, outcome)
        assert ended is not None
        assert ended.status is status
    await assert_safe(stage.sql)


async def test_a_stale_fence_changes_nothing(stage: Stage) -> None:
    lease, other = await stage.open_lease(), await stage.open_lease()
    taken = await stage.running(lease, max_attempts=3)
    await stage.end(taken, lease, Interrupted())
    [current] = await stage.take(other)
    before = await stage.sql.fetchrow("SELECT * FROM taskmill.current_task")
    assert await stage.end(taken, lease, Succeeded(result="1")) is None
    assert await stage.end(taken, other, Succeeded(result="1")) is None
    assert await stage.end(current, lease, Succeeded(result="1")) is None
    assert await stage.sql.fetchrow("SELECT * FROM taskmill.current_task") == before
    assert await stage.end(current, other, Succeeded(result="2")) is not None
    assert (await stage.task(taken.task.id)).result == "2"
    await assert_safe(stage.sql)


async def test_an_end_that_is_repeated_is_not_recorded_twice_but_found(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    first = await stage.end(taken, lease, Succeeded(result="1"))
    assert await stage.end(taken, lease, Succeeded(result="1")) is None
    found = await claims.find_ended(stage.database, [a_fence(taken, lease)], worker="tester")
    assert found == {taken.task.id: first}
    await assert_safe(stage.sql)


async def test_a_running_claim_has_not_ended(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    await stage.service.cancel(taken.task.id)
    assert await claims.find_ended(stage.database, [a_fence(taken, lease)], worker="tester") == {}


async def test_ends_of_one_batch_stand_or_fall_by_their_own_fences(stage: Stage) -> None:
    lease = await stage.open_lease()
    await stage.creation.create_all([a_draft() for _ in range(6)])
    taken = await stage.take(lease)
    await claims.end(stage.database, [an_end(taken[0], lease, Interrupted())], worker="w")
    ends = [an_end(one, lease, Succeeded(result="1")) for one in taken]
    ended = await claims.end(stage.database, ends, worker="w")
    assert ended.keys() == {one.task.id for one in taken[1:]}
    await assert_safe(stage.sql)


@pytest.mark.parametrize("outcome", [Succeeded(), Interrupted()])
async def test_of_two_ends_of_a_task_in_one_batch_the_one_of_its_claim_counts(
    stage: Stage, outcome: Outcome
) -> None:
    lease = await stage.open_lease()
    stale = await stage.running(lease)
    await stage.end(stale, lease, Interrupted())
    [current] = await stage.take(lease)
    ends = [an_end(one, lease, outcome) for one in (current, stale)]
    assert (await claims.end(stage.database, ends, worker="w")).keys() == {current.task.id}
    assert (await stage.task(current.task.id)).status != Status.IN_PROGRESS
    await assert_safe(stage.sql)


async def test_rows_that_should_not_be_there_stop_no_claim_and_no_end(stage: Stage) -> None:
    """A task that runs, or has ended, beside one that waits; one that has ended beside one that runs."""
    lease = await stage.open_lease()
    running, ended = await stage.running(lease), await stage.running(lease)
    await stage.end(ended, lease, Succeeded())
    await stage.sql.execute(
        "INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at) "
        "SELECT id, queue, type, priority, run_at FROM taskmill.task"
    )
    made = await stage.created()
    assert [one.task.id for one in await stage.take(lease)] == [made.id]
    await stage.sql.execute(
        "INSERT INTO taskmill.running "
        "(task_id, lease_id, claim_no, attempt, version, queue, run, losses, run_at, claimed_by) "
        "SELECT id, $2, claim_no, attempt, version, queue, run, losses, run_at, 'w' "
        "FROM taskmill.task WHERE id = $1",
        ended.task.id,
        lease,
    )
    ends = [an_end(one, lease, Interrupted()) for one in (ended, running)]
    assert (await claims.end(stage.database, ends, worker="w")).keys() == {running.task.id}
    await assert_safe(stage.sql)


@pytest.mark.parametrize("worker", ["tester", None])
async def test_a_success_is_written_alike_whoever_ends_beside_it(
    stage: Stage, worker: str | None
) -> None:
    """A batch of successes only has a statement of its own."""
    lease = await stage.open_lease()
    alone, among, failing = [await stage.running(lease, queue="q") for _ in range(3)]
    for one in (alone, among):
        await stage.service.cancel(one.task.id)
    counts = await stage.sql.fetch(_COUNTS)
    success = [an_end(one, lease, Succeeded(result='{"a": 1}')) for one in (alone, among)]
    await claims.end(stage.database, success[:1], worker=worker)
    of_alone = await _changes(stage, counts)
    counts = await stage.sql.fetch(_COUNTS)
    both = [success[1], an_end(failing, lease, Interrupted())]
    await claims.end(stage.database, both, worker=worker)
    of_both = await _changes(stage, counts)
    assert of_alone.items() <= of_both.items()
    written: list[Any] = [
        (
            await stage.sql.fetchrow(_WRITTEN, one.task.id),
            await stage.sql.fetchrow(_LAST_EVENT, one.task.id),
        )
        for one in (alone, among)
    ]
    assert written[0] == written[1]
    assert written[0][0]["status"] == "succeeded"
    assert written[0][1]["worker"] == "tester"
    await assert_safe(stage.sql)


_COUNTS = """
    SELECT queue, status, sum(tasks)::int AS tasks FROM taskmill.task_count GROUP BY queue, status
    UNION ALL
    SELECT type, event, sum(tasks)::int FROM taskmill.task_minute_delta GROUP BY type, event
"""
# All columns of a task and its last event, except ids and times.
_WRITTEN = """
    SELECT t.status, t.finished_at > t.started_at AND t.updated_at = t.finished_at AS is_timed,
        (to_jsonb(t) - ARRAY[
            'id', 'number', 'created_at', 'updated_at', 'started_at', 'finished_at', 'run_at'
        ])::text
    FROM taskmill.current_task AS t WHERE id = $1
"""
_LAST_EVENT = """
    SELECT (to_jsonb(e) - ARRAY['task_id', 'at', 'run_at', 'claimed_at'])::text, e.worker
    FROM taskmill.task_event AS e WHERE task_id = $1 ORDER BY version DESC LIMIT 1
"""


async def _changes(stage: Stage, before: list[asyncpg.Record]) -> dict[tuple[str, str], int]:
    """Return by how much the counters have changed, without what a hand-back adds."""
    was = {row[:2]: row["tasks"] for row in before}
    now = {row[:2]: row["tasks"] for row in await stage.sql.fetch(_COUNTS)}
    changes = {key: tasks - was.get(key, 0) for key, tasks in now.items()}
    return {key: change for key, change in changes.items() if change and "in_progress" not in key}


async def test_what_runs_under_a_lease_is_known(stage: Stage) -> None:
    lease, other = await stage.open_lease(), await stage.open_lease()
    taken = await stage.running(lease, retry=AT_ONCE)
    await stage.running(other)
    [found] = await claims.find_of_lease(stage.database, lease)
    assert found.fence == a_fence(taken, lease)
    assert (found.queue, found.claim.attempt, found.claim.retry) == ("default", 1, AT_ONCE)


async def test_only_tasks_without_an_open_lease_are_stranded(stage: Stage) -> None:
    closed, expired = await stage.open_lease(), await stage.open_lease(ttl_s=0.5)
    lost = await stage.running(closed)
    await stage.running(expired)
    assert await claims.find_stranded(stage.database, 10) == []
    await leases.close_lease(stage.database, closed, "stopped")
    [found] = await claims.find_stranded(stage.database, 10)
    assert found.fence == a_fence(lost, closed)
