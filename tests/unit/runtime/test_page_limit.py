"""Large pages of one address: a few at a time, and with pauses while others are served."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from time import perf_counter, thread_time

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


class Served:
    """Counts how often the event loop serves others, as one that is always ready."""

    def __init__(self) -> None:
        self.times = 0
        self._loop = asyncio.get_running_loop()
        self._serve()

    def _serve(self) -> None:
        self.times += 1
        self._next = self._loop.call_soon(self._serve)

    def end(self) -> None:
        self._next.cancel()


async def served_before_pieces(piece: bytes) -> list[int]:
    """Make a page of ten such pieces; return how often others had been served before each."""
    others, seen = Served(), list[int]()

    def pieces() -> Iterator[bytes]:
        for _ in range(10):
            seen.append(others.times)
            yield piece

    async with PageLimit(Offload(), per_address=1).slot() as page:
        assert await page.joined(pieces()) == piece * 10
        assert page.size == 10 * len(piece)
    others.end()
    return seen


async def test_others_are_served_between_the_pieces_of_a_large_page() -> None:
    seen = await served_before_pieces(b"x" * 100_000)
    assert all(before < after for before, after in pairwise(seen))


async def test_a_small_page_is_made_at_once() -> None:
    assert len(set(await served_before_pieces(b"x" * 6_000))) == 1


async def test_while_others_are_served_a_page_pauses_for_twice_as_long_as_a_piece_takes() -> None:
    offload = Offload()

    def pieces() -> Iterator[bytes]:
        for _ in range(5):
            until = thread_time() + 0.01
            while thread_time() < until:
                pass
            offload.responses += 1
            yield b"x" * 100_000

    async with PageLimit(offload, per_address=1).slot() as page:
        began = perf_counter()
        await page.joined(pieces())
        assert perf_counter() - began > 5 * 0.03 * 0.9


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
