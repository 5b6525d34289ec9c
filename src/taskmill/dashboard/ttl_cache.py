"""Answers that many pages want at the same moment: read by one of them, and good for a second or so."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

_MOST_KEPT = 64


@dataclass(slots=True)
class _Slot(Generic[Answer]):
    """One answer, and whose turn it is to read it anew."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    answers: list[Answer] = field(default_factory=list)
    stale_at: float = 0.0


class TtlCache(Generic[Answer]):
    """Reads an answer when the last one is older than it may be; those who ask meanwhile wait for the same."""

    def __init__(self) -> None:
        self._slots: OrderedDict[Hashable, _Slot[Answer]] = OrderedDict()

    async def get(
        self, key: Hashable, read: Callable[[], Awaitable[Answer]], *, holds_s: float
    ) -> Answer:
        """Return the answer to `key`, which is `holds_s` seconds old at most. Raises what `read` does."""
        slot = self._slots.setdefault(key, _Slot())
        self._slots.move_to_end(key)
        if len(self._slots) > _MOST_KEPT:
            self._slots.popitem(last=False)
        async with slot.turn:
            now = asyncio.get_running_loop().time
            if not slot.answers or now() >= slot.stale_at:
                slot.answers = [await read()]
                slot.stale_at = now() + holds_s
            return slot.answers[0]
