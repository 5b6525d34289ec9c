"""Plain functions in threads."""

import asyncio
import threading
from contextvars import ContextVar
from functools import partial

import pytest

from taskmill.worker.threads import Threads
from tests.support.polling import eventually

variable: ContextVar[str] = ContextVar("variable", default="unset")


async def test_calls_run_at_the_same_time_and_threads_are_used_again() -> None:
    threads, barrier = Threads(), threading.Barrier(3)

    def meet() -> int:
        barrier.wait(timeout=10)
        return threading.get_ident()

    async with asyncio.TaskGroup() as group:
        met = [group.create_task(threads.run(meet)) for _ in range(3)]
    used = {one.result() for one in met}
    assert len(used) == 3

    async def is_idle() -> bool:
        return threads._idle == 3

    await eventually(is_idle, "three idle threads")
    again = [await threads.run(threading.get_ident) for _ in range(5)]
    assert set(again) <= used


async def test_what_is_raised_and_the_callers_context_pass() -> None:
    threads = Threads()
    variable.set("mine")
    assert await threads.run(variable.get) == "mine"
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 / 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.run(lambda: next(iter(())))
    with pytest.raises(SystemExit):
        await threads.run(partial(exec, "import sys; sys.exit(3)"))


async def test_a_call_goes_on_however_often_its_caller_is_cancelled() -> None:
    threads, may_end = Threads(), threading.Event()
    running = asyncio.get_running_loop().create_task(  # owned and awaited here
        threads.run(lambda: may_end.wait(10))
    )
    for _ in range(3):
        await asyncio.sleep(0)
        running.cancel()
    assert not running.done()
    may_end.set()
    assert await running is True
