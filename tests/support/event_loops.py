"""Sees how long an event loop is held by one of its callbacks."""

import asyncio
import gc
import sys
from time import thread_time
from typing import Self

# How long `_count` takes on the machine that limits are written for (2026-11-28).
_COUNT_S = 0.0082


class Watched:
    """Knows how long the loop's thread computed at most between two turns of the loop while the block ran.

    It is the thread's own time, as of a machine that counts as fast as the one that limits are written for: other
    programs, a slow machine and the counting of coverage do not change it. The garbage collector rests meanwhile:
    what it takes depends on what other tests have left.
    """

    longest_s = 0.0

    def __enter__(self) -> Self:
        self._pace = min(_count() for _ in range(3)) / _COUNT_S * (2 if sys.gettrace() else 1)
        self._loop = asyncio.get_running_loop()
        self._is_watching = True
        gc.disable()
        self._last = thread_time()
        self._turn()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_watching = False
        gc.enable()

    def _turn(self) -> None:
        now = thread_time()
        self.longest_s = max(self.longest_s, (now - self._last) / self._pace)
        self._last = now
        if self._is_watching:
            self._loop.call_soon(self._turn)


def _count() -> float:
    began = thread_time()
    number = 0
    for step in range(200_000):
        number += step & 3
    return thread_time() - began
