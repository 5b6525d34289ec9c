"""A service that repeats one duty, and goes on after failures."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import DUTY_ROUNDS
from taskmill.runtime.waiting import wake_on

log = get_logger(__name__)

_LONGEST_PAUSE_S = 30.0
# After failures the pause of a slow duty grows, too: up to so many intervals.
_LONGEST_INTERVALS = 8
# Every pause is at its longest by then; without a limit a long outage would overflow the float.
_MOST_DOUBLINGS = 16


class DutyFailure(NamedTuple):
    """How a duty fails: how often in a row, since when by the loop's clock, and the class of the last error."""

    failures: int
    since_s: float
    error: str


class Periodic:
    """Runs `duty` every `interval_s`; after a failure it waits longer each time, up to `longest_s`.

    Without `longest_s` that is half a minute, or eight intervals if that is longer.

    `duty` returns True when there is more to do at once. `pause_s`, given `interval_s`, may return a longer pause.
    A duty that is `on_demand` runs when it is woken, no sooner than `interval_s` after the last time, and again
    after a failure. The first round begins after `first_after_s`.
    """

    def __init__(
        self,
        name: str,
        duty: Callable[[], Awaitable[bool | None]],
        *,
        interval_s: float,
        longest_s: float | None = None,
        pause_s: Callable[[float], float] | None = None,
        on_demand: bool = False,
        first_after_s: float = 0.0,
    ) -> None:
        self.name = name
        self._duty = duty
        self._interval_s = interval_s
        if longest_s is None:
            longest_s = max(_LONGEST_PAUSE_S, _LONGEST_INTERVALS * interval_s)
        # After a failure never sooner than without one.
        self._longest_s = max(longest_s, interval_s)
        self._pause_s = pause_s
        self._on_demand = on_demand
        self._first_after_s = first_after_s
        self._woken = asyncio.Event()
        self.failure: DutyFailure | None = None
        """How it fails; None while it does not."""

    def wake(self) -> None:
        """Start the next round at once."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Repeat the duty until `stop` is set; a round under way is finished."""
        async with wake_on(stop, self.wake):
            await self._repeat(stop)

    async def _repeat(self, stop: asyncio.Event) -> None:
        failures = 0
        if self._on_demand:
            await self._woken.wait()
        elif self._first_after_s:
            await pause(self._woken, self._first_after_s)
        while not stop.is_set():
            self._woken.clear()
            more = False
            try:
                more = bool(await self._duty())
                failures, self.failure = 0, None
                DUTY_ROUNDS.add(1, (self.name, "done"))
            except Exception as error:  # noqa: BLE001 - the loop's boundary: logged, tried again
                failures += 1
                self._note(failures, error)
                DUTY_ROUNDS.add(1, (self.name, "failed"))
                log.warning("duty.failed", duty=self.name, failures=failures, error=repr(error))
            if not more:
                await self._pause(failures, stop)

    def _note(self, failures: int, error: Exception) -> None:
        now_s = asyncio.get_running_loop().time()
        since_s = now_s if self.failure is None else self.failure.since_s
        self.failure = DutyFailure(failures, since_s, type(error).__name__)

    async def _pause(self, failures: int, stop: asyncio.Event) -> None:
        if failures:
            pause_s = backoff_s(failures, first=self._interval_s, longest=self._longest_s)
        else:
            pause_s = self._pause_s(self._interval_s) if self._pause_s else self._interval_s
        await pause(stop if self._on_demand else self._woken, pause_s)
        if self._on_demand and not failures:
            await self._woken.wait()


def backoff_s(failures: int, *, first: float, longest: float) -> float:
    """Return `first` seconds, doubled for every failure (however many), but no more than `longest`."""
    return min(first * 2.0 ** min(failures, _MOST_DOUBLINGS), longest)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for `seconds`, or less when `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
