"""One thread for what would hold the event loop: large requests are read there, one after another.

Work comes in steps of some milliseconds, and whoever has more than one waits again for each: a large request does
not keep small ones waiting. What a step does while it holds the interpreter's lock nobody can hurry.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from taskmill.domain.errors import Unavailable

Result = TypeVar("Result")

LARGE_BYTES: Final = 64 * 1024
"""From here on a request takes so long to read that others would notice."""

# How long a thread that computes keeps the interpreter from the loop, each time after the loop has waited for
# something. Python's own is 5 ms.
_SWITCH_S: Final = 0.0005
_MOST_WAITING: Final = 256
_RETRY_AFTER_S: Final = 1.0
_END: Final = object()


class Offload:
    """Runs functions on its thread, in the order in which they come. It is used by one event loop."""

    def __init__(self, *, most_waiting: int = _MOST_WAITING) -> None:
        self._most_waiting = most_waiting
        self._waiting = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="offload")

    async def run(self, function: Callable[[], Result]) -> Result:
        """Return what the function returns. When this is cancelled it runs to its end, if it has begun.

        Raises:
            Unavailable: too many wait already.
        """
        if self._waiting >= self._most_waiting:
            raise Unavailable(_RETRY_AFTER_S, "the time to read a large request")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)
        finally:
            self._waiting -= 1

    async def run_if_large(self, size: int, function: Callable[[], Result]) -> Result:
        """Return what the function returns, which reads so many bytes: few of them are read here and now."""
        return function() if size <= LARGE_BYTES else await self.run(function)

    async def steps(self, work: Iterator[Result]) -> AsyncIterator[Result]:
        """Yield what the iterator yields; each of its steps runs on the thread."""
        while (step := await self.run(partial(next, work, _END))) is not _END:
            yield step


def let_the_loop_in() -> None:
    """Have threads of this process give way to each other soon."""
    sys.setswitchinterval(_SWITCH_S)
