"""The way to a client: small writes are joined, and one who takes nothing of what was written is reported."""

import asyncio
from collections.abc import Callable
from typing import Final

_LOOKS: Final = 4


def _nothing() -> None:
    """Do nothing."""


class ClientTransport:
    """Writes an answer's head together with what follows in the same turn of the loop.

    The library writes them one after the other, and each write is a call of the kernel that wakes the client:
    a tenth of all that a small answer costs (measured 2026-11-25).

    `on_stalled` is called when something is left to be sent and none of it was taken for `stall_s`, or for up to a
    quarter of that longer. A transport that is to be closed waits for ever for such a client.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        *,
        stall_s: float,
        on_stalled: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._stall_s = stall_s
        self._on_stalled = on_stalled
        self._head: bytes | None = None
        self._written = 0
        self._taken = 0
        self._timer: asyncio.TimerHandle | None = None
        self.waits_since = 0.0
        """Since when nothing is known to have been taken, while something is `unsent`."""
        self.is_closing = transport.is_closing

    @property
    def unsent(self) -> int:
        """How many bytes the client has not taken yet, beyond what the system keeps for it."""
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Write a part of an answer."""
        if self._head is not None:
            data, self._head = self._head + data, None
        elif data.startswith(b"HTTP/"):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._write(data)

    def write_whole(self, answer: bytes) -> None:
        """Write an answer that needs nothing to follow."""
        self._flush()
        self._write(answer)

    def close(self) -> None:
        """Close when all has been sent."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever was not yet sent."""
        self.stop_waiting()
        self._transport.abort()

    def stop_waiting(self) -> None:
        """Report nothing any more: the connection is lost, and who would hear of it is let go."""
        self._on_stalled = _nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._write(head)

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        self._written += len(data)
        if self._timer is None and (unsent := self.unsent):
            self._taken = self._written - unsent
            self.waits_since = self._loop.time()
            self._look_later()

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(self._stall_s / _LOOKS, self._look)

    def _look(self) -> None:
        self._timer = None
        unsent, now = self.unsent, self._loop.time()
        if not unsent:
            return
        if self._written - unsent > self._taken:
            self._taken, self.waits_since = self._written - unsent, now
        elif now - self.waits_since >= self._stall_s:
            self._on_stalled()
            return
        self._look_later()
