"""Large pages of one address: a few at a time, and with pauses while others are served."""

import asyncio
from time import perf_counter

from taskmill.runtime.offload import Offload
from taskmill.runtime.page_limit import PageLimit
from tests.support.callers import called_by
from tests.support.polling import eventually

LARGE = 2_000_000  # 0.02 s of work, so 0.08 s of pause


async def serve(limit: PageLimit, host: str, size: int, other: Offload | None = None) -> float:
    """Make one page, while another request is served if there is an `other`; return how long it waited."""
    began = perf_counter()
    with called_by(host):
        async with limit.slot() as page:
            waited_s = perf_counter() - began
            page.size = size
            if other is not None:
                other.responses += 1
    return waited_s


async def test_a_large_page_is_followed_by_a_pause_of_its_address_while_others_are_served() -> None:
    offload = Offload()
    limit = PageLimit(offload, per_address=1)
    assert await serve(limit, "127.0.0.2", LARGE, offload) < 0.05
    assert await serve(limit, "127.0.0.3", LARGE, offload) < 0.05, (
        "another address waits for nobody"
    )
    assert await serve(limit, "127.0.0.2", LARGE) > 0.05
    assert await serve(limit, "127.0.0.2", LARGE) < 0.05, "nobody else was served"


async def test_small_pages_are_followed_by_no_pause() -> None:
    offload = Offload()
    limit = PageLimit(offload, per_address=1)
    for _ in range(20):
        assert await serve(limit, "127.0.0.2", 60_000, offload) < 0.05


async def test_so_many_pages_of_an_address_are_made_at_a_time() -> None:
    limit = PageLimit(Offload(), per_address=2)
    may_end, under_way = asyncio.Event(), list[int]()

    async def one() -> None:
        async with limit.slot():
            under_way.append(1)
            await may_end.wait()

    with called_by("127.0.0.2"):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one()) for _ in range(5)]
            await asyncio.sleep(0.01)
            assert len(under_way) == 2
            tasks[-1].cancel()
            tasks[0].cancel()
            await asyncio.sleep(0.01)
            assert len(under_way) == 3, "one that was cancelled gives its slot back"
            may_end.set()
    assert len(under_way) == 4


async def test_an_address_without_pages_is_forgotten() -> None:
    offload = Offload()
    limit = PageLimit(offload, per_address=1)
    await serve(limit, "127.0.0.2", LARGE, offload)
    assert limit._addresses

    async def is_empty() -> bool:
        return not limit._addresses

    await eventually(is_empty, "it is forgotten")


async def test_a_large_page_does_not_count_as_a_request_of_others() -> None:
    limit = PageLimit(Offload(), per_address=1)
    with called_by("127.0.0.2") as current:
        async with limit.slot() as page:
            page.size = LARGE
    assert current.was_offloaded
