"""The shapes of refused messages: one with its body, and lists without."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from taskmill.domain.rejection import BodyEncoding, Rejection, RejectionSummary
from taskmill.wire.contracts.secret_fields import MASK
from taskmill.wire.encoding import Fragment, encode_json, fields_of
from taskmill.wire.fields import Timestamp
from taskmill.wire.problems import Problem


class RejectionSummaryView(BaseModel):
    """A message that was refused, without its body."""

    id: UUID
    created_at: Timestamp
    source: str = Field(description="where it came in")
    message_id: str | None = Field(description="the producer's; unprintable characters escaped")
    status: int = Field(description="the status that the same request over HTTP would have had")
    problem: Problem = Field(description="why it was refused")
    properties: dict[str, Any] = Field(description="the message's properties and headers")
    body_bytes: int = Field(description="size of the body")
    redeliveries: int = Field(description="how often the same message came again")
    resent_at: Timestamp | None = Field(description="when it was sent again and became a task")
    task_id: UUID | None = Field(description="the task that it became")


class RejectionView(RejectionSummaryView):
    """A message that was refused, with the body as it came."""

    body_encoding: BodyEncoding = Field(description="base64 when the body is not UTF-8")
    body: str = Field(
        description="`[masked]` without `tasks:read-secret`: what is secret in it is not known"
    )


class RejectionList(BaseModel):
    """Refused messages, newest first."""

    items: list[RejectionSummaryView]
    next_cursor: str | None = Field(description="null on the last page")


def rejection_json(rejection: Rejection, *, is_masked: bool = False) -> bytes:
    """Return a refused message as a `RejectionView` in JSON, with the mask as its body if that may not be seen."""
    encoding, body = _encoded_body(MASK.encode() if is_masked else rejection.body)
    return encode_json({**_fields(rejection.summary), "body_encoding": encoding, "body": body})


def rejections_json(items: Iterable[RejectionSummary], next_cursor: str | None) -> bytes:
    """Return a page of refused messages as a `RejectionList` in JSON."""
    return encode_json({"items": [_fields(item) for item in items], "next_cursor": next_cursor})


def _encoded_body(body: bytes) -> tuple[BodyEncoding, str]:
    try:
        return BodyEncoding.TEXT, body.decode()
    except UnicodeDecodeError:
        return BodyEncoding.BASE64, b64encode(body).decode()


def _fields(item: RejectionSummary) -> dict[str, object]:
    problem, properties = Fragment(item.problem), Fragment(item.properties)
    return fields_of(RejectionSummaryView, item, problem=problem, properties=properties)
