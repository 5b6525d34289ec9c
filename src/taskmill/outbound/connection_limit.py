"""Limits concurrent requests, in total and to one host. The wait for a slot is not part of the endpoint's time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _Host:
    slots: asyncio.Semaphore
    users: int = 0


class ConnectionLimit:
    """Slots for requests. A request that waits for a busy host takes no slot from other hosts."""

    def __init__(self, most: int, *, per_host: int) -> None:
        self._all = asyncio.Semaphore(most)
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def slot(self, host: str) -> AsyncIterator[None]:
        """Wait for a slot, and hold it for the block."""
        mine = self._hosts.get(host)
        if mine is None:
            mine = self._hosts[host] = _Host(asyncio.Semaphore(self._per_host))
        mine.users += 1
        try:
            async with mine.slots, self._all:
                yield
        finally:
            mine.users -= 1
            if not mine.users:
                del self._hosts[host]
