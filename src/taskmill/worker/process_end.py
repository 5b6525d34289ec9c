"""Ends a process because an operator asked one of its workers to: at once, or when none of them runs anything.

The workers of a process end together. So all of them take no more tasks from the moment that one is asked to stop
when it is empty, and the last one to become so ends the process.
"""

from collections.abc import Callable


class ProcessEnd:
    """What the workers of one process share; `end` is called once at most. Not for use from several threads."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._is_begun = False
        self._wakes: dict[object, Callable[[], None]] = {}
        self._requesters: set[object] = set()
        self._empty: set[object] = set()

    @property
    def waits_for_empty(self) -> bool:
        """Whether no worker is to take tasks, since the process ends when they run nothing more."""
        return bool(self._requesters)

    def join(self, worker: object, wake: Callable[[], None]) -> None:
        """Count a worker; `wake` is called when `waits_for_empty` has changed."""
        self._wakes[worker] = wake

    def begin(self) -> None:
        """End the process, unless that has begun."""
        if not self._is_begun:
            self._is_begun = True
            self._end()

    def request_when_empty(self, worker: object, *, is_requested: bool) -> None:
        """Note that a worker is asked to stop when it is empty, or is not any more."""
        if is_requested is (worker in self._requesters):
            return
        (self._requesters.add if is_requested else self._requesters.discard)(worker)
        for wake in self._wakes.values():
            wake()

    def note(self, worker: object, *, is_empty: bool) -> None:
        """Note whether a worker neither runs anything nor may get anything."""
        if not is_empty:
            self._empty.discard(worker)
            return
        self._empty.add(worker)
        if self._requesters and self._empty.issuperset(self._wakes):
            self.begin()
