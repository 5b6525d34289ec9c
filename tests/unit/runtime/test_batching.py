"""The batcher: what travels together, in which order, and who gets which error."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar

import pytest

from taskmill.observability.metrics import BATCH_ITEMS, BATCH_TIME
from taskmill.runtime.batching import Batcher, BatchQueue, Overloaded
from tests.support.polling import eventually


class Bad(Exception):
    """An item's own fault."""


class Line:
    """A flush that the test holds up: it notes the batches and answers each item with its double."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.may_go = asyncio.Event()
        self.fails_with: Exception | None = None
        if not held:
            self.may_go.set()

    async def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await self.may_go.wait()
        finally:
            self.at_once -= 1
        if self.fails_with is not None:
            raise self.fails_with
        if any(item < 0 for item in items):
            raise Bad
        return [2 * item for item in items]


def is_bad(error: Exception) -> bool:
    return isinstance(error, Bad)


async def turns(count: int = 5) -> None:
    """Let the loop go round a few times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_item_leaves_at_once_when_nothing_is_in_flight() -> None:
    line = Line()
    async with Batcher(line) as batch:
        assert await batch(4) == 8
        assert await batch(5) == 10
    assert line.batches == [[4], [5]]


async def test_items_of_one_turn_leave_together_in_order() -> None:
    line = Line()
    async with Batcher(line) as batch, asyncio.TaskGroup() as group:
        asked = [group.create_task(batch(item)) for item in (3, 1, 2)]
    assert [task.result() for task in asked] == [6, 2, 4]
    assert line.batches == [[3, 1, 2]]


async def test_items_gather_while_flushes_are_in_flight_and_leave_when_one_lands() -> None:
    line = Line(held=True)
    async with Batcher(line, max_in_flight=2) as batch:
        answers = []
        for item in range(6):
            answers.append(batch.submit(item))
            await turns()
        assert line.batches == [[0], [1]]
        line.may_go.set()
        assert [await answer for answer in answers] == [0, 2, 4, 6, 8, 10]
    assert line.batches == [[0], [1], [2, 3, 4, 5]]
    assert line.most_at_once == 2


async def test_a_few_gather_while_a_large_batch_is_young() -> None:
    line = Line(held=True)
    async with Batcher(line) as batch:
        answers = [batch.submit(item) for item in range(8)]
        await turns()
        for item in (8, 9, 10):
            answers.append(batch.submit(item))
            await turns()
            assert len(line.batches) == 1
        answers.append(batch.submit(11))
        await turns()
        assert line.batches[1:] == [[8, 9, 10, 11]], "half as many as are in flight"
        line.may_go.set()
        assert [await answer for answer in answers] == [2 * item for item in range(12)]


async def test_a_flush_that_takes_long_holds_nobody_back() -> None:
    line = Line(held=True)
    async with Batcher(line) as batch:
        answers = [batch.submit(item) for item in range(8)]
        await turns()
        answers.append(batch.submit(8))

        async def left() -> bool:
            return len(line.batches) == 2

        await eventually(left, "the item to leave beside the slow flush")
        line.may_go.set()
        await asyncio.wait(answers)


async def test_a_batch_carries_no_callers_context() -> None:
    request: ContextVar[str] = ContextVar("request", default="none")
    seen: list[str] = []

    async def note(items: list[int]) -> list[int]:
        seen.append(request.get())
        return items

    async with Batcher(note) as batch:
        request.set("first")
        assert await batch(1) == 1
    assert seen == ["none"]


async def test_batches_are_no_larger_than_allowed() -> None:
    line = Line()
    async with Batcher(line, max_size=3, max_in_flight=9) as batch:
        answers = [batch.submit(item) for item in range(8)]
        assert [await answer for answer in answers] == [2 * item for item in range(8)]
    assert line.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]


async def test_batches_are_no_heavier_than_allowed_but_one_item_may_be() -> None:
    line = Line()
    async with Batcher(line, max_weight=10, weigh=lambda item: item) as batch:
        answers = [batch.submit(item) for item in (4, 6, 1, 50, 3)]
        for answer in answers:
            await answer
    assert line.batches == [[4, 6], [1], [50], [3]]


@pytest.mark.parametrize("bad_places", [(0,), (4,), (8,), (2, 3), (0, 8), tuple(range(9))])
async def test_a_bad_item_fails_alone(bad_places: tuple[int, ...]) -> None:
    line = Line()
    async with Batcher(line, is_item_fault=is_bad) as batch:
        answers = [batch.submit(-1 if n in bad_places else n) for n in range(9)]
        await asyncio.wait(answers)
    for n, answer in enumerate(answers):
        if n in bad_places:
            assert isinstance(answer.exception(), Bad)
        else:
            assert answer.result() == 2 * n


async def test_halves_are_flushed_in_order() -> None:
    line = Line()
    async with Batcher(line, is_item_fault=is_bad) as batch:
        answers = [batch.submit(item) for item in (1, 2, -3, 4)]
        await asyncio.wait(answers)
    assert line.batches == [[1, 2, -3, 4], [1, 2], [-3, 4], [-3], [4]]
    assert isinstance(answers[2].exception(), Bad)


@pytest.mark.parametrize("bad_places", [(0,), (999,), (499, 500), (3, 400, 401, 800)])
async def test_what_may_be_the_fault_of_one_item_is_found_in_the_largest_batch(
    bad_places: tuple[int, ...],
) -> None:
    line = Line()
    async with Batcher(line, may_be_item_fault=is_bad) as batch:
        answers = [batch.submit(-1 if n in bad_places else n) for n in range(1000)]
        await asyncio.wait(answers)
    failed = [n for n, answer in enumerate(answers) if answer.exception() is not None]
    assert failed == list(bad_places)


async def test_where_all_fail_no_item_is_looked_for() -> None:
    line = Line()
    line.fails_with = Bad()
    async with Batcher(line, may_be_item_fault=is_bad) as batch:
        answers = [batch.submit(n) for n in range(1000)]
        await asyncio.wait(answers)
        assert all(isinstance(answer.exception(), Bad) for answer in answers)
        assert len(line.batches) < 40
        line.fails_with = None
        assert await batch(7) == 14


async def test_any_other_error_fails_the_whole_batch_unsplit() -> None:
    line = Line()
    line.fails_with = ConnectionError("gone")
    async with Batcher(line, is_item_fault=is_bad) as batch:
        answers = [batch.submit(item) for item in range(4)]
        await asyncio.wait(answers)
        assert [str(answer.exception()) for answer in answers] == ["gone"] * 4
        assert line.batches == [[0, 1, 2, 3]]
        line.fails_with = None
        assert await batch(7) == 14


async def test_a_caller_that_gave_up_disturbs_nobody() -> None:
    line = Line(held=True)
    async with Batcher(line) as batch, asyncio.TaskGroup() as group:
        asked = [group.create_task(batch(item)) for item in (1, 2, 3)]
        await turns()
        asked[1].cancel()
        await turns()
        line.may_go.set()
    assert [task.result() for task in (asked[0], asked[2])] == [2, 6]
    assert line.batches == [[1, 2, 3]], "what was handed in may still be flushed"


async def test_a_caller_that_gave_up_before_a_failure_disturbs_nobody() -> None:
    line = Line(held=True)
    line.fails_with = ConnectionError("gone")
    async with Batcher(line) as batch:
        given_up, kept = batch.submit(1), batch.submit(2)
        await turns()
        given_up.cancel()
        line.may_go.set()
        await asyncio.wait([kept])
    assert isinstance(kept.exception(), ConnectionError)


async def test_no_more_items_wait_than_allowed() -> None:
    line = Line(held=True)
    async with Batcher(line, max_in_flight=1, max_waiting=2) as batch:
        answers = [batch.submit(0)]
        await turns()
        answers += [batch.submit(1), batch.submit(2)]
        with pytest.raises(Overloaded):
            batch.submit(3)
        with pytest.raises(Overloaded):
            await batch(3)
        line.may_go.set()
        assert [await answer for answer in answers] == [0, 2, 4]
        assert await batch(3) == 6


async def test_leaving_waits_until_everything_accepted_was_flushed() -> None:
    line = Line(held=True)
    answers: list[asyncio.Future[int]] = []

    async def use() -> None:
        async with Batcher(line, max_size=2, max_in_flight=1) as batch:
            answers.extend(batch.submit(item) for item in range(7))

    async with asyncio.TaskGroup() as group:
        using = group.create_task(use())
        await turns()
        assert not using.done()
        line.may_go.set()
    assert [answer.result() for answer in answers] == [2 * item for item in range(7)]
    assert line.batches == [[0, 1], [2, 3], [4, 5], [6]]


async def test_leaving_by_an_error_leaves_nobody_waiting() -> None:
    line = Line(held=True)
    answers: list[asyncio.Future[int]] = []

    async def use() -> None:
        async with Batcher(line, max_size=1, max_in_flight=2) as batch:
            answers.extend(batch.submit(item) for item in range(6))
            await turns()
            raise KeyError

    with pytest.raises(ExceptionGroup) as failed:
        await use()
    assert [type(error) for error in failed.value.exceptions] == [KeyError]
    assert all(answer.cancelled() for answer in answers)
    assert line.at_once == 0


async def test_being_cancelled_while_leaving_leaves_nobody_waiting() -> None:
    line = Line(held=True)
    answers: list[asyncio.Future[int]] = []

    async def use() -> None:
        async with Batcher(line, max_size=1, max_in_flight=2) as batch:
            answers.extend(batch.submit(item) for item in range(6))

    async with asyncio.TaskGroup() as group:
        using = group.create_task(use())
        await turns()
        using.cancel()
    assert using.cancelled()
    assert all(answer.cancelled() for answer in answers)
    assert len(line.batches) == 2


async def test_nothing_is_accepted_after_leaving() -> None:
    line = Line()
    async with Batcher(line) as batch:
        assert await batch(1) == 2
    with pytest.raises(RuntimeError):
        batch.submit(2)


async def test_a_flush_that_forgets_an_answer_is_an_error_that_is_seen() -> None:
    async def forgetful(items: list[int]) -> Sequence[int]:
        return items[1:]

    answers: list[asyncio.Future[int]] = []

    async def use() -> None:
        async with Batcher(forgetful) as batch:
            answers.extend([batch.submit(1), batch.submit(2)])
            await asyncio.wait(answers)

    with pytest.raises(ExceptionGroup):
        await use()
    assert answers[-1].cancelled()


async def test_flushing_again_from_within_an_answer_is_no_deadlock() -> None:
    line = Line()
    batch: Batcher[int, int]
    async with Batcher(line, max_in_flight=1) as batch:
        follow: Callable[[int], Awaitable[int]] = batch
        first = await follow(1)
        assert await follow(first) == 4


async def test_a_caller_that_has_the_answer_of_a_part_keeps_it_when_the_rest_is_dropped() -> None:
    answers: list[asyncio.Future[int]] = []
    stuck = asyncio.Event()

    async def flush(items: list[int]) -> list[int]:
        if len(items) > 1:
            raise Bad
        if items == [2]:
            stuck.set()
            await asyncio.Event().wait()
        return items

    async def use() -> None:
        async with Batcher(flush, is_item_fault=is_bad) as batch:
            answers.extend([batch.submit(1), batch.submit(2)])
            await stuck.wait()
            raise KeyError

    with pytest.raises(ExceptionGroup):
        await use()
    assert answers[0].result() == 1
    assert answers[1].cancelled()


async def test_a_queue_flushes_what_comes_together_and_waits_for_it() -> None:
    batches: list[list[int]] = []

    async def flush(items: list[int]) -> None:
        await turns()
        batches.append(items)

    async with BatchQueue(flush, max_in_flight=1) as queue:
        queue.put(1)
        await turns(2)
        for item in (2, 3):
            queue.put(item)
        assert len(queue) == 2
    assert batches == [[1], [2, 3]]


async def test_an_error_of_a_flush_ends_its_queue_and_drops_what_it_held() -> None:
    dropped: list[int] = []
    flushing = asyncio.Event()

    async def flush(_: list[int]) -> None:
        flushing.set()
        await turns()
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
    line = Line()
    async with Batcher(line, name="a test's") as batch:
        await asyncio.wait([batch.submit(item) for item in (1, 2, 3)])
        await batch(4)
    assert [len(items) for items in line.batches] == [3, 1]
    assert BATCH_ITEMS.count("a test's") - sizes == 2
    assert BATCH_TIME.count("a test's") - times == 2


async def test_a_batch_that_fails_is_counted_too() -> None:
    before = BATCH_TIME.count("a failing test's")
    line = Line()
    line.fails_with = RuntimeError("away")
    async with Batcher(line, name="a failing test's") as batch:
        with pytest.raises(RuntimeError, match="away"):
            await batch(1)
    assert BATCH_TIME.count("a failing test's") - before == 1
