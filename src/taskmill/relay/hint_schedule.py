"""Decides which queues and types are to be hinted, and when something is due next. There is no I/O here."""

from collections.abc import Mapping
from math import inf
from typing import Final, TypeAlias

from taskmill.runtime.clock import Clock
from taskmill.storage.bucket_scan import FirstWaiting
from taskmill.storage.claims import Bucket

# What is still due after this is hinted again: workers may have become free, or hints been lost.
_AGAIN_S: Final = 2.0

Kind: TypeAlias = tuple[str, str]
"""A queue and a type."""


class HintSchedule:
    """What the latest scan found, and which hints were sent when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._woken_at = clock.monotonic()
        self._due_at: dict[Bucket, float] = {}
        self._sent_at: dict[Kind, float] = {}

    def wake(self) -> None:
        """Have all that is due hinted again: something may have become due."""
        self._woken_at = self._clock.monotonic()

    def note_sent(self, kind: Kind) -> None:
        """Record that a hint was sent."""
        self._sent_at[kind] = self._clock.monotonic()

    def forget_sent(self) -> None:
        """Forget which hints were sent: they may be lost."""
        self._sent_at.clear()

    def scanned(self, firsts: Mapping[Bucket, FirstWaiting], *, is_complete: bool) -> list[Kind]:
        """Take what a scan found; return what is to be hinted now, the most urgent first.

        That is all that is due, unless it was hinted since it came, or since `wake`, and not long ago.
        """
        now = self._clock.monotonic()
        self._due_at = {bucket: now + first.due_in_s for bucket, first in firsts.items()}
        due = self._due_kinds(now)
        if is_complete:
            self._sent_at = {kind: at for kind, at in self._sent_at.items() if kind in due}
        return [kind for kind, due_at in due.items() if self._is_owed(kind, due_at, now)]

    def next_due_in_s(self) -> float:
        """Return in how many seconds something becomes due that was not; infinity if nothing does."""
        now = self._clock.monotonic()
        return min((due - now for due in self._due_at.values() if due > now), default=inf)

    def _due_kinds(self, now: float) -> dict[Kind, float]:
        """Return what has due tasks, the most urgent first, and since when the latest of its buckets has."""
        due: dict[Kind, float] = {}
        for bucket, due_at in sorted(self._due_at.items(), key=lambda item: -item[0].priority):
            if due_at <= now:
                kind = (bucket.queue, bucket.type)
                due[kind] = max(due_at, due.get(kind, due_at))
        return due

    def _is_owed(self, kind: Kind, due_at: float, now: float) -> bool:
        sent_at = self._sent_at.get(kind, -inf)
        return sent_at <= max(due_at, self._woken_at) or now - sent_at >= _AGAIN_S
