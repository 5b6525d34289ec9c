"""Measures how late the event loop runs timers: everything else in the process waits as long."""

import asyncio
from time import perf_counter

from taskmill.observability.metrics import LOOP_LAG

_INTERVAL_S = 0.5


class LoopLag:
    """A service with a timer twice a second that records how late it fires."""

    name = "loop-lag"

    async def run(self, stop: asyncio.Event) -> None:
        """Measure until `stop` is set."""
        self._loop = asyncio.get_running_loop()
        self._set_timer()
        await stop.wait()
        self._timer.cancel()

    def _set_timer(self) -> None:
        self._due_at = perf_counter() + _INTERVAL_S
        self._timer = self._loop.call_later(_INTERVAL_S, self._fire)

    def _fire(self) -> None:
        # Not the loop's own time: it stands still while callbacks run.
        LOOP_LAG.observe(max(perf_counter() - self._due_at, 0.0))
        self._set_timer()
