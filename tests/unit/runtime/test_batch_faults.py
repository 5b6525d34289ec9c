"""Which caller gets which error when a batch fails: a bad item fails alone."""

import asyncio
from collections.abc import Sequence

import pytest

from taskmill.runtime.batching import Batcher
from tests.support.flushes import Bad, FakeFlush, is_bad


@pytest.mark.parametrize("bad_places", [(0,), (4,), (8,), (2, 3), (0, 8), tuple(range(9))])
async def test_a_bad_item_fails_alone(bad_places: tuple[int, ...]) -> None:
    flush = FakeFlush()
    async with Batcher(flush, is_item_fault=is_bad) as batch:
        results = [batch.submit(-1 if n in bad_places else n) for n in range(9)]
        await asyncio.wait(results)
    for n, result in enumerate(results):
        if n in bad_places:
            assert isinstance(result.exception(), Bad)
        else:
            assert result.result() == 2 * n


async def test_halves_are_flushed_in_order() -> None:
    flush = FakeFlush()
    async with Batcher(flush, is_item_fault=is_bad) as batch:
        results = [batch.submit(item) for item in (1, 2, -3, 4)]
        await asyncio.wait(results)
    assert flush.batches == [[1, 2, -3, 4], [1, 2], [-3, 4], [-3], [4]]
    assert isinstance(results[2].exception(), Bad)


@pytest.mark.parametrize("bad_places", [(0,), (999,), (499, 500), (3, 400, 401, 800)])
async def test_what_may_be_the_fault_of_one_item_is_found_in_the_largest_batch(
    bad_places: tuple[int, ...],
) -> None:
    flush = FakeFlush()
    async with Batcher(flush, may_be_item_fault=is_bad) as batch:
        results = [batch.submit(-1 if n in bad_places else n) for n in range(1000)]
        await asyncio.wait(results)
    failed = [n for n, result in enumerate(results) if result.exception() is not None]
    assert failed == list(bad_places)


async def test_when_all_flushes_fail_no_single_item_is_searched_for() -> None:
    flush = FakeFlush()
    flush.fails_with = Bad()
    async with Batcher(flush, may_be_item_fault=is_bad) as batch:
        results = [batch.submit(n) for n in range(1000)]
        await asyncio.wait(results)
        assert all(isinstance(result.exception(), Bad) for result in results)
        assert len(flush.batches) < 40
        flush.fails_with = None
        assert await batch(7) == 14


async def test_any_other_error_fails_the_whole_batch_unsplit() -> None:
    flush = FakeFlush()
    flush.fails_with = ConnectionError("gone")
    async with Batcher(flush, is_item_fault=is_bad) as batch:
        results = [batch.submit(item) for item in range(4)]
        await asyncio.wait(results)
        assert [str(result.exception()) for result in results] == ["gone"] * 4
        assert flush.batches == [[0, 1, 2, 3]]
        flush.fails_with = None
        assert await batch(7) == 14


async def test_a_flush_that_omits_a_result_is_a_visible_error() -> None:
    async def forgetful(items: list[int]) -> Sequence[int]:
        return items[1:]

    results: list[asyncio.Future[int]] = []

    async def use() -> None:
        async with Batcher(forgetful) as batch:
            results.extend([batch.submit(1), batch.submit(2)])
            await asyncio.wait(results)

    with pytest.raises(ExceptionGroup):
        await use()
    assert results[-1].cancelled()


async def test_a_caller_keeps_its_result_when_the_other_part_of_a_split_batch_is_dropped() -> None:
    results: list[asyncio.Future[int]] = []
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
            results.extend([batch.submit(1), batch.submit(2)])
            await stuck.wait()
            raise KeyError

    with pytest.raises(ExceptionGroup):
        await use()
    assert results[0].result() == 1
    assert results[1].cancelled()
