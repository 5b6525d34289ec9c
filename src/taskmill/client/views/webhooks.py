"""What the client returns of `taskmill.wire.webhooks`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from taskmill.client.view import View
from taskmill.domain.lifecycle import Status

if TYPE_CHECKING:
    from taskmill.domain.webhooks import DeliveryState, WebhookState

IMPORTED_LATER = {
    "DeliveryState": "taskmill.domain.webhooks",
    "WebhookState": "taskmill.domain.webhooks",
}


class DeliveryView(View):
    """The delivery of one event to one endpoint, and its state."""

    id: int
    webhook_id: UUID | None
    """null for a task's callback"""
    url: str | None
    """where it goes; null when that is no longer known"""
    event_id: str
    """the header webhook-id: the same for every try"""
    task_id: UUID | None
    """null for a test"""
    version: int | None
    """the task's version that the event is about"""
    state: DeliveryState
    attempts: int
    created_at: datetime
    tried_at: datetime | None
    next_at: datetime | None
    """when it is tried next; null when that is over"""
    finished_at: datetime | None
    response_status: int | None
    """the status of the last response"""
    trouble: str | None
    """what was wrong with the last try"""


class CallbackView(View):
    """Where a task's end is posted to, and the deliveries, newest first."""

    callback_url: str | None
    items: list[DeliveryView]


class DeliveryList(View):
    """Deliveries, newest first."""

    items: list[DeliveryView]
    next_cursor: str | None
    """null on the last page"""


class WebhookView(View):
    """A webhook as it is shown."""

    id: UUID
    url: str
    description: str | None
    queues: list[str]
    types: list[str]
    statuses: list[Status]
    state: WebhookState
    """`paused`: events are stored; `disabled`: they are not, because the endpoint is gone"""
    disabled_reason: str | None
    failing_since: datetime | None
    """since when the endpoint has accepted nothing; null when it accepted the latest"""
    warning: str | None = None
    """why nothing will be delivered, where that can be seen; else left out"""
    secret: str
    """shown once, when it is made; afterwards whsec_***"""
    created_at: datetime
    updated_at: datetime


class WebhookList(View):
    """All webhooks, the oldest first."""

    items: list[WebhookView]
