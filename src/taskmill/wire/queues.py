"""The shapes of a queue and of a change to it."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.lifecycle import Status
from taskmill.domain.system import QueueState
from taskmill.wire.encoding import encode_json, fields_of
from taskmill.wire.fields import Flag, Timestamp
from taskmill.wire.system import every_status
from taskmill.wire.violations import validated
from taskmill.wire.waiting import WaitingView, waiting_fields


class QueueView(BaseModel):
    """A queue and what is in it."""

    name: str
    paused: bool
    paused_at: Timestamp | None
    created_at: Timestamp
    counts: dict[Status, int] = Field(description="tasks by status; every status is there")
    waiting: WaitingView | None = Field(
        default=None,
        description="what those wait for that are new; counted up to about 10,000 each",
    )
    oldest_due_at: Timestamp | None = Field(
        description="since when the longest waiting due task could have run, its creation at the earliest; null "
        "if none waits"
    )


class QueueList(BaseModel):
    """All queues, by name."""

    items: list[QueueView]


class QueueChange(BaseModel):
    """A change to a queue: a paused one keeps its tasks and hands out none."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"paused": True}]},
    )

    paused: Flag


def to_queue_change(body: object) -> QueueChange:
    """Return the requested change in a parsed body.

    Raises:
        InvalidInput: It is not one.
    """
    return validated(QueueChange, body)


def queue_json(queue: QueueState) -> bytes:
    """Return a queue as a `QueueView` in JSON."""
    return encode_json(_fields(queue))


def queues_json(queues: Iterable[QueueState]) -> bytes:
    """Return queues as a `QueueList` in JSON."""
    return encode_json({"items": [_fields(queue) for queue in queues]})


def _fields(queue: QueueState) -> dict[str, object]:
    return fields_of(
        QueueView,
        queue,
        paused=queue.paused_at is not None,
        counts=every_status(queue.counts),
        waiting=waiting_fields(queue.waiting),
    )
