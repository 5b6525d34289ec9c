"""The course of a task, from its history: what it waited for and how long, and how each of its attempts ended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from taskmill.domain.lifecycle import TERMINAL, EventType, Reason, Status
from taskmill.domain.system import TaskEvent


class PhaseKind(StrEnum):
    """What happens to a task in a phase; that of an attempt is how it ended."""

    SCHEDULED = "scheduled"
    BACK_OFF = "back_off"
    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    HANDED_BACK = "handed_back"
    CANCELLED = "cancelled"


WAITS: Final = frozenset({PhaseKind.SCHEDULED, PhaseKind.BACK_OFF, PhaseKind.WAITING})
"""The phases in which no attempt runs."""

_HOW_ENDED: Final = {
    EventType.SUCCEEDED: PhaseKind.SUCCEEDED,
    EventType.FAILED: PhaseKind.FAILED,
    EventType.RETRY_SCHEDULED: PhaseKind.FAILED,
    EventType.HANDED_BACK: PhaseKind.HANDED_BACK,
    EventType.LOST: PhaseKind.LOST,
    EventType.CANCELLED: PhaseKind.CANCELLED,
}
_BEFORE_BACK_OFF: Final = frozenset(
    {EventType.RETRY_SCHEDULED, EventType.HANDED_BACK, EventType.LOST}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of a task's life, from `begin` to `end`."""

    kind: PhaseKind
    begin: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end - self.begin).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCourse:
    """An attempt with the waiting before it.

    `claim` is the event of its claim; None if the task still waits, or ended while it waited. `end` is the event
    that ended it; None if it has not ended.
    """

    run: int
    attempt: int
    phases: tuple[Phase, ...]
    claim: TaskEvent | None = None
    end: TaskEvent | None = None

    @property
    def kind(self) -> PhaseKind:
        """What became of it, or what happens now."""
        if self.claim is None and self.end is not None:
            is_cancelled = self.end.status is Status.CANCELLED
            return PhaseKind.CANCELLED if is_cancelled else PhaseKind.FAILED
        return self.phases[-1].kind

    @property
    def waited_s(self) -> float:
        """How long it waited before it was claimed."""
        return sum(one.seconds for one in self.phases if one.kind in WAITS)

    @property
    def ran_s(self) -> float | None:
        """How long it ran; None if it was not claimed."""
        return None if self.claim is None else self.phases[-1].seconds


def course_of(events: Sequence[TaskEvent], now: datetime) -> list[AttemptCourse]:
    """Return the attempts of a history in order; the last one may still wait or run.

    A history may begin anywhere: an attempt whose claim is not in it is left out.
    """
    return list(_attempts(events, now))


def _attempts(events: Sequence[TaskEvent], now: datetime) -> Iterator[AttemptCourse]:
    claim: TaskEvent | None = None
    waits: list[TaskEvent] = []
    for event in events:
        if event.event_type is EventType.CLAIMED:
            claim = event
            continue
        if event.event_type is EventType.CANCEL_REQUESTED:
            continue
        is_end = claim is not None or event.status in TERMINAL
        if is_end and (claim is not None or waits):
            yield _attempt(waits, claim, event, event.at)
            claim, waits = None, []
        if event.status is Status.NEW:
            waits.append(event)
    if claim is not None or waits:
        end = max(now, (claim or waits[-1]).at)
        yield _attempt(waits, claim, None, end)


def _attempt(
    waits: Sequence[TaskEvent], claim: TaskEvent | None, end: TaskEvent | None, until: datetime
) -> AttemptCourse:
    if claim is None:
        # PostgreSQL's clock may have been set back in between.
        waited = tuple(_waiting(waits, max(until, waits[-1].at)))
        run, attempt = waits[-1].run, waits[-1].attempt + 1
        return AttemptCourse(run=run, attempt=attempt, phases=waited, end=end)
    waited = tuple(_waiting(waits, claim.at))
    ran = Phase(kind=_kind_of(end), begin=claim.at, end=max(until, claim.at))
    return AttemptCourse(
        run=claim.run,
        attempt=claim.attempt,
        phases=(*waited, ran),
        claim=claim,
        end=end,
    )


def _kind_of(end: TaskEvent | None) -> PhaseKind:
    if end is None:
        return PhaseKind.RUNNING
    if end.event_type is EventType.FAILED and end.reason == Reason.WORKER_LOST:
        return PhaseKind.LOST
    return _HOW_ENDED.get(end.event_type, PhaseKind.RUNNING)


def _waiting(waits: Sequence[TaskEvent], until: datetime) -> Iterator[Phase]:
    """Yield what it waited for: until it was due, and from then on for a worker."""
    early = PhaseKind.SCHEDULED
    for number, event in enumerate(waits):
        if event.event_type in _BEFORE_BACK_OFF:
            early = PhaseKind.BACK_OFF
        end = waits[number + 1].at if number + 1 < len(waits) else until
        due = min(max(event.run_at, event.at), end)
        if due > event.at:
            yield Phase(kind=early, begin=event.at, end=due)
        if end > due or (number + 1 == len(waits) and due == event.at):
            yield Phase(kind=PhaseKind.WAITING, begin=due, end=max(end, due))
