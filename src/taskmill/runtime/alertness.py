"""How often a process looks for what others may have done: often while something happens, seldom in between.

It is *calm* when nothing has happened for a while and it would hear if something did. Whoever hears nothing,
because the notifications of PostgreSQL do not come, is never calm: it looks as often as if there were none.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from taskmill.runtime.clock import Clock
from taskmill.runtime.waiting import first_of

ALERT_S: Final = 2.0
"""For so long after something happened it is looked for more."""
CALM_S: Final = 3.0
"""How often a calm process looks all the same: a notification is lost with the process that owes it."""
SURE_S: Final = 15.0
"""How often to look for what is told without fail, as part of the transaction that does it."""


class Alertness:
    """Whether this process is calm, for all of its duties. It hears nothing until it is told that it does."""

    def __init__(self, clock: Clock, *, calm_s: float = CALM_S) -> None:
        self._clock = clock
        self._calm_s = calm_s
        self._stirred_at = clock.monotonic()
        self._hears = False
        self._resting = asyncio.Event()
        self._wakes: list[Callable[[], None]] = []

    @property
    def is_calm(self) -> bool:
        """Whether it is enough to look seldom."""
        return self._hears and self._clock.monotonic() - self._stirred_at > ALERT_S

    def wakes(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the calm ends."""
        self._wakes.append(wake)

    def stir(self) -> None:
        """Something has happened, here or elsewhere."""
        was_calm = self.is_calm
        self._stirred_at = self._clock.monotonic()
        if was_calm:
            self._rouse()

    def hear(self, *, hears: bool) -> None:
        """Say whether notifications come."""
        self._hears, heard = hears, self._hears
        if heard and not hears:
            self._rouse()

    def _rouse(self) -> None:
        # Also those who rest for longer than the calm lasts: they trust that they hear.
        self.end_rests()
        for wake in self._wakes:
            wake()

    def end_rests(self) -> None:
        """Have all who rest look now: something is there for them."""
        self._resting.set()
        self._resting = asyncio.Event()

    def pause_s(self, quick_s: float, calm_s: float | None = None) -> float:
        """Return for how long to pause, where `quick_s` is enough while something happens."""
        return max(quick_s, calm_s or self._calm_s) if self.is_calm else quick_s

    def sure_pause_s(self, quick_s: float) -> float:
        """Return for how long to pause between looks for what is surely told of, if anything is heard."""
        return max(quick_s, SURE_S) if self._hears else quick_s

    async def rest(self, quick_s: float, stop: asyncio.Event) -> None:
        """Pause so long, or until something is there, or everything ends."""
        await first_of(self._resting, stop, timeout_s=self.pause_s(quick_s))
