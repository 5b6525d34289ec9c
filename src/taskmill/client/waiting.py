"""Paces the polls of a task that a caller waits for; the clients poll and sleep."""

import time
from dataclasses import replace
from typing import Final

import httpx

from taskmill.client import calls
from taskmill.client.calls import Call
from taskmill.client.errors import ClientError, StillRunning, Unexpected, Unreachable
from taskmill.client.refusals import ServiceUnavailable
from taskmill.client.tries import AWAY
from taskmill.client.views.tasks import TaskView
from taskmill.domain.lifecycle import TERMINAL

LONGEST_HOLD_S: Final = 30.0
_PAUSE_AFTER_TROUBLE_S: Final = 1.0


class Waiting:
    """Paces the polls of a task until it is terminal.

    A service that can hold responses is asked to, up to `hold_s` seconds each, and polled without pauses. Another
    one is polled often at first, then every two seconds.
    """

    def __init__(self, timeout_s: float | None, *, hold_s: float = LONGEST_HOLD_S) -> None:
        self._timeout_s = timeout_s
        self._hold_s = hold_s
        self._started = _monotonic_s()
        self._pause_s = 0.05
        self._is_held = True
        self._is_troubled = False

    def pause_after(self, task: TaskView) -> float | None:
        """Return the seconds to the next poll, None if the task has ended.

        Raises:
            StillRunning: The time is over.
        """
        if task.status in TERMINAL:
            return None
        left_s = self._left_s()
        if self._timeout_s is not None and left_s <= 0:
            raise StillRunning(task.id, task.status, self._timeout_s)
        if self._is_troubled:
            self._is_troubled = False
            return min(_PAUSE_AFTER_TROUBLE_S, left_s)
        if self._holds_now():
            return 0.0
        pause, self._pause_s = self._pause_s, min(self._pause_s * 1.5, 2.0)
        return min(pause, left_s)

    def poll_once(self, task: TaskView) -> Call[TaskView]:
        """Return the request of a poll without retries of its own; its errors go to `note_trouble`."""
        return replace(self.poll(task), is_probe=True)

    def note_trouble(self, error: ClientError) -> None:
        """Note that a poll failed. Raises the error again if it is not temporary."""
        is_away = isinstance(error, Unexpected) and error.status in AWAY
        if not (is_away or isinstance(error, Unreachable | ServiceUnavailable)):
            raise error
        self._is_troubled = True

    def poll(self, task: TaskView) -> Call[TaskView]:
        """Return the request of the next poll."""
        if not self._holds_now():
            return calls.get(task.id)
        hold_s = int(min(self._hold_s, self._left_s()))
        return calls.get_newer(task, hold_s=hold_s, on_response=self._note)

    def _note(self, response: httpx.Response, *, is_newer: bool) -> None:
        """Note whether the service holds responses: an unchanged task at once means that it does not."""
        applied = response.headers.get("Preference-Applied", "")
        self._is_held = is_newer or "wait" in applied

    def _holds_now(self) -> bool:
        return self._is_held and self._left_s() >= 1

    def _left_s(self) -> float:
        if self._timeout_s is None:
            return float("inf")
        return self._timeout_s - (_monotonic_s() - self._started)


def _monotonic_s() -> float:
    return time.monotonic()  # noqa: TID251 - Clock is the server's; a client has only this
