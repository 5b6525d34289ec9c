"""How often a process looks for what others may have done: often while something happens, seldom in between.

It is *idle* when nothing has happened for a while and it would be notified if something did. A process to which
the notifications of PostgreSQL do not come is never idle: it polls as often as if there were none.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from taskmill.runtime.clock import Clock
from taskmill.runtime.waiting import first_of

IDLE_AFTER_S: Final = 2.0
"""A process is not idle for so long after something happened."""
IDLE_PAUSE_S: Final = 3.0
"""How often an idle process polls all the same: a notification is lost with the process that owes it."""
NOTIFIED_PAUSE_S: Final = 15.0
"""How often to poll for what is notified in the transaction that does it, and so without fail."""


class IdleBackoff:
    """Whether this process is idle, for all of its duties. It starts as one to which no notifications come."""

    def __init__(self, clock: Clock, *, idle_pause_s: float = IDLE_PAUSE_S) -> None:
        self._clock = clock
        self._idle_pause_s = idle_pause_s
        self._active_at = clock.monotonic()
        self._is_notified = False
        self._woken = asyncio.Event()
        self._wakes: list[Callable[[], None]] = []

    @property
    def is_idle(self) -> bool:
        """Whether polling seldom is enough."""
        return self._is_notified and self._clock.monotonic() - self._active_at > IDLE_AFTER_S

    def on_wake(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the process is no longer idle."""
        self._wakes.append(wake)

    def mark_activity(self) -> None:
        """Record that something has happened, here or elsewhere."""
        was_idle = self.is_idle
        self._active_at = self._clock.monotonic()
        if was_idle:
            self._end_idle()

    def set_notified(self, *, is_notified: bool) -> None:
        """Record whether notifications come."""
        self._is_notified, heard = is_notified, self._is_notified
        if heard and not is_notified:
            self._end_idle()

    def _end_idle(self) -> None:
        # Also those who pause for longer: they rely on notifications.
        self.wake_all()
        for wake in self._wakes:
            wake()

    def wake_all(self) -> None:
        """End all pauses: there is something to do."""
        self._woken.set()
        self._woken = asyncio.Event()

    def pause_s(self, quick_s: float, idle_pause_s: float | None = None) -> float:
        """Return for how long to pause, where `quick_s` is enough while something happens."""
        return max(quick_s, idle_pause_s or self._idle_pause_s) if self.is_idle else quick_s

    def notified_pause_s(self, quick_s: float) -> float:
        """Return for how long to pause between polls for what is notified in the transaction that does it."""
        return max(quick_s, NOTIFIED_PAUSE_S) if self._is_notified else quick_s

    async def pause(self, quick_s: float, stop: asyncio.Event) -> None:
        """Pause so long, or until something is there, or everything ends."""
        await first_of(self._woken, stop, timeout_s=self.pause_s(quick_s))
