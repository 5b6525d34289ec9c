"""Webhooks: subscriptions, and the state of each event that is to be delivered.

A *webhook* is a subscription of an endpoint to changes. A *delivery* is one event for one endpoint: of a webhook,
or of a task that was created with a `callback_url`. The package `webhooks` delivers them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never
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


class WebhookCondition(StrEnum):
    """What an operator wants to know of a webhook first; the worst first."""

    DISABLED = "disabled"
    NO_KEY = "no_key"
    FAILING = "failing"
    BEHIND = "behind"
    PAUSED = "paused"
    WORKING = "working"


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
class WebhookBacklog:
    """What waits to be delivered to a webhook, `waiting` or more if `are_more`, and its latest success.

    `oldest_at` is when the oldest of it was made, `due_at` when the first is tried next, `delivered_at` when the
    newest of what the endpoint accepted was accepted; None where there is none.
    """

    waiting: int = 0
    are_more: bool = False
    oldest_at: datetime | None = None
    due_at: datetime | None = None
    delivered_at: datetime | None = None


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


BEHIND_AFTER: Final = timedelta(minutes=1)
"""For how long a delivery may be due without being tried."""


def condition_of(webhook: Webhook, backlog: WebhookBacklog, now: datetime) -> WebhookCondition:
    """Return how a webhook does. One whose endpoint fails is late by its own fault, so it is not behind."""
    match webhook.draft.state:
        case WebhookState.DISABLED:
            return WebhookCondition.DISABLED
        case WebhookState.PAUSED:
            return WebhookCondition.PAUSED
        case WebhookState.ENABLED:
            return _condition_of_enabled(webhook, backlog, now)
        case _:
            assert_never(webhook.draft.state)


def _condition_of_enabled(
    webhook: Webhook, backlog: WebhookBacklog, now: datetime
) -> WebhookCondition:
    if not webhook.has_key:
        return WebhookCondition.NO_KEY
    if webhook.failing_since is not None:
        return WebhookCondition.FAILING
    if backlog.due_at is not None and now - backlog.due_at >= BEHIND_AFTER:
        return WebhookCondition.BEHIND
    return WebhookCondition.WORKING
