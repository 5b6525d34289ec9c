"""The formats of changes: JSON, server-sent events, and CloudEvents 1.0.

The model is for the documents and the client; the bytes are written by hand, and tested with the model.
"""

from typing import Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from taskmill.domain.feed import Change, Cursor
from taskmill.domain.lifecycle import EventType
from taskmill.wire.basics import CHANGE
from taskmill.wire.encoding import Fragment, encode_json, fast_timestamp
from taskmill.wire.fields import Timestamp
from taskmill.wire.system import EventView, event_fields

CLOUD_EVENT: Final = "application/cloudevents+json"

_TYPE: Final = "taskmill.task"


class ChangeView(EventView):
    """One change of a task, as in the feed."""

    cursor: str = Field(
        description="where a reader that has seen it continues; unique for each change"
    )
    queue: str
    type: str
    name: str
    labels: dict[str, str]


class CloudEventView(BaseModel):
    """A change as a CloudEvent 1.0 in structured JSON."""

    specversion: Literal["1.0"]
    id: str = Field(description="the change's cursor: the same whenever it is delivered again")
    source: str = Field(description="which Taskmill it is of: TASKMILL_FEED__SOURCE")
    type: str = Field(
        description="what happened",
        json_schema_extra={"enum": [f"{_TYPE}.{event_type}" for event_type in EventType]},
    )
    subject: UUID = Field(description="the task's id")
    time: Timestamp
    datacontenttype: Literal["application/json"]
    data: ChangeView


def change_json(change: Change) -> bytes:
    """Return a change as a `ChangeView` in JSON."""
    return encode_json(_fields(change))


def change_frame(change: Change) -> bytes:
    """Return a change as a server-sent event."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        str(change.cursor).encode(),
        CHANGE.encode(),
        change_json(change),
    )


def notice_frame(
    comment: str, *, cursor: Cursor | None = None, retry_ms: int | None = None
) -> bytes:
    """Return a comment, which is not an event for programs; a cursor silently advances the client's position."""
    lines = [f": {comment}"]
    if retry_ms is not None:
        lines.append(f"retry: {retry_ms}")
    if cursor is not None:
        lines.append(f"id: {cursor}")
    return ("\n".join(lines) + "\n\n").encode()


def event_type(change: Change) -> str:
    """Return the `type` of a change's CloudEvent."""
    return f"{_TYPE}.{change.event.event_type}"


def cloud_event_json(change: Change, *, source: str) -> bytes:
    """Return a change as a CloudEvent 1.0."""
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(change.cursor),
        "source": source,
        "type": event_type(change),
        "subject": change.event.task_id,
        "time": fast_timestamp(change.event.at),
        "datacontenttype": "application/json",
        "data": _fields(change),
    }
    return encode_json(envelope)


def _fields(change: Change) -> dict[str, object]:
    return {
        "cursor": str(change.cursor),
        **event_fields(change.event),
        "queue": change.queue,
        "type": change.type,
        "name": change.name,
        "labels": Fragment(change.labels),
    }
