"""The inputs of a program in a peer's environment: from variables, which its child processes inherit."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from pathlib import Path

from benchmarks.peers.marks import Marks

URL = os.environ.get("PEER_URL", "")
NOOP = "noop"


@cache
def begun() -> Marks:
    """Return the marks in which tasks note that they begin."""
    return Marks(Path(os.environ["PEER_BEGUN"]))


def report_ready() -> None:
    """Report to the runner that tasks are taken from now on."""
    Path(os.environ["PEER_READY_FILE"]).write_text("{}")


def paced(send: Callable[[int], object], pauses: list[float], sent: Path) -> None:
    """Send a task after each pause, and note the beginning and the end of each call: two marks a task."""
    marks = Marks(sent)
    for number, pause_s in enumerate(pauses):
        time.sleep(pause_s)
        marks.note(2 * number)
        send(number)
        marks.note(2 * number + 1)


async def paced_async(
    send: Callable[[int], Awaitable[object]], pauses: list[float], sent: Path
) -> None:
    """Do the same with a coroutine."""
    marks = Marks(sent)
    for number, pause_s in enumerate(pauses):
        await asyncio.sleep(pause_s)
        marks.note(2 * number)
        await send(number)
        marks.note(2 * number + 1)


def blocks(count: int, size: int = 1000) -> Iterator[range]:
    """Cut the numbers of `count` tasks into blocks."""
    for start in range(0, count, size):
        yield range(start, min(start + size, count))
