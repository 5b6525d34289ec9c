"""Waits for several things at once: a service's stop and its work, or the first of several events.

An `asyncio.Event` has no callbacks, so a task must wait for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def alongside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a coroutine beside the block, and cancel it when the block is left.

    Raises:
        ExceptionGroup: with what the coroutine or the block raised; the other one was cancelled.
    """
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def wake_on(event: asyncio.Event, wake: Callable[[], object]) -> AsyncIterator[None]:
    """Call `wake` once when the event is set while the block runs, also when the block is left at that moment.

    So a service that waits for something else also notices its `stop`: `async with wake_on(stop, self.wake)`.
    """
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_wake_on(event, wake))
        try:
            yield
        finally:
            if not event.is_set():
                task.cancel()


async def _wake_on(event: asyncio.Event, wake: Callable[[], object]) -> None:
    await event.wait()
    wake()


async def first_of(*events: asyncio.Event, timeout_s: float | None = None) -> None:
    """Return when one of the events is set, or after `timeout_s` seconds."""
    if any(event.is_set() for event in events):
        return
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(event.wait()) for event in events]
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
