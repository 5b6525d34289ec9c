"""Ends a process at an operator's request to one of its workers: at once, or when none of them runs anything.

The workers of a process end together. So as soon as one is to stop when empty, none of them takes more tasks, and
the last one to become empty ends the process.
"""

from collections.abc import Callable


class ProcessEnd:
    """Shared by the workers of one process; `end` is called at most once. It is not thread-safe."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._is_begun = False
        self._wakes: dict[object, Callable[[], None]] = {}
        self._requesters: set[object] = set()
        self._empty: set[object] = set()

    @property
    def waits_for_empty(self) -> bool:
        """Whether the process ends once all workers are empty, so that none should take tasks."""
        return bool(self._requesters)

    def join(self, worker: object, wake: Callable[[], None]) -> None:
        """Add a worker; `wake` is called when `waits_for_empty` has changed."""
        self._wakes[worker] = wake

    def begin(self) -> None:
        """End the process, unless it is ending already."""
        if not self._is_begun:
            self._is_begun = True
            self._end()

    def request_when_empty(self, worker: object, *, is_requested: bool) -> None:
        """Record whether a worker is requested to stop when it is empty."""
        if is_requested is (worker in self._requesters):
            return
        (self._requesters.add if is_requested else self._requesters.discard)(worker)
        for wake in self._wakes.values():
            wake()

    def note(self, worker: object, *, is_empty: bool) -> None:
        """Record whether a worker runs nothing and takes no tasks."""
        if not is_empty:
            self._empty.discard(worker)
            return
        self._empty.add(worker)
        if self._requesters and self._empty.issuperset(self._wakes):
            self.begin()
