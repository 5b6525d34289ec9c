"""Sharing flushes: who leaves when, who waits for whom, and what an error costs whom."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from taskmill.runtime import batching
from taskmill.runtime.batching import Batcher, Overloaded


class _Flushes:
    """Flushes that end when the test says so; the answer to an item is its double."""

    def __init__(self) -> None:
        self.begun: list[list[int]] = []
        self.second: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gates: list[asyncio.Event] = []

    async def __call__(self, items: list[int]) -> Sequence[int]:
        gate = asyncio.Event()
        self.begun.append(items)
        if len(self.begun) == 2:
            self.second.set_result(None)
        self._gates.append(gate)
        await gate.wait()
        return [2 * item for item in items]

    def end(self, number: int) -> None:
        self._gates[number].set()

    def end_all(self) -> None:
        for gate in self._gates:
            gate.set()


async def _turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_an_item_leaves_at_once_when_nothing_is_in_flight() -> None:
    flushes = _Flushes()
    async with Batcher(flushes) as batcher:
        answer = batcher.submit(1)
        await _turns()
        assert flushes.begun == [[1]]
        flushes.end_all()
        assert await answer == 2


async def test_what_comes_in_one_turn_leaves_together() -> None:
    flushes = _Flushes()
    async with Batcher(flushes) as batcher:
        answers = [batcher.submit(item) for item in (1, 2, 3)]
        await _turns()
        assert flushes.begun == [[1, 2, 3]]
        flushes.end_all()
        assert [await answer for answer in answers] == [2, 4, 6]


async def test_the_next_batch_gathers_until_it_is_half_as_large_as_what_is_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "_YOUNG_S", 60)
    flushes = _Flushes()
    async with Batcher(flushes) as batcher:
        for item in range(4):
            batcher.submit(item)
        await _turns()
        batcher.submit(4)
        await _turns()
        assert len(flushes.begun) == 1
        batcher.submit(5)
        await _turns()
        assert flushes.begun[1:] == [[4, 5]]
        flushes.end_all()


async def test_the_end_of_a_flush_sends_what_waits() -> None:
    flushes = _Flushes()
    async with Batcher(flushes) as batcher:
        for item in range(4):
            batcher.submit(item)
        await _turns()
        batcher.submit(4)
        flushes.end(0)
        await _turns()
        assert flushes.begun[1:] == [[4]]
        flushes.end_all()


async def test_a_flush_that_takes_long_holds_nobody_back() -> None:
    flushes = _Flushes()
    async with Batcher(flushes) as batcher:
        for item in range(100):
            batcher.submit(item)
        await _turns()
        batcher.submit(100)
        async with asyncio.timeout(2):
            await flushes.second
        assert flushes.begun[1:] == [[100]]
        flushes.end_all()


async def test_no_more_flushes_are_in_flight_than_allowed() -> None:
    flushes = _Flushes()
    async with Batcher(flushes, max_in_flight=2) as batcher:
        for item in range(3):
            batcher.submit(item)
            await _turns()
        assert flushes.begun == [[0], [1]]
        flushes.end(0)
        await _turns()
        assert flushes.begun == [[0], [1], [2]]
        flushes.end_all()


async def test_a_batch_is_bounded_by_number_and_weight() -> None:
    batches: list[list[int]] = []

    async def flush(items: list[int]) -> Sequence[int]:
        batches.append(items)
        return items

    async with Batcher(
        flush, max_size=3, max_weight=10, max_in_flight=1, weigh=lambda item: item
    ) as batcher:
        for item in (1, 1, 1, 6, 6, 20, 1):
            batcher.submit(item)
    assert batches == [[1, 1, 1], [6], [6], [20], [1]]


async def test_leaving_waits_until_everything_was_flushed() -> None:
    flushes = _Flushes()
    async with Batcher(flushes, max_size=1, max_in_flight=1) as batcher:
        answers = [batcher.submit(item) for item in (1, 2, 3)]
        await _turns()
        loop = asyncio.get_running_loop()
        for number in range(3):
            loop.call_later(0.001 * number, flushes.end_all)
    assert [answer.result() for answer in answers] == [2, 4, 6]


async def _refuse_odd(items: list[int]) -> Sequence[int]:
    if any(item % 2 for item in items):
        raise ValueError(f"odd among {items}")
    return items


async def test_a_bad_item_fails_alone() -> None:
    async with Batcher(_refuse_odd, is_item_fault=lambda _: True) as batcher:
        answers = [batcher.submit(item) for item in (2, 3, 4, 6)]
        results: list[Any] = await asyncio.gather(*answers, return_exceptions=True)  # noqa: TID251 - futures, no tasks
    assert [results[place] for place in (0, 2, 3)] == [2, 4, 6]
    assert str(results[1]) == "odd among [3]"


async def test_an_error_that_is_no_items_fault_fails_the_batch() -> None:
    async with Batcher(_refuse_odd) as batcher:
        answers = [batcher.submit(item) for item in (2, 3)]
        for answer in answers:
            with pytest.raises(ValueError, match="odd among"):
                await answer


async def test_too_many_waiting_items_are_refused() -> None:
    flushes = _Flushes()
    async with Batcher(flushes, max_waiting=2) as batcher:
        batcher.submit(1)
        batcher.submit(2)
        with pytest.raises(Overloaded):
            batcher.submit(3)
        await _turns()
        flushes.end_all()
