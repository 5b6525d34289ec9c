"""How often a process polls for what others have done: often while there is activity, seldom while it is idle.

A process is *idle* when nothing has happened for a while and it would be notified if something did. Without
notifications of PostgreSQL it is never idle, and always polls often.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from taskmill.runtime.clock import Clock
from taskmill.runtime.waiting import first_of

IDLE_AFTER_S: Final = 2.0
"""A process becomes idle this long after the latest activity."""
IDLE_PAUSE_S: Final = 5.0
"""How often an idle process polls nevertheless: a notification is lost when its sender dies."""
NOTIFIED_PAUSE_S: Final = 15.0
"""How often to poll for what is always notified, because the same transaction sends the notification."""


class IdleBackoff:
    """Whether this process is idle, for all of its duties. It starts as not notified."""

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
        self._is_notified, was_notified = is_notified, self._is_notified
        if was_notified and not is_notified:
            self._end_idle()

    def _end_idle(self) -> None:
        # Pauses between polls for notified work are longer; they rely on notifications, too.
        self.wake_all()
        for wake in self._wakes:
            wake()

    def wake_all(self) -> None:
        """End all pauses: there is something to do."""
        self._woken.set()
        self._woken = asyncio.Event()

    def pause_s(self, quick_s: float, idle_pause_s: float | None = None) -> float:
        """Return how long to pause: `quick_s` while there is activity, longer while idle."""
        return max(quick_s, idle_pause_s or self._idle_pause_s) if self.is_idle else quick_s

    def notified_pause_s(self, quick_s: float) -> float:
        """Return how long to pause between polls for what is always notified."""
        return max(quick_s, NOTIFIED_PAUSE_S) if self._is_notified else quick_s

    async def pause(self, quick_s: float, stop: asyncio.Event) -> None:
        """Pause for `pause_s`, or until `wake_all` or `stop`."""
        await first_of(self._woken, stop, timeout_s=self.pause_s(quick_s))
