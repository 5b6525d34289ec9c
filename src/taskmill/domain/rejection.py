"""A refused message: its body, its properties, and why it was refused.

What is refused, and what a problem looks like, `wire` decides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

_INDEX: Final = re.compile(r"/[0-9]+(?=/|$)", re.ASCII)


class BodyEncoding(StrEnum):
    """How a body is encoded."""

    TEXT = "utf-8"
    BASE64 = "base64"


@dataclass(slots=True, kw_only=True)
class RefusedMessage:
    """A message to keep as received. `properties` and `problem` are JSON text.

    `message_id` is the producer's: the same body with the same id is the same message. `queue` is the one that it
    is for, None where that can't be read, or where its producer may create nothing in it.
    """

    source: str
    message_id: str | None
    body: bytes
    properties: str
    status: int
    problem: str
    queue: str | None = None

    @property
    def body_hash(self) -> bytes:
        """The SHA-256 of the body."""
        return sha256(self.body).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionSummary:
    """A stored rejection without its body. `properties` and `problem` are JSON text.

    `resent_at` and `task_id` are set once it was sent again and became a task. `queue` is as of the message.
    """

    id: UUID
    created_at: datetime
    source: str
    message_id: str | None
    body_bytes: int
    properties: str
    status: int
    problem: str
    redeliveries: int
    resent_at: datetime | None
    task_id: UUID | None
    queue: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A stored rejection with its body as received."""

    summary: RejectionSummary
    body: bytes


def reason_of(problem: Mapping[str, Any]) -> str:
    """Return what messages that were refused alike have in common: what was expected, and where.

    Neither what was there instead nor the place in an array is part of it.
    """
    errors = problem.get("errors") or []
    if not errors:
        return str(problem.get("title", ""))
    first = errors[0]
    pointer = _INDEX.sub("/#", str(first.get("pointer") or "/"))
    return f"{pointer}: expected {first.get('expected', '')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionFilter:
    """Which refused messages are wanted. `text` is in the reason or the message id, in any case.

    With `is_open` only those that have become no task, or only those that have; None for both.
    """

    queue: str | None = None
    status: int | None = None
    text: str | None = None
    reason: str | None = None
    is_open: bool | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves out messages by more than what became of them."""
        return any(one is not None for one in (self.queue, self.status, self.text, self.reason))

    def admits(self, message: RejectionSummary, reason: str) -> bool:
        """Return whether a message with a reason is wanted."""
        return (
            self.reason in {None, reason}
            and self.queue in {None, message.queue}
            and self.status in {None, message.status}
            and self.is_open in {None, message.task_id is None}
            and (
                self.text is None or self.text.lower() in f"{reason}\n{message.message_id}".lower()
            )
        )
