"""Watches whether the writes of one process are committed. It writes nothing itself."""

from asyncio import CancelledError
from time import perf_counter
from typing import Final, Self

from taskmill.domain.errors import Unavailable
from taskmill.storage import faults

# A healthy write takes milliseconds. One that waits for a key of another request may take as long as this.
_LATE_S: Final = 2.0


class WriteWatch:
    """Which writes are in flight, when the last one was committed, and whether one has failed since."""

    def __init__(self) -> None:
        # In order of their begin: the first one is the oldest.
        self._in_flight: dict[Write, None] = {}
        self._committed_at = float("-inf")
        self._has_failed = False

    def write(self) -> "Write":
        """Return a context manager for one write."""
        return Write(self)

    def note_commit(self) -> None:
        """Record a commit: further writes can be expected to commit, too."""
        self._committed_at = perf_counter()
        self._has_failed = False

    @property
    def is_in_doubt(self) -> bool:
        """Whether a write has failed or waits for long, and none has been committed since."""
        return self._has_failed or self._waits()

    def _waits(self) -> bool:
        oldest = next(iter(self._in_flight), None)
        if oldest is None:
            return False
        return perf_counter() - max(oldest.began_at, self._committed_at) > _LATE_S

    def begin(self, write: "Write") -> None:
        """Add a write in flight."""
        self._in_flight[write] = None

    def end(self, write: "Write", error: BaseException | None) -> None:
        """Remove a write. One that PostgreSQL refuses for its content says nothing about other writes."""
        if error is None:
            self.note_commit()
        elif _is_outage(error) or (isinstance(error, CancelledError) and self._waits()):
            self._has_failed = True
        del self._in_flight[write]


class Write:
    """One write in flight."""

    __slots__ = ("_watch", "began_at")

    def __init__(self, watch: WriteWatch) -> None:
        self._watch = watch
        self.began_at = perf_counter()

    def __enter__(self) -> Self:
        self._watch.begin(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._watch.end(self, error)


def _is_outage(error: BaseException) -> bool:
    return isinstance(error, Unavailable) or faults.is_outage(error)
