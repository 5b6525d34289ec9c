"""Hints: what a notification of PostgreSQL, and then a message, says about a task that is due.

A hint is a JSON array of the task's queue and type, and if only one task has come, of its priority and of its due
time in seconds since 1970. Hints may be late, doubled, lost or forged: workers only find tasks sooner by them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Tasks of a queue and type are due: the one with this priority and due time, or without these several."""

    queue: str
    type: str
    priority: int | None = None
    run_at: datetime | None = None


def encode_hint(hint: Hint) -> bytes:
    """Return the body of a hint, which is readable on the broker's management page."""
    if hint.priority is None or hint.run_at is None:
        return orjson.dumps([hint.queue, hint.type])
    return orjson.dumps([hint.queue, hint.type, hint.priority, hint.run_at.timestamp()])


def decode_hint(body: bytes | str) -> Hint:
    """Read a hint. Raises `ValueError` if it is none."""
    match orjson.loads(body):
        case [str(queue), str(task_type)]:
            return Hint(queue=queue, type=task_type)
        case [str(queue), str(task_type), int(priority), int(due) | float(due)] if (
            priority is not True
        ):
            return Hint(queue=queue, type=task_type, priority=priority, run_at=_moment(due))
        case _:
            raise ValueError(
                "a hint is an array of queue and type, perhaps with priority and due time"
            )


def hint_in(notification: str) -> Hint | None:
    """Return the hint that a notification of tasks is; None if several have come."""
    try:
        return decode_hint(notification)
    except ValueError:
        return None


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{seconds} is no time") from error
