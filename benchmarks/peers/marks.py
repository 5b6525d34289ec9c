"""Times that several processes note into one file, in eight bytes for each task.

Noting takes a fraction of a microsecond, little even for a no-op task, and no process waits for another one.
"""

import asyncio
import mmap
import time
from collections.abc import Sequence
from pathlib import Path

_POLL_S = 0.05
_DOUBLE = 8


class Marks:
    """A file made by `make`, shared by all processes that open it. Times are Unix seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self._times = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")

    @classmethod
    def make(cls, path: Path, count: int) -> "Marks":
        """Make a file with `count` empty marks."""
        path.unlink(missing_ok=True)
        path.write_bytes(bytes(_DOUBLE * count))
        return cls(path)

    def note(self, number: int) -> None:
        """Note the current time under this number, usually the beginning of a task."""
        self._times[number] = time.time()

    def times(self) -> Sequence[float]:
        return self._times.tolist()

    async def until_full(self, *, timeout_s: float) -> Sequence[float]:
        """Wait until every mark has a time, and return them. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout_s):
            while not all(self._times):  # noqa: ASYNC110 - other processes fill it
                await asyncio.sleep(_POLL_S)
        return self.times()
