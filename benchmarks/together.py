"""The one rule by which all sides of a drain begin: what works is there before its tasks are, and begins at once.

Programs that start on tasks that wait begin one after the other, and the first has done much before the last one
does anything. So they start on an empty queue; the kernel holds them while it is filled, and lets all go on then.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)

from benchmarks.lab import Lab
from benchmarks.programs import Program

# After they told that they are ready: what threads still connect; and after filling: what servers still write.
_SETTLE_S = 0.5

# Rarely: whoever has more rows to count would pay more for it, and it is no end of what is measured.
COUNTED_EVERY_S = 1.0

Start = AbstractAsyncContextManager[Program]


@asynccontextmanager
async def begun_together(
    lab: Lab, starts: Sequence[Start], fill: Callable[[], Awaitable[object]]
) -> AsyncIterator[None]:
    """Start programs, hold them while `fill` makes their tasks, and let all go on; they are stopped after."""
    async with AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as group:
            entered = [group.create_task(stack.enter_async_context(start)) for start in starts]
        await asyncio.sleep(_SETTLE_S)
        with _held([one.result() for one in entered]):
            await fill()
            await lab.settle()
            await asyncio.sleep(_SETTLE_S)
        yield


@contextmanager
def _held(programs: Sequence[Program]) -> Iterator[None]:
    """Stop programs and their children, each group at once, and let them go on after."""
    _send(programs, signal.SIGSTOP)
    try:
        yield
    finally:
        _send(programs, signal.SIGCONT)


def _send(programs: Sequence[Program], number: signal.Signals) -> None:
    for program in programs:
        os.killpg(program.pid, number)
