"""The blockers between a task and its end: their stable names, their states, and the words for times and numbers.

Which blocker holds is decided in `domain/explanation.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

_MINUTE_S = 60
_EXACT_RATE = 10
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


class BlockerName(StrEnum):
    """What can keep a task where it is, in the order of the checks. The names are stable."""

    FINISHED = "finished"
    RUNNING = "running"
    LEASE_ENDED = "lease_ended"
    NOT_ENQUEUED = "not_enqueued"
    QUEUE_PAUSED = "queue_paused"
    NOT_DUE = "not_due"
    EXPIRED = "expired"
    NO_WORKER = "no_worker"
    BROKER_AWAY = "broker_away"
    NO_FREE_SLOT = "no_free_slot"
    TASKS_AHEAD = "tasks_ahead"
    NOT_CLAIMED = "not_claimed"
    MAINTENANCE_AWAY = "maintenance_away"


class BlockerState(StrEnum):
    """Whether a blocker keeps the task."""

    PASSED = "passed"
    HOLDS = "holds"
    NOT_REACHED = "not_reached"


class EndKind(StrEnum):
    """How a task ended, as its history shows."""

    SUCCEEDED = "succeeded"
    ATTEMPTS_USED_UP = "attempts_used_up"
    LOSSES_USED_UP = "losses_used_up"
    PERMANENT_FAILURE = "permanent_failure"
    PAYLOAD_REFUSED = "payload_refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class DelayKind(StrEnum):
    """Why a task is not due yet."""

    SCHEDULED = "scheduled"
    BACKOFF = "backoff"
    HANDED_BACK = "handed_back"


Facts = Mapping[str, object]
_NONE: Facts = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A blocker: whether it keeps the task, the facts behind that, and what to do.

    `facts` has texts, numbers, times, ids, and lists and mappings of these.
    """

    name: BlockerName
    state: BlockerState
    sentence: str
    todo: str | None = None
    facts: Facts = field(default_factory=lambda: _NONE)


def passed(name: BlockerName, sentence: str, facts: Facts = _NONE) -> Blocker:
    """Make a blocker that the task has passed."""
    return Blocker(name=name, state=BlockerState.PASSED, sentence=sentence, facts=facts)


def holds(name: BlockerName, sentence: str, facts: Facts = _NONE, *, todo: str) -> Blocker:
    """Make a blocker that keeps the task; `todo` is what to do, or why waiting is enough."""
    return Blocker(name=name, state=BlockerState.HOLDS, sentence=sentence, facts=facts, todo=todo)


def not_reached(name: BlockerName) -> Blocker:
    """Make a blocker that does not matter yet, because an earlier one holds."""
    return Blocker(name=name, state=BlockerState.NOT_REACHED, sentence="Not reached.")


def moment(at: datetime) -> str:
    """Show a time to the second in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def when(at: datetime, now: datetime) -> str:
    """Show a time, and how far it is away."""
    away = at - now
    distance = f"in {span(away)}" if away > timedelta(0) else f"{span(-away)} ago"
    return f"{moment(at)} ({distance})"


def span(length: timedelta) -> str:
    """Show a length of time in at most two units: `0.4 s`, `6 s`, `3m 20s`, `2d 4h`."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s" if seconds < 1 else f"{int(seconds)} s"
    remaining = int(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        count, remaining = divmod(remaining, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0"))


def counted(number: int, noun: str) -> str:
    """Show a number of things."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rate(per_second: float) -> str:
    """Show a rate per second, with two digits at least."""
    return f"{per_second:,.0f}" if per_second >= _EXACT_RATE else f"{per_second:.2g}"


def a_few(names: list[str], most: int = 5) -> str:
    """Show the first names of a list, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
