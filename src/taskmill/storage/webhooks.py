"""Stores webhooks: their subscriptions and their health.

Only `webhook_deliveries` and `stored_secrets` read their secrets. Here a secret is as it is stored: encrypted,
where there is a key file.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from taskmill.domain.errors import WebhookLimitReached, WebhookNotFound
from taskmill.domain.lifecycle import Status
from taskmill.domain.webhooks import Webhook, WebhookDraft, WebhookState
from taskmill.storage.database import Database
from taskmill.storage.statements import statement


class DisabledWebhook(NamedTuple):
    """A webhook that was disabled, and why."""

    id: UUID
    reason: str


async def create(
    database: Database,
    webhook_id: UUID,
    draft: WebhookDraft,
    *,
    secret: str,
    limit: int,
    owner: str | None = None,
    most: int | None = None,
) -> bool:
    """Store a new webhook of the API key with the name `owner`, if it may have another one.

    Returns whether it is stored: False when the key has `most`, if that is given.

    Raises:
        WebhookLimitReached: There are `limit` webhooks.
    """
    arguments = (draft.url, draft.description, *_filter(draft), [secret], draft.state)
    if await database.fetch("create_webhook", webhook_id, *arguments, limit, owner, most):
        return True
    if most is None or await database.fetch_value("count_own_webhooks", owner) < most:
        raise WebhookLimitReached(limit)
    return False


async def all_webhooks(database: Database) -> list[Webhook]:
    """Return all webhooks, oldest first."""
    return [_webhook(row) for row in await database.fetch("list_webhooks")]


async def get(database: Database, webhook_id: UUID) -> Webhook:
    """Return a webhook. Raises `WebhookNotFound`."""
    rows = await database.fetch("get_webhook", webhook_id)
    if not rows:
        raise WebhookNotFound(webhook_id)
    return _webhook(rows[0])


async def change(
    database: Database,
    webhook_id: UUID,
    changed: Callable[[WebhookDraft], WebhookDraft],
    *,
    secret: str | None,
) -> Webhook:
    """Replace a webhook by what `changed` returns for it; a new secret goes before the latest.

    Raises:
        WebhookNotFound: there is no such webhook.
    """
    async with database.hot_transaction() as connection:
        row = await connection.fetchrow(statement("lock_webhook"), webhook_id)
        if row is None:
            raise WebhookNotFound(webhook_id)
        draft = changed(_webhook(row).draft)
        arguments = (draft.url, draft.description, *_filter(draft), draft.state, secret)
        row = await connection.fetchrow(statement("change_webhook"), webhook_id, *arguments)
        if row is None:
            raise WebhookNotFound(webhook_id)
        return _webhook(row)


async def delete(database: Database, webhook_id: UUID) -> None:
    """Delete a webhook and its pending deliveries. Raises `WebhookNotFound`."""
    if not await database.fetch("delete_webhook", webhook_id):
        raise WebhookNotFound(webhook_id)


async def disable(database: Database, webhook_id: UUID, reason: str) -> bool:
    """Disable a webhook; False when it was disabled already."""
    return bool(await database.fetch("disable_webhook", webhook_id, reason))


async def record_health(
    database: Database, succeeded: Iterable[UUID], failed: Iterable[UUID], *, too_long_s: float
) -> list[DisabledWebhook]:
    """Record which webhooks took something and which failed; disable and return those that failed for too long."""
    rows = await database.fetch("record_webhook_health", list(succeeded), list(failed), too_long_s)
    return [DisabledWebhook(row["id"], row["disabled_reason"]) for row in rows]


async def count_listening(database: Database) -> int:
    """Return how many webhooks get changes."""
    count: int = await database.fetch_value("count_webhooks")
    return count


async def prune(database: Database, limit: int) -> int:
    """Delete up to `limit` deliveries of deleted webhooks, and webhooks that have none left; return how many."""
    return len(await database.fetch("prune_webhooks", limit))


def _filter(draft: WebhookDraft) -> tuple[Sequence[str], ...]:
    return draft.queues, draft.types, draft.statuses


def _webhook(row: asyncpg.Record) -> Webhook:
    return Webhook(
        id=row["id"],
        draft=WebhookDraft(
            url=row["url"],
            description=row["description"],
            queues=tuple(row["queues"]),
            types=tuple(row["types"]),
            statuses=tuple(map(Status, row["statuses"])),
            state=WebhookState(row["state"]),
        ),
        disabled_reason=row["disabled_reason"],
        failing_since=row["failing_since"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        owner=row["owner"],
        has_key=row["has_key"],
    )
