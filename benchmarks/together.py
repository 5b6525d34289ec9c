"""The rule by which all sides of a drain begin: workers run before their tasks exist, and all begin at once.

Programs that start on a full queue begin one after the other, and the first has done much before the last one
begins. So they start on an empty queue; the kernel stops them while it is filled, and then continues all of them.
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

# After the programs are ready, their threads still connect; after filling, servers still write.
_SETTLE_S = 0.5

# Rarely: a side with more rows to count would pay more, and the measured end does not depend on it.
COUNTED_EVERY_S = 1.0

Start = AbstractAsyncContextManager[Program]


@asynccontextmanager
async def begun_together(
    lab: Lab, starts: Sequence[Start], fill: Callable[[], Awaitable[object]]
) -> AsyncIterator[None]:
    """Start programs, hold them while `fill` creates their tasks, and continue all; stop them in the end."""
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
    """Stop programs and their children, each group at once, and continue them in the end."""
    _send(programs, signal.SIGSTOP)
    try:
        yield
    finally:
        _send(programs, signal.SIGCONT)


def _send(programs: Sequence[Program], number: signal.Signals) -> None:
    for program in programs:
        os.killpg(program.pid, number)
