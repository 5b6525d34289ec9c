"""Gives back what a process does not use any more: connections to the database, and memory."""

import asyncio
from typing import Final

from taskmill.composition.process_context import ProcessContext
from taskmill.runtime.heap import trim_heap
from taskmill.runtime.periodic import Periodic
from taskmill.runtime.services import Service

_INTERVAL_S: Final = 60.0


def unused_releaser(context: ProcessContext) -> Service:
    """Return the service that closes unused connections, and trims the heap once after each time of activity."""
    was_active = asyncio.Event()
    was_active.set()
    context.idle_backoff.on_wake(was_active.set)

    async def release() -> None:
        for database in context.databases:
            await database.close_unused()
        if context.idle_backoff.is_idle and was_active.is_set():
            was_active.clear()
            trim_heap()

    return Periodic("release-unused", release, interval_s=_INTERVAL_S)
