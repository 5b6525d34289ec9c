"""The batcher: what is flushed together, in which order, and what becomes of those who wait."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest

from taskmill.observability.metrics import BATCH_ITEMS, BATCH_TIME
from taskmill.runtime.batching import Batcher, BatchQueue, Overloaded
from tests.support.flushes import Bad, FakeFlush, iterate
from tests.support.polling import eventually


async def test_an_item_is_flushed_at_once_when_nothing_is_in_flight() -> None:
    flush = FakeFlush()
    async with Batcher(flush) as batch:
        assert await batch(4) == 8
        assert await batch(5) == 10
    assert flush.batches == [[4], [5]]


async def test_items_of_one_iteration_are_flushed_together_in_order() -> None:
    flush = FakeFlush()
    async with Batcher(flush) as batch, asyncio.TaskGroup() as group:
        tasks = [group.create_task(batch(item)) for item in (3, 1, 2)]
    assert [task.result() for task in tasks] == [6, 2, 4]
    assert flush.batches == [[3, 1, 2]]


async def test_items_gather_while_flushes_are_in_flight_and_are_flushed_when_one_completes() -> (
    None
):
    flush = FakeFlush(is_blocked=True)
    async with Batcher(flush, max_in_flight=2) as batch:
        results = []
        for item in range(6):
            results.append(batch.submit(item))
            await iterate()
        assert flush.batches == [[0], [1]]
        flush.may_go.set()
        assert [await result for result in results] == [0, 2, 4, 6, 8, 10]
    assert flush.batches == [[0], [1], [2, 3, 4, 5]]
    assert flush.most_at_once == 2


async def test_a_few_gather_while_a_large_batch_is_recent() -> None:
    flush = FakeFlush(is_blocked=True)
    async with Batcher(flush) as batch:
        results = [batch.submit(item) for item in range(8)]
        await iterate()
        for item in (8, 9, 10):
            results.append(batch.submit(item))
            await iterate()
            assert len(flush.batches) == 1
        results.append(batch.submit(11))
        await iterate()
        assert flush.batches[1:] == [[8, 9, 10, 11]], "half as many as are in flight"
        flush.may_go.set()
        assert [await result for result in results] == [2 * item for item in range(12)]


async def test_a_flush_that_takes_long_delays_no_other() -> None:
    flush = FakeFlush(is_blocked=True)
    async with Batcher(flush) as batch:
        results = [batch.submit(item) for item in range(8)]
        await iterate()
        results.append(batch.submit(8))

        async def left() -> bool:
            return len(flush.batches) == 2

        await eventually(left, "the item to leave beside the slow flush")
        flush.may_go.set()
        await asyncio.wait(results)


async def test_a_batch_carries_no_callers_context() -> None:
    request: ContextVar[str] = ContextVar("request", default="none")
    seen: list[str] = []

    async def record(items: list[int]) -> list[int]:
        seen.append(request.get())
        return items

    async with Batcher(record) as batch:
        request.set("first")
        assert await batch(1) == 1
    assert seen == ["none"]


async def test_batches_are_no_larger_than_allowed() -> None:
    flush = FakeFlush()
    async with Batcher(flush, max_size=3, max_in_flight=9) as batch:
        results = [batch.submit(item) for item in range(8)]
        assert [await result for result in results] == [2 * item for item in range(8)]
    assert flush.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]


async def test_batches_are_no_heavier_than_allowed_but_one_item_may_be() -> None:
    flush = FakeFlush()
    async with Batcher(flush, max_weight=10, weigh=lambda item: item) as batch:
        results = [batch.submit(item) for item in (4, 6, 1, 50, 3)]
        for result in results:
            await result
    assert flush.batches == [[4, 6], [1], [50], [3]]


async def test_a_cancelled_caller_does_not_disturb_others() -> None:
    flush = FakeFlush(is_blocked=True)
    async with Batcher(flush) as batch, asyncio.TaskGroup() as group:
        tasks = [group.create_task(batch(item)) for item in (1, 2, 3)]
        await iterate()
        tasks[1].cancel()
        await iterate()
        flush.may_go.set()
    assert [task.result() for task in (tasks[0], tasks[2])] == [2, 6]
    assert flush.batches == [[1, 2, 3]], "what was handed in may still be flushed"


async def test_a_caller_cancelled_before_a_failure_does_not_disturb_others() -> None:
    flush = FakeFlush(is_blocked=True)
    flush.fails_with = ConnectionError("gone")
    async with Batcher(flush) as batch:
        given_up, other = batch.submit(1), batch.submit(2)
        await iterate()
        given_up.cancel()
        flush.may_go.set()
        await asyncio.wait([other])
    assert isinstance(other.exception(), ConnectionError)


async def test_no_more_items_wait_than_allowed() -> None:
    flush = FakeFlush(is_blocked=True)
    async with Batcher(flush, max_in_flight=1, max_waiting=2) as batch:
        results = [batch.submit(0)]
        await iterate()
        results += [batch.submit(1), batch.submit(2)]
        with pytest.raises(Overloaded):
            batch.submit(3)
        with pytest.raises(Overloaded):
            await batch(3)
        flush.may_go.set()
        assert [await result for result in results] == [0, 2, 4]
        assert await batch(3) == 6


async def test_leaving_waits_until_everything_accepted_was_flushed() -> None:
    flush = FakeFlush(is_blocked=True)
    results: list[asyncio.Future[int]] = []

    async def use() -> None:
        async with Batcher(flush, max_size=2, max_in_flight=1) as batch:
            results.extend(batch.submit(item) for item in range(7))

    async with asyncio.TaskGroup() as group:
        using = group.create_task(use())
        await iterate()
        assert not using.done()
        flush.may_go.set()
    assert [result.result() for result in results] == [2 * item for item in range(7)]
    assert flush.batches == [[0, 1], [2, 3], [4, 5], [6]]


async def test_leaving_by_an_error_leaves_no_caller_waiting() -> None:
    flush = FakeFlush(is_blocked=True)
    results: list[asyncio.Future[int]] = []

    async def use() -> None:
        async with Batcher(flush, max_size=1, max_in_flight=2) as batch:
            results.extend(batch.submit(item) for item in range(6))
            await iterate()
            raise KeyError

    with pytest.raises(ExceptionGroup) as failed:
        await use()
    assert [type(error) for error in failed.value.exceptions] == [KeyError]
    assert all(result.cancelled() for result in results)
    assert flush.at_once == 0


async def test_being_cancelled_while_leaving_leaves_no_caller_waiting() -> None:
    flush = FakeFlush(is_blocked=True)
    results: list[asyncio.Future[int]] = []

    async def use() -> None:
        async with Batcher(flush, max_size=1, max_in_flight=2) as batch:
            results.extend(batch.submit(item) for item in range(6))

    async with asyncio.TaskGroup() as group:
        using = group.create_task(use())
        await iterate()
        using.cancel()
    assert using.cancelled()
    assert all(result.cancelled() for result in results)
    assert len(flush.batches) == 2


async def test_nothing_is_accepted_after_leaving() -> None:
    flush = FakeFlush()
    async with Batcher(flush) as batch:
        assert await batch(1) == 2
    with pytest.raises(RuntimeError):
        batch.submit(2)


async def test_submitting_again_after_a_result_is_no_deadlock() -> None:
    flush = FakeFlush()
    batch: Batcher[int, int]
    async with Batcher(flush, max_in_flight=1) as batch:
        follow: Callable[[int], Awaitable[int]] = batch
        first = await follow(1)
        assert await follow(first) == 4


async def test_a_queue_flushes_what_comes_together_and_waits_for_it() -> None:
    batches: list[list[int]] = []

    async def flush(items: list[int]) -> None:
        await iterate()
        batches.append(items)

    async with BatchQueue(flush, max_in_flight=1) as queue:
        queue.put(1)
        await iterate(2)
        for item in (2, 3):
            queue.put(item)
        assert len(queue) == 2
    assert batches == [[1], [2, 3]]


async def test_an_error_of_a_flush_ends_its_queue_and_drops_what_it_held() -> None:
    dropped: list[int] = []
    flushing = asyncio.Event()

    async def flush(_: list[int]) -> None:
        flushing.set()
        await iterate()
        raise Bad

    async def use() -> None:
        async with BatchQueue(flush, max_in_flight=1, dropped=dropped.append) as queue:
            queue.put(1)
            await flushing.wait()
            queue.put(2)
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as failed:
        await use()
    assert [type(error) for error in failed.value.exceptions] == [Bad]
    assert dropped == [1, 2]


async def test_each_batch_is_counted_with_its_size_and_its_time() -> None:
    sizes, times = (metric.count("a test's") for metric in (BATCH_ITEMS, BATCH_TIME))
    flush = FakeFlush()
    async with Batcher(flush, name="a test's") as batch:
        await asyncio.wait([batch.submit(item) for item in (1, 2, 3)])
        await batch(4)
    assert [len(items) for items in flush.batches] == [3, 1]
    assert BATCH_ITEMS.count("a test's") - sizes == 2
    assert BATCH_TIME.count("a test's") - times == 2


async def test_a_batch_that_fails_is_counted_too() -> None:
    before = BATCH_TIME.count("a failing test's")
    flush = FakeFlush()
    flush.fails_with = RuntimeError("away")
    async with Batcher(flush, name="a failing test's") as batch:
        with pytest.raises(RuntimeError, match="away"):
            await batch(1)
    assert BATCH_TIME.count("a failing test's") - before == 1
