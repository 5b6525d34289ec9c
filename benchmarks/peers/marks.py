"""Times that several processes note into one file: a place of eight bytes for each task.

Noting costs a fraction of a microsecond, so it can stand in a task that does nothing; nobody has to ask, and no
process waits for another one.
"""

import asyncio
import mmap
import time
from collections.abc import Sequence
from pathlib import Path

_POLL_S = 0.05
_DOUBLE = 8


class Marks:
    """A file that `make` made, seen by every process that opens it. Times are Unix seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self._times = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")

    @classmethod
    def make(cls, path: Path, count: int) -> "Marks":
        """Make a file with places for `count` tasks, all empty."""
        path.unlink(missing_ok=True)
        path.write_bytes(bytes(_DOUBLE * count))
        return cls(path)

    def note(self, number: int) -> None:
        """Note that it is now that the task with this number begins, or what else the number stands for."""
        self._times[number] = time.time()

    def times(self) -> Sequence[float]:
        return self._times.tolist()

    async def until_full(self, *, timeout_s: float) -> Sequence[float]:
        """Wait until every place has a time, and return them. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout_s):
            while not all(self._times):  # noqa: ASYNC110 - other processes fill it
                await asyncio.sleep(_POLL_S)
        return self.times()
