"""What the client returns of `taskmill.wire.rejections`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from taskmill.client.view import View
from taskmill.client.views.problems import Problem

if TYPE_CHECKING:
    from taskmill.domain.rejection import BodyEncoding

IMPORTED_LATER = {"BodyEncoding": "taskmill.domain.rejection"}


class RejectionSummaryView(View):
    """A message that was refused, without its body."""

    id: UUID
    created_at: datetime
    source: str
    """where it came in"""
    message_id: str | None
    """the producer's; unprintable characters escaped"""
    status: int
    """the status that the same request over HTTP would have had"""
    problem: Problem
    """why it was refused"""
    properties: dict[str, Any]
    """the message's properties and headers"""
    body_bytes: int
    """size of the body"""
    redeliveries: int
    """how often the same message came again"""
    resent_at: datetime | None
    """when it was sent again and became a task"""
    task_id: UUID | None
    """the task that it became"""


class RejectionList(View):
    """Refused messages, newest first."""

    items: list[RejectionSummaryView]
    next_cursor: str | None
    """null on the last page"""


class RejectionView(RejectionSummaryView):
    """A message that was refused, with the body as it came."""

    body_encoding: BodyEncoding
    """base64 when the body is not UTF-8"""
    body: str
    """`[masked]` without `tasks:read-secret`: what is secret in it is not known"""
