"""A cache with a time to live, for values that many need at the same moment: one of them reads it."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Value = TypeVar("Value")

_MOST_KEYS = 64


@dataclass(slots=True)
class _Slot(Generic[Value]):
    """One value (the list is empty before the first read), and the lock of the one that reads it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    values: list[Value] = field(default_factory=list)
    stale_at: float = 0.0


class TtlCache(Generic[Value]):
    """Reads a value when the last one is too old; concurrent calls wait for the same read."""

    def __init__(self) -> None:
        self._slots: OrderedDict[Hashable, _Slot[Value]] = OrderedDict()

    async def get(
        self, key: Hashable, read: Callable[[], Awaitable[Value]], *, ttl_s: float
    ) -> Value:
        """Return the value of `key`, at most `ttl_s` seconds old. Raises what `read` does."""
        slot = self._slots.setdefault(key, _Slot())
        self._slots.move_to_end(key)
        if len(self._slots) > _MOST_KEYS:
            self._slots.popitem(last=False)
        async with slot.lock:
            now = asyncio.get_running_loop().time
            if not slot.values or now() >= slot.stale_at:
                slot.values = [await read()]
                slot.stale_at = now() + ttl_s
            return slot.values[0]
