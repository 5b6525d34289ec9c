"""The shapes of a queue and of a change to it."""

from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.lifecycle import Status
from taskmill.wire.fields import Flag, Timestamp
from taskmill.wire.violations import validated


class QueueView(BaseModel):
    """A queue and what is in it."""

    name: str
    paused: bool
    paused_at: Timestamp | None
    created_at: Timestamp
    counts: dict[Status, int] = Field(description="tasks by status; every status is there")
    oldest_due_at: Timestamp | None = Field(
        description="since when the longest waiting due task could have run; null if none waits"
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
    """Return the change that a parsed body asks for.

    Raises:
        InvalidInput: It is not one.
    """
    return validated(QueueChange, body)
