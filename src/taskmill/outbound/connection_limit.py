"""Bounds how many requests are under way: in all, and to one host. Waiting for a turn is no endpoint's time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _Host:
    slots: asyncio.Semaphore
    users: int = 0


class ConnectionLimit:
    """ConnectionLimit for requests. Who waits for a host that is busy takes no turn from others."""

    def __init__(self, most: int, *, per_host: int) -> None:
        self._all = asyncio.Semaphore(most)
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def slot(self, host: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for the block."""
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
