"""Limits what goes on at a time, in total and for one key, such as a host."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _Key:
    slots: asyncio.Semaphore
    users: int = 0


class SlotLimit:
    """Slots for what goes on. Who waits for a busy key takes no slot from other keys."""

    def __init__(self, most: int, *, per_key: int) -> None:
        self._all = asyncio.Semaphore(most)
        self._per_key = per_key
        self._keys: dict[str, _Key] = {}

    @asynccontextmanager
    async def slot(self, key: str) -> AsyncIterator[None]:
        """Wait for a slot, and hold it for the block."""
        mine = self._keys.get(key)
        if mine is None:
            mine = self._keys[key] = _Key(asyncio.Semaphore(self._per_key))
        mine.users += 1
        try:
            async with mine.slots, self._all:
                yield
        finally:
            mine.users -= 1
            if not mine.users:
                del self._keys[key]
