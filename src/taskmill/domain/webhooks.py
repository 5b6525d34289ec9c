"""Webhooks: subscriptions, and the state of each event that is to be delivered.

A *webhook* is a subscription of an endpoint to changes. A *delivery* is one event for one endpoint: of a webhook,
or of a task that was created with a `callback_url`. The package `webhooks` delivers them.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from taskmill.domain.lifecycle import TERMINAL, Status


class WebhookState(StrEnum):
    """Whether a webhook is delivered to. Only `disabled` ones miss events: none are kept for them."""

    ENABLED = "enabled"
    PAUSED = "paused"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDraft:
    """What an endpoint subscribes to: the changes that match one value of each list that is not empty."""

    url: str
    description: str | None = None
    queues: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    statuses: tuple[Status, ...] = tuple(sorted(TERMINAL))
    state: WebhookState = WebhookState.ENABLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A subscription. `failing_since` is when the endpoint failed first since its last success.

    `owner` is the name of the API key that made it, None without keys. Without a live key of that name, which it
    `has_key` for, its events wait.

    Its secrets are not here: they are never shown.
    """

    id: UUID
    draft: WebhookDraft
    disabled_reason: str | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime
    owner: str | None = None
    has_key: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one endpoint, and what became of it. A test has no task.

    `response_status` is that of the last response, `trouble` what was wrong with the last attempt. `next_at` is
    when it is tried next; while it is being tried, when it is tried again if the outcome stays unknown.
    """

    id: int
    webhook_id: UUID | None
    url: str | None
    task_id: UUID | None
    version: int | None
    event_id: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    tried_at: datetime | None
    next_at: datetime | None
    finished_at: datetime | None
    response_status: int | None
    trouble: str | None
