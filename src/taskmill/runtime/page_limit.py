"""Keeps the large pages of one address from taking the event loop's time from others.

A page of 5 MB takes 50 ms of it (2026-11-28). Sixteen clients of one address that ask for one after the other left
others a tenth of their speed. So an address gets few at a time, with pauses; and a page is made in pieces of about
a millisecond, between which others are served.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from taskmill.runtime.offload import LARGE_BYTES, Offload, caller, calling_address

_S_PER_BYTE: Final = 1e-8
# So many times as long as a large page took, the next one of its address waits while others are served.
_PAUSE_FACTOR: Final = 4
# So many times as long as a piece took, the next piece of its page waits while others are served.
_PIECE_PAUSE_FACTOR: Final = 2
# From this on Python copies without the interpreter's lock; 5 MB take 3 ms.
_LARGE_COPY_BYTES: Final = 1024**2


@dataclass(slots=True)
class _Address:
    slots: asyncio.Semaphore
    users: int = 0


@dataclass(slots=True)
class Page:
    """A page that is being made; `size` is its length in bytes once that is known."""

    offload: Offload
    size: int = 0

    async def joined(self, pieces: Iterator[bytes]) -> bytes:
        """Return the body that pieces make together. Others are served after each one of a page that is large."""
        served, began = self.offload.responses, time.thread_time()
        made: list[bytes] = []
        for piece in pieces:
            made.append(piece)
            self.size += len(piece)
            if self.size > LARGE_BYTES:
                took_s = time.thread_time() - began
                is_alone = self.offload.responses == served
                await asyncio.sleep(0 if is_alone else _PIECE_PAUSE_FACTOR * took_s)
                served, began = self.offload.responses, time.thread_time()
        return await self._together(made)

    async def _together(self, made: list[bytes]) -> bytes:
        if len(made) == 1:
            return made[0]
        if self.size < _LARGE_COPY_BYTES:
            return b"".join(made)
        return await asyncio.to_thread(b"".join, made)


class PageLimit:
    """Slots for pages. Who waits for an address that is busy takes no slot from others."""

    def __init__(self, offload: Offload, *, per_address: int) -> None:
        self._offload = offload
        self._per_address = per_address
        self._addresses: dict[str, _Address] = {}

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Page]:
        """Wait for a slot of the caller's address. After a large page it stays taken for a while."""
        current, name = caller.get(), calling_address()
        address = self._addresses.get(name)
        if address is None:
            address = self._addresses[name] = _Address(asyncio.Semaphore(self._per_address))
        address.users += 1
        pause_s, page = 0.0, Page(self._offload)
        try:
            await address.slots.acquire()
            served = self._offload.responses
            try:
                yield page
            finally:
                if page.size > LARGE_BYTES:
                    if current is not None:
                        current.was_offloaded = True  # it does not count as one of the others
                    if self._offload.responses != served:
                        pause_s = _PAUSE_FACTOR * _S_PER_BYTE * page.size
                asyncio.get_running_loop().call_later(pause_s, address.slots.release)
        finally:
            asyncio.get_running_loop().call_later(pause_s, self._leave, name)

    def _leave(self, name: str) -> None:
        address = self._addresses[name]
        address.users -= 1
        if not address.users:
            del self._addresses[name]
