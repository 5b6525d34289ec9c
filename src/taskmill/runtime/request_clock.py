"""Limits how long a request may take to come: its head as a whole, and its body by a minimum pace."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast requests have to come, and responses have to be read.

    A head may take `head_s` from its first byte to its last. A body may take `body_s`, and a second more for each
    `body_bytes` that have come, with at most `stall_s` between two parts. A client has to read some of a response
    every `response_stall_s`.
    """

    head_s: float = 10.0
    body_s: float = 20.0
    body_bytes: int = 4096
    stall_s: float = 30.0
    response_stall_s: float = 120.0


DEFAULT_PACE: Final = Pace()


class RequestClock:
    """Runs while a part of a request is missing; `on_late` is called once, when it does not come in time.

    Time in which the server itself does not read, because earlier data waits to be processed, does not count.
    """

    def __init__(
        self,
        pace: Pace,
        loop: asyncio.AbstractEventLoop,
        *,
        on_late: Callable[[], None],
        is_reading: Callable[[], bool],
    ) -> None:
        self._pace = pace
        self._loop = loop
        self._on_late = on_late
        self._is_reading = is_reading
        self._timer: asyncio.TimerHandle | None = None
        self._is_head = True
        self.began_at = self._received_at = 0.0
        self._bytes = 0

    def start(self, *, is_head: bool) -> None:
        """Start for a head of which a part has come, or for a body."""
        self.stop()
        self._is_head = is_head
        self._bytes = 0
        self.began_at = self._received_at = self._loop.time()
        self._timer = self._loop.call_at(self._ends_at(), self._check)

    def count_bytes(self, size: int) -> None:
        """Count `size` more bytes of the body."""
        self._bytes += size
        self._received_at = self._loop.time()

    def stop(self) -> None:
        """Stop: nothing is missing, or the connection is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ends_at(self) -> float:
        pace = self._pace
        if self._is_head:
            return self.began_at + pace.head_s
        by_pace = self.began_at + pace.body_s + self._bytes / pace.body_bytes
        return min(by_pace, self._received_at + pace.stall_s)

    def _check(self) -> None:
        self._timer = None
        if not self._is_reading():
            self.start(is_head=self._is_head)
            return
        ends_at = self._ends_at()
        if self._loop.time() >= ends_at:
            self._on_late()
        else:
            self._timer = self._loop.call_at(ends_at, self._check)
