"""Sees how long an event loop is held by one of its callbacks."""

import asyncio
from time import thread_time


class Watched:
    """Knows how long the loop's thread computed at most between two turns of the loop.

    It is the thread's own time: a machine that is busy with other things does not change it.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._last = thread_time()
        self._loop = asyncio.get_running_loop()
        self._is_watching = True
        self._turn()

    def _turn(self) -> None:
        now = thread_time()
        self.longest_s = max(self.longest_s, now - self._last)
        self._last = now
        if self._is_watching:
            self._loop.call_soon(self._turn)

    def end(self) -> None:
        """Watch no longer."""
        self._is_watching = False
