"""What every transport does, with or without a broker."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from statistics import median

import pytest

from taskmill.app import Context, RetryLater
from taskmill.domain.lifecycle import Status
from tests.support.builders import a_draft
from tests.support.dispatching import Recorder, TransportSetup, all_ended
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, finished


async def test_every_task_is_claimed_once_however_many_workers_there_are(
    transport: TransportSetup, stage: Stage
) -> None:
    recorder = Recorder()
    async with AsyncExitStack() as stack:
        for number in range(4):
            options = WorkerOptions(name=f"w{number}", slots=10)
            await stack.enter_async_context(transport.worker({"*": recorder.quick}, options))
        for _ in range(4):
            await stage.creation.create_all([a_draft() for _ in range(100)])
        await all_ended(stage)
    assert len(recorder.runs) == 400
    assert set(recorder.runs.values()) == {1}
    numbers = await stage.sql.fetch("SELECT DISTINCT claim_no FROM taskmill.current_task")
    assert [row["claim_no"] for row in numbers] == [1]
    await assert_safe(stage.sql)


@pytest.mark.parametrize("slots", [1, 2, 3])
async def test_a_worker_never_runs_more_than_it_has_slots(
    transport: TransportSetup, stage: Stage, slots: int
) -> None:
    recorder = Recorder()
    await stage.creation.create_all([a_draft() for _ in range(60)])
    async with transport.worker({"*": recorder.quick}, WorkerOptions(slots=slots)):
        await all_ended(stage)
    assert recorder.most_at_once <= slots
    assert set(recorder.runs.values()) == {1}


async def test_a_worker_takes_only_the_types_that_it_has(
    transport: TransportSetup, stage: Stage
) -> None:
    some, other = Recorder(), Recorder()
    async with transport.worker({"known": some.quick}):
        strange = await stage.created(type="strange")
        known = await stage.created(type="known")
        await finished(stage, known.id)
        async with transport.worker({"strange": other.quick}, WorkerOptions(name="second")):
            await finished(stage, strange.id)
    assert (list(some.runs), list(other.runs)) == ([known.id], [strange.id])
    assert (await stage.task(strange.id)).claim_no == 1, "nobody else has tried it"


async def test_a_worker_takes_only_from_its_queues(transport: TransportSetup, stage: Stage) -> None:
    recorder = Recorder()
    other, mine = await stage.created(queue="other"), await stage.created(queue="mine")
    async with transport.worker({"*": recorder.quick}, WorkerOptions(queues=("mine",))):
        await finished(stage, mine.id)
        later = await stage.created(queue="mine")
        await finished(stage, later.id)
    assert list(recorder.runs) == [mine.id, later.id]
    assert (await stage.task(other.id)).status is Status.NEW


async def test_queues_are_served_by_their_weights(transport: TransportSetup, stage: Stage) -> None:
    served: list[str] = []

    async def record(context: Context) -> None:
        served.append(context.task.queue)

    for queue in ("often", "seldom"):
        await stage.creation.create_all([a_draft(queue=queue) for _ in range(300)])
    options = WorkerOptions(slots=1, claim_size=1, weights={"often": 4, "seldom": 1})
    async with transport.worker({"*": record}, options):
        await all_ended(stage, timeout_s=60)
    assert len(served) == 600
    # While both have enough tasks; a fifth of these would be 50.
    assert 20 <= served[:250].count("seldom") <= 90


async def test_names_with_dots_stay_apart(transport: TransportSetup, stage: Stage) -> None:
    """`a.b` with `c`, and `a` with `b.c`, are not the same."""
    recorder = Recorder()
    options = WorkerOptions(queues=("a.b",))
    async with transport.worker({"c": recorder.quick, "b.c": recorder.quick}, options):
        alien = await stage.created(queue="a", type="b.c")
        first = await stage.created(queue="a.b", type="c")
        await finished(stage, first.id)
        second = await stage.created(queue="a.b", type="b.c")
        await finished(stage, second.id)
    assert list(recorder.runs) == [first.id, second.id]
    assert (await stage.task(alien.id)).status is Status.NEW


async def test_a_paused_queue_gives_nothing_and_is_taken_up_again_soon(
    transport: TransportSetup, stage: Stage
) -> None:
    recorder = Recorder()
    async with transport.worker({"*": recorder.held}, WorkerOptions(slots=2)):
        await stage.creation.create_all([a_draft(queue="a") for _ in range(20)])
        await recorder.has_begun(2)
        await stage.service.set_queue_paused("a", paused=True)
        recorder.may_end.set()
        other = await stage.created(queue="b")
        await finished(stage, other.id)
        # By now the worker has had free slots for a while, and hints of the paused queue.
        again = await stage.created(queue="b")
        await finished(stage, again.id)
        assert len(recorder.begun) == 4
        await stage.service.set_queue_paused("a", paused=False)
        await all_ended(stage, timeout_s=4)
    assert set(recorder.runs.values()) == {1}
    await assert_safe(stage.sql)


async def test_an_urgent_task_goes_before_all_that_wait(
    transport: TransportSetup, stage: Stage
) -> None:
    recorder = Recorder()
    may_end = asyncio.Semaphore(0)

    async def one_by_one(context: Context) -> None:
        await recorder.quick(context)
        await may_end.acquire()

    await stage.creation.create_all([a_draft(priority=1) for _ in range(500)])
    async with transport.worker({"*": one_by_one}, WorkerOptions(slots=1, claim_size=1)):
        await recorder.has_begun(1)
        urgent = await stage.created(priority=9)
        for _ in range(501):
            may_end.release()
        await finished(stage, urgent.id)
        assert recorder.begun.index(urgent.id) <= 2
        await all_ended(stage, timeout_s=30)


async def test_scheduled_and_retried_tasks_start_when_they_are_due(
    transport: TransportSetup, stage: Stage
) -> None:
    async def fails_once(context: Context) -> None:
        if context.attempt == 1:
            raise RetryLater(after=timedelta(milliseconds=300))

    async with transport.worker({"*": fails_once}, WorkerOptions(slots=50, poll_s=0.25)):
        for number in range(20):
            await stage.created(delay=timedelta(milliseconds=60 * number), max_attempts=2)
        await all_ended(stage)
    events = await stage.sql.fetch(
        "SELECT extract(epoch FROM at - run_at)::float AS late_s FROM taskmill.task_history "
        "WHERE event = 'claimed'"
    )
    late = [row["late_s"] for row in events]
    assert len(late) == 40
    assert min(late) >= 0
    assert median(late) <= 0.25
    assert max(late) <= 2, "a busy machine may be late, but not for long"


async def test_a_task_that_was_due_long_ago_starts_soon(
    transport: TransportSetup, stage: Stage
) -> None:
    recorder = Recorder()
    async with transport.worker({"*": recorder.quick}):
        await finished(stage, (await stage.created()).id)
        late = await stage.created(run_at=stage.clock.now() - timedelta(hours=2))
        await finished(stage, late.id)
        [claimed] = [
            e for e in await stage.service.reading.events(late.id) if e.event_type == "claimed"
        ]
        assert (claimed.at - late.created_at).total_seconds() < 2


async def test_a_full_worker_leaves_further_tasks_to_an_idle_one(
    transport: TransportSetup, stage: Stage
) -> None:
    full, idle = Recorder(), Recorder()
    async with transport.worker({"*": full.held}, WorkerOptions(slots=2, grace_s=0.1)):
        await stage.creation.create_all([a_draft() for _ in range(30)])
        await full.has_begun(2)
        async with transport.worker({"*": idle.quick}, WorkerOptions(name="idle")):
            await idle.has_begun(28, timeout_s=5)
        full.may_end.set()
        await all_ended(stage)
    assert set((full.runs + idle.runs).values()) == {1}


async def test_a_stopping_worker_leaves_waiting_tasks_to_others_while_it_finishes(
    transport: TransportSetup, stage: Stage
) -> None:
    stopping, other = Recorder(), Recorder()
    options = WorkerOptions(slots=20, grace_s=30)
    async with transport.worker({"*": stopping.held}, options) as first:
        await stage.creation.create_all([a_draft() for _ in range(3)])
        await stopping.has_begun(3)
        first.stop.set()
        async with transport.worker({"*": other.quick}, WorkerOptions(name="other")):
            await stage.creation.create_all([a_draft() for _ in range(30)])
            await other.has_begun(30, timeout_s=5)
        assert not first.ended.done()
        stopping.may_end.set()
    assert set((stopping.runs + other.runs).values()) == {1}
    await assert_safe(stage.sql)


async def test_a_cancelled_task_never_runs(transport: TransportSetup, stage: Stage) -> None:
    recorder = Recorder()
    async with transport.worker({"*": recorder.held}, WorkerOptions(slots=1)):
        first = await stage.created()
        await recorder.has_begun(1)
        doomed, next_one = await stage.created(), await stage.created()
        assert (await stage.service.cancel(doomed.id))[0] == "cancelled"
        recorder.may_end.set()
        await all_ended(stage)
    assert list(recorder.runs) == [first.id, next_one.id]
    assert await stage.event_types(doomed.id) == ["created", "cancelled"]
    await assert_safe(stage.sql)


async def test_a_task_that_runs_again_is_dispatched_again(
    transport: TransportSetup, stage: Stage
) -> None:
    recorder = Recorder()
    async with transport.worker({"*": recorder.quick}):
        made = await stage.created()
        await finished(stage, made.id)
        await stage.service.retry(made.id)
        await recorder.has_begun(2)
        await finished(stage, made.id)
    assert (await stage.task(made.id)).claim_no == 2
