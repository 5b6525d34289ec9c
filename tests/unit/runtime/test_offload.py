"""The thread for long work: it pauses, so that others have the interpreter most of the time."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from statistics import median
from time import perf_counter, thread_time

import pytest

from taskmill.domain.errors import Unavailable
from taskmill.runtime.offload import Caller, Offload, caller


class Work:
    """Work that computes for a time, and records when."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.began = self.ended = 0.0

    def __call__(self) -> None:
        self.began, until = perf_counter(), thread_time() + self._seconds
        while thread_time() < until:
            pass
        self.ended = perf_counter()


class Blocking:
    """Work that blocks until it may end."""

    def __init__(self) -> None:
        self._may_end = threading.Event()
        self.end = self._may_end.set

    def __call__(self) -> None:
        assert self._may_end.wait(30)


async def run(offload: Offload, function: Callable[[], object], host: str = "a") -> None:
    """Run the function for a caller with an address."""
    caller.set(Caller(host=host))
    await offload.run(function)


async def test_after_long_work_it_pauses_before_the_next_but_not_before_the_result() -> None:
    offload, first, second = Offload(), Work(0.03), Work(0)
    done_at = []

    async def record_end(work: Work) -> None:
        await offload.run(work)
        done_at.append(perf_counter())

    offload.responses += 1
    async with asyncio.TaskGroup() as group:
        group.create_task(record_end(first))
        group.create_task(record_end(second))
    # Ten times the step whose pause has the same length, so the pause is a hundred times as long.
    assert second.began - first.ended >= 0.3 * 0.9
    assert done_at[0] < second.began


async def test_shorter_work_is_followed_by_a_shorter_pause() -> None:
    offload, works = Offload(), [Work(0.005) for _ in range(21)]
    for work in works:
        offload.responses += 1
        await offload.run(work)
    pauses = [after.began - before.ended for before, after in pairwise(works)]
    # The shortest one: on a busy machine others begin late.
    assert 0.002 < min(pauses) < 0.015


async def test_it_does_not_pause_while_no_other_request_is_served() -> None:
    offload, works = Offload(), [Work(0.05) for _ in range(5)]
    offload.responses += 1
    for work in works:
        await offload.run(work)
    pauses = [after.began - before.ended for before, after in pairwise(works)]
    assert pauses[0] >= 0.8 * 0.9
    assert median(pauses[1:]) < 0.1


async def test_its_pauses_are_limited() -> None:
    offload, first, second = Offload(), Work(0.2), Work(0)
    offload.responses += 1
    await offload.run(first)
    await offload.run(second)
    assert 0.9 < second.began - first.ended < 2.5


async def test_addresses_are_served_in_rotation_however_many_wait_for_one() -> None:
    offload, blocking = Offload(), Blocking()
    done: list[str] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(run(offload, blocking))
        for host in ("a", "a", "a", "2001:db8::1", "2001:db8::2", "c"):
            group.create_task(run(offload, partial(done.append, host), host))
        await asyncio.sleep(0)
        blocking.end()
    assert done == ["a", "2001:db8::1", "c", "a", "2001:db8::2", "a"]


async def test_one_address_has_half_of_the_queue() -> None:
    offload, blocking = Offload(most_waiting=4), Blocking()
    async with asyncio.TaskGroup() as group:
        for host in ("a", "a", "a"):  # the first one does not wait
            group.create_task(run(offload, blocking, host))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await asyncio.create_task(run(offload, blocking, "a"))  # noqa: TID251 - it needs a context of its own
        group.create_task(run(offload, blocking, "b"))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await asyncio.create_task(run(offload, blocking, "c"))  # noqa: TID251 - see above
        blocking.end()


async def test_cancelled_work_is_not_begun() -> None:
    offload, blocking, given_up = Offload(), Blocking(), Work(0)
    async with asyncio.TaskGroup() as group:
        group.create_task(run(offload, blocking))
        waiting = group.create_task(run(offload, given_up))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        blocking.end()
    await offload.run(Work(0))
    assert given_up.began == 0


async def test_an_error_is_that_of_the_function_and_the_next_one_runs() -> None:
    offload = Offload()
    with pytest.raises(ZeroDivisionError):
        await offload.run(lambda: 1 / 0)
    assert await offload.run(lambda: 1) == 1
