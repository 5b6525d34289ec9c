"""The shapes of a queue and of a change to it."""

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.errors import InvalidInput
from taskmill.domain.lifecycle import Status
from taskmill.domain.retention import LONGEST_KEEP, SHORTEST_KEEP
from taskmill.domain.system import QueueState
from taskmill.wire.basics import format_duration
from taskmill.wire.durations import DURATION_WORDS, Duration
from taskmill.wire.encoding import encode_json, fields_of
from taskmill.wire.fields import Expected, Flag, Timestamp
from taskmill.wire.system import every_status
from taskmill.wire.violations import validated
from taskmill.wire.waiting import WaitingView, waiting_fields

_KEEP_WORDS: Final = (
    f"{DURATION_WORDS}, from {format_duration(SHORTEST_KEEP)} to {format_duration(LONGEST_KEEP)}"
)
Keep = Annotated[
    Duration, Field(ge=SHORTEST_KEEP, le=LONGEST_KEEP), Expected(_KEEP_WORDS, reveal=True)
]
"""How long a queue keeps its ended tasks, in a request."""


class QueueView(BaseModel):
    """A queue and what is in it."""

    name: str
    paused: bool
    paused_at: Timestamp | None
    created_at: Timestamp
    keep: str | None = Field(
        default=None,
        description="how long it keeps its ended tasks, an ISO 8601 duration; null: as long as the settings say",
    )
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
    """A change to a queue; what is left out stays as it is."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"paused": True}, {"keep": "P3D"}]},
    )

    paused: Flag | None = Field(
        default=None,
        description="a paused queue keeps its tasks and hands out none; null: as it is",
    )
    keep: Keep | None = Field(
        default=None,
        description="how long it keeps its ended tasks and their history; null: as long as the settings say",
    )

    @property
    def changes_keep(self) -> bool:
        """Whether `keep` is given, be it null."""
        return "keep" in self.model_fields_set


def to_queue_change(body: object) -> QueueChange:
    """Return the requested change in a parsed body.

    Raises:
        InvalidInput: It is not one, or changes nothing.
    """
    change = validated(QueueChange, body)
    if change.paused is None and not change.changes_keep:
        raise InvalidInput.at("", "at least one of paused and keep", "none")
    return change


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
        keep=None if queue.keep is None else format_duration(queue.keep),
        counts=every_status(queue.counts),
        waiting=waiting_fields(queue.waiting),
    )
