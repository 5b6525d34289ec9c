"""Paces the looks at a task that is waited for; the clients look and sleep."""

import time

from taskmill.client.errors import StillRunning
from taskmill.domain.lifecycle import TERMINAL
from taskmill.wire.tasks import TaskView

__all__ = ["Waiting"]


class Waiting:
    """Paces the looks at a task until it is terminal: often at first, then every two seconds."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._started = _monotonic_s()
        self._pause_s = 0.05

    def pause_after(self, task: TaskView) -> float | None:
        """Return the seconds to the next look, None when the task has ended.

        Raises:
            StillRunning: The time is over.
        """
        if task.status in TERMINAL:
            return None
        pause, self._pause_s = self._pause_s, min(self._pause_s * 1.5, 2.0)
        if self._timeout_s is None:
            return pause
        left = self._timeout_s - (_monotonic_s() - self._started)
        if left <= 0:
            raise StillRunning(task.id, task.status, self._timeout_s)
        return min(pause, left)


def _monotonic_s() -> float:
    return time.monotonic()  # noqa: TID251 - Clock is the server's; a client has only this
