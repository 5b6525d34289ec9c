"""Reports the handler that blocks the event loop while it does so, since everything else in the process waits.

A thread checks whether the loop still runs. It does not interfere.
"""

import asyncio
import sys
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any, Final

from taskmill.observability.logs import get_logger
from taskmill.runtime.clock import Clock
from taskmill.worker.attempt import Attempt
from taskmill.worker.pool import AttemptPool

log = get_logger(__name__)

_TICK_S: Final = 0.1


class StallWatch:
    """A service that warns when the loop has not run for `longest_s`, once for each stall.

    `pools` are those whose handlers run in the loop.
    """

    name = "stall-watch"

    def __init__(self, clock: Clock, pools: Iterable[AttemptPool], *, longest_s: float) -> None:
        self._clock = clock
        self._pools = tuple(pools)
        self._longest_s = longest_s
        self._ended = threading.Event()
        self._ticked_at = clock.monotonic()
        self._loop_thread = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._tick()
        watch = threading.Thread(target=self._watch, name="stalls", daemon=True)
        watch.start()
        await stop.wait()
        self._timer.cancel()
        self._ended.set()

    def _tick(self) -> None:
        self._ticked_at = self._clock.monotonic()
        self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _watch(self) -> None:
        reported = checked_at = float("-inf")
        while not self._ended.wait(_TICK_S):
            now = self._clock.monotonic()
            # If this thread has paused, too, the whole process was frozen, and not by a handler.
            is_awake = now - checked_at < self._longest_s
            checked_at = now
            ticked_at = self._ticked_at
            if is_awake and now - ticked_at > self._longest_s and ticked_at != reported:
                reported = ticked_at
                self._report(now - ticked_at)

    def _report(self, blocked_s: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - the documented way to look at a thread
        if frame is None:
            return
        facts: dict[str, Any] = {"blocked_s": round(blocked_s, 1), "at": _location(frame)}
        attempt = self._current_attempt()
        if attempt is None:
            log.warning("loop.blocked", **facts)
        else:
            task = attempt.task
            log.warning(
                "handler.blocks_loop",
                task_id=str(task.id),
                queue=task.queue,
                type=task.type,
                advice="await instead, or make it a plain function, which runs in a thread",
                **facts,
            )

    def _current_attempt(self) -> Attempt | None:
        """Return the attempt whose handler's asyncio task is running in the loop, None if there is none."""
        current = asyncio.current_task(self._loop)
        found = (pool.of_task(current) for pool in self._pools)
        return next(filter(None, found), None)


def _location(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
