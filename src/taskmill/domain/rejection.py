"""A refused message: its body, its properties, and why it was refused.

What is refused, and what a problem looks like, `wire` decides.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from uuid import UUID


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
