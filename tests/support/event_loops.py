"""Measures how long a single callback holds the event loop, and lets its clock leap."""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import thread_time
from typing import Any, Self

import pytest

# How long `_count` takes on the machine that limits are written for (2026-11-28).
_COUNT_S = 0.0082


class Watched:
    """Measures the longest CPU time of the loop's thread between two iterations of the loop within the block.

    It is scaled to the machine that limits are written for, so other programs, a slow machine and coverage do not
    change it. The garbage collector is off meanwhile: its time depends on what other tests left behind.
    """

    longest_s = 0.0

    def __enter__(self) -> Self:
        self._pace = min(_count() for _ in range(3)) / _COUNT_S * (2 if sys.gettrace() else 1)
        self._loop = asyncio.get_running_loop()
        self._is_watching = True
        gc.disable()
        self._last = thread_time()
        self._tick()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_watching = False
        gc.enable()

    def _tick(self) -> None:
        now = thread_time()
        self.longest_s = max(self.longest_s, (now - self._last) / self._pace)
        self._last = now
        if self._is_watching:
            self._loop.call_soon(self._tick)


def _count() -> float:
    began = thread_time()
    number = 0
    for step in range(200_000):
        number += step & 3
    return thread_time() - began


@contextmanager
def leaping() -> Iterator[Callable[[], float]]:
    """Let the running loop's clock stand still, except that it leaps over waits: nothing takes time but timers.

    Yields the clock. Use it where all is in memory: while a thread or a server works, the clock leaps, too.
    """
    loop: Any = asyncio.get_running_loop()
    select, now = loop._selector.select, loop.time()

    def leap(timeout: float | None = None) -> list[Any]:
        nonlocal now
        ready: list[Any] = select(None if timeout is None else 0)
        now += 0 if ready or timeout is None else timeout
        return ready

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._selector, "select", leap)
        patch.setattr(loop, "time", lambda: now)
        yield loop.time
