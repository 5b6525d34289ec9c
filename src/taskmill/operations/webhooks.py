"""Webhooks: subscribing, changing, listing deliveries, sending again. The role `webhooks` delivers."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.domain.errors import DeliveryNotFound, WebhookInactive, WebhookNotFound
from taskmill.domain.quotas import Owner, Quota
from taskmill.domain.signing import NEW_BYTES, secret_of
from taskmill.domain.webhooks import (
    Delivery,
    DeliveryState,
    Webhook,
    WebhookBacklog,
    WebhookDraft,
    WebhookState,
)
from taskmill.observability.logs import get_logger
from taskmill.operations.audit import AuditLog, Details
from taskmill.operations.authorisation import missing
from taskmill.operations.quotas import exceeded, share_of
from taskmill.operations.visibility import current_visibility, visible_queues
from taskmill.storage import callbacks, tasks, webhook_deliveries, webhooks
from taskmill.storage.database import Database
from taskmill.storage.keyring import Keyring, webhook_owner
from taskmill.storage.webhook_deliveries import LAST_ID

log = get_logger(__name__)


class Webhooks:
    """The webhooks of the service. `secret_bytes` returns unpredictable random bytes."""

    def __init__(
        self,
        database: Database,
        *,
        ids: Callable[[], UUID],
        secret_bytes: Callable[[int], bytes],
        keyring: Keyring,
        limit: int,
        give_up_s: float,
        quota: int = 0,
    ) -> None:
        self._quota = quota
        self._audit = AuditLog(database)
        self._database = database
        self._ids = ids
        self._secret_bytes = secret_bytes
        self._keyring = keyring
        self._limit = limit
        self._give_up_s = give_up_s

    async def create(
        self, draft: WebhookDraft, secret: str | None, owner: Owner | None = None
    ) -> tuple[Webhook, str]:
        """Subscribe an endpoint to changes from now on; also returns its secret, which is never shown again.

        Raises:
            WebhookLimitReached: there are too many.
            QuotaExceeded: the owner has too many.
            ScopeMissing: it names a queue that this context may not see.
        """
        webhook_id, secret = self._ids(), secret or self._new_secret()
        share = share_of(owner, Quota.WEBHOOKS, self._quota)
        async with self._record(AuditAction.WEBHOOK_CREATE, webhook_id, host=_host(draft.url)):
            _require_queues(draft.queues)
            is_stored = await webhooks.create(
                self._database,
                webhook_id,
                draft,
                secret=self._stored(webhook_id, secret),
                limit=self._limit,
                owner=share.owner,
                most=share.most,
            )
            if not is_stored:
                raise exceeded(Quota.WEBHOOKS, share.most or 0)
        log.info("webhook.created", webhook_id=str(webhook_id))
        return await webhooks.get(self._database, webhook_id), secret

    async def all_of_them(self) -> Sequence[Webhook]:
        """Return all webhooks that this context may see, the oldest first."""
        return [one for one in await webhooks.all_webhooks(self._database) if _is_visible(one)]

    async def get(self, webhook_id: UUID) -> Webhook:
        """Return a webhook that this context may see. Raises `WebhookNotFound`."""
        webhook = await webhooks.get(self._database, webhook_id)
        if not _is_visible(webhook):
            raise WebhookNotFound(webhook_id)
        return webhook

    async def change(
        self, webhook_id: UUID, changes: Mapping[str, Any], *, rotates_secret: bool
    ) -> tuple[Webhook, str | None]:
        """Change fields of a webhook, and its secret if requested; also returns that.

        Raises:
            WebhookNotFound: there is no such webhook.
            ScopeMissing: it is to name a queue that this context may not see.
        """
        secret = self._new_secret() if rotates_secret else None
        fields = sorted(changes) + ["secret"] * rotates_secret
        async with self._record(AuditAction.WEBHOOK_CHANGE, webhook_id, fields=fields):
            await self.get(webhook_id)
            _require_queues(changes.get("queues", ()))
            webhook = await webhooks.change(
                self._database,
                webhook_id,
                lambda draft: replace(draft, **changes),
                secret=None if secret is None else self._stored(webhook_id, secret),
            )
        log.info("webhook.changed", webhook_id=str(webhook_id), fields=sorted(changes))
        return webhook, secret

    async def delete(self, webhook_id: UUID) -> None:
        """Delete a webhook and its pending deliveries. Raises `WebhookNotFound`."""
        async with self._record(AuditAction.WEBHOOK_DELETE, webhook_id):
            await self.get(webhook_id)
            await webhooks.delete(self._database, webhook_id)
        log.info("webhook.deleted", webhook_id=str(webhook_id))

    async def deliveries(
        self, webhook_id: UUID, *, before: int | None, states: Iterable[DeliveryState], limit: int
    ) -> Sequence[Delivery]:
        """Return up to `limit` deliveries, newest first. Raises `WebhookNotFound`."""
        await self.get(webhook_id)
        return await webhook_deliveries.page(
            self._database,
            webhook_id,
            before=LAST_ID if before is None else before,
            states=states,
            limit=limit,
            visible=await visible_queues(self._database),
        )

    async def backlogs(
        self, webhook_ids: Collection[UUID], *, most: int
    ) -> Mapping[UUID, WebhookBacklog]:
        """Return what waits for webhooks, of what this context may see; `most` deliveries of each are counted."""
        return await webhook_deliveries.backlogs(
            self._database,
            webhook_ids,
            most=most,
            visible=await visible_queues(self._database),
        )

    async def of_task(self, task_id: UUID) -> tuple[str | None, Sequence[Delivery]]:
        """Return a task's callback and its deliveries, newest first. Raises `TaskNotFound`."""
        await tasks.get_one(self._database, task_id)
        url = await callbacks.find(self._database, task_id)
        return url, await webhook_deliveries.of_task(self._database, task_id)

    async def resend(self, webhook_id: UUID, delivery_id: int) -> Delivery:
        """Have a delivery made again now, whatever its state.

        Raises:
            WebhookNotFound, DeliveryNotFound: there is no such webhook or delivery.
            WebhookInactive: it is paused or disabled.
        """
        target = Target(TargetType.DELIVERY, str(delivery_id))
        details = {"webhook_id": webhook_id}
        async with self._audit.record(AuditAction.DELIVERY_RESEND, target, details=details):
            await self._active(webhook_id)
            await self._require_delivery(webhook_id, delivery_id)
            return await webhook_deliveries.resend(
                self._database, webhook_id, delivery_id, give_up_s=self._give_up_s
            )

    async def test(self, webhook_id: UUID) -> Delivery:
        """Have a test event delivered.

        Raises:
            WebhookNotFound: there is no such webhook.
            WebhookInactive: it is paused or disabled.
        """
        async with self._record(AuditAction.WEBHOOK_TEST, webhook_id):
            await self._active(webhook_id)
            return await webhook_deliveries.test(
                self._database, webhook_id, give_up_s=self._give_up_s
            )

    def _record(
        self, action: AuditAction, webhook_id: UUID, **details: object
    ) -> AbstractAsyncContextManager[Details]:
        target = Target(TargetType.WEBHOOK, str(webhook_id))
        return self._audit.record(action, target, details=details)

    async def _require_delivery(self, webhook_id: UUID, delivery_id: int) -> None:
        """Check that this context may see a delivery. Raises `DeliveryNotFound`."""
        if current_visibility() is None:
            return
        after = delivery_id + 1
        found = await self.deliveries(webhook_id, before=after, states=DeliveryState, limit=1)
        if not found or found[0].id != delivery_id:
            raise DeliveryNotFound(delivery_id)

    async def _active(self, webhook_id: UUID) -> None:
        state = (await self.get(webhook_id)).draft.state
        if state is not WebhookState.ENABLED:
            raise WebhookInactive(webhook_id, state)

    def _stored(self, webhook_id: UUID, secret: str) -> str:
        return self._keyring.encrypted(secret, webhook_owner(webhook_id))

    def _new_secret(self) -> str:
        return secret_of(self._secret_bytes(NEW_BYTES))


def _is_visible(webhook: Webhook) -> bool:
    """Return whether this context may see a webhook: who may see some queues only has those of its name."""
    visibility = current_visibility()
    return visibility is None or webhook.owner == visibility.key.draft.name


def _require_queues(names: Iterable[str]) -> None:
    """Check that this context may see queues. Without any, a webhook has all that its owner may see.

    Raises:
        ScopeMissing: it may not see one of them.
    """
    if (visibility := current_visibility()) is None:
        return
    for name in names:
        if not visibility.shows(name):
            raise missing(visibility.scopes[-1], name)


def _host(url: str) -> str | None:
    """Return the host of an endpoint; the rest of its address may be a secret."""
    return urlsplit(url).hostname
