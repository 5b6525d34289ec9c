"""What became of a request to cancel a task, from its history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from taskmill.domain.lifecycle import TERMINAL, EventType, Status
from taskmill.domain.system import TaskEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReceipt:
    """A request to cancel the latest run: when it was made, and of which worker, if the task ran.

    `end` is the event that ended the task; None while its worker has not ended the attempt.
    """

    requested_at: datetime
    worker: str | None
    end: TaskEvent | None

    @property
    def took_s(self) -> float | None:
        """How long it took until the task had ended."""
        return None if self.end is None else (self.end.at - self.requested_at).total_seconds()

    @property
    def is_done(self) -> bool:
        """Whether the task was cancelled, and did not end in another way first."""
        return self.end is not None and self.end.status is Status.CANCELLED


def cancel_receipt(events: Sequence[TaskEvent]) -> CancelReceipt | None:
    """Return what became of a cancel of the latest run; None if none was requested."""
    request: TaskEvent | None = None
    claim: TaskEvent | None = None
    for event in events:
        if event.event_type is EventType.CANCEL_REQUESTED:
            request = event
        elif event.event_type is EventType.CLAIMED:
            claim = event
        elif event.event_type is EventType.RUN_AGAIN:
            request = None
    last = events[-1] if events else None
    end = last if last is not None and last.status in TERMINAL else None
    if request is not None:
        worker = None if claim is None else claim.worker
        return CancelReceipt(requested_at=request.at, worker=worker, end=end)
    if end is not None and end.event_type is EventType.CANCELLED:
        return CancelReceipt(requested_at=end.at, worker=None, end=end)
    return None
