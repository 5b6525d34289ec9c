"""The calls for webhooks and callbacks: subscribe, look at what was delivered, send again."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias, TypedDict, Unpack
from uuid import UUID

from taskmill.client.answers import reader
from taskmill.client.calls import Call, TaskId, path_of, reader_of_nothing, sent
from taskmill.client.filters import is_many, parameters_of
from taskmill.client.sending import AsyncSender, Sender
from taskmill.wire.webhooks import (
    CallbackView,
    DeliveryList,
    DeliveryView,
    WebhookList,
    WebhookView,
)

__all__ = [
    "AsyncWebhookCalls",
    "WebhookCalls",
    "WebhookChanges",
    "WebhookFields",
    "WebhookId",
]

WebhookId: TypeAlias = UUID | str
States: TypeAlias = str | Iterable[str]


class WebhookFields(TypedDict, total=False):
    """What a webhook may say beside its address; an empty list of queues or types means all of them."""

    description: str | None
    queues: Sequence[str]
    types: Sequence[str]
    statuses: Sequence[str]
    state: Literal["enabled", "paused"]
    secret: str | None


class WebhookChanges(TypedDict, total=False):
    """What of a webhook is to change; `rotate_secret` makes a new secret, which the answer shows."""

    url: str
    description: str | None
    queues: Sequence[str]
    types: Sequence[str]
    statuses: Sequence[str]
    state: Literal["enabled", "paused"]
    rotate_secret: bool


class WebhookCalls(Sender):
    """Webhooks, for ordinary Python."""

    def create_webhook(self, url: str, **fields: Unpack[WebhookFields]) -> WebhookView:
        """Have changes that fit posted to an endpoint, signed; the answer alone shows the secret."""
        return self._send(_create(url, fields))

    def webhooks(self) -> Sequence[WebhookView]:
        """Read all webhooks, the oldest first."""
        return self._send(_all())

    def webhook(self, webhook_id: WebhookId) -> WebhookView:
        """Read a webhook, and how its endpoint does."""
        return self._send(_get(webhook_id))

    def change_webhook(
        self, webhook_id: WebhookId, **changes: Unpack[WebhookChanges]
    ) -> WebhookView:
        """Change what is named; what was not delivered yet goes to the new address."""
        return self._send(_change(webhook_id, changes))

    def delete_webhook(self, webhook_id: WebhookId) -> None:
        """Delete a webhook, with what was still to be delivered to it and its log."""
        self._send(_delete(webhook_id))

    def test_webhook(self, webhook_id: WebhookId) -> DeliveryView:
        """Have a test event delivered, which tells of no task."""
        return self._send(_test(webhook_id))

    def deliveries(
        self, webhook_id: WebhookId, *, state: States = (), page_size: int = 50
    ) -> Iterator[DeliveryView]:
        """Yield what is delivered to a webhook, newest first, page by page; only of these states, if given."""
        cursor: str | None = None
        states = [*state] if is_many(state) else state
        while True:
            page = self._send(_deliveries(webhook_id, states, cursor, page_size))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def resend_delivery(self, webhook_id: WebhookId, delivery_id: int) -> DeliveryView:
        """Have a delivery tried again now, whatever became of it."""
        return self._send(_resend(webhook_id, delivery_id))

    def callback(self, task_id: TaskId) -> CallbackView:
        """Read whom a task's end is told to, and how that went."""
        return self._send(_callback(task_id))


class AsyncWebhookCalls(AsyncSender):
    """Webhooks, for asynchronous Python."""

    async def create_webhook(self, url: str, **fields: Unpack[WebhookFields]) -> WebhookView:
        """Have changes that fit posted to an endpoint, signed; the answer alone shows the secret."""
        return await self._send(_create(url, fields))

    async def webhooks(self) -> Sequence[WebhookView]:
        """Read all webhooks, the oldest first."""
        return await self._send(_all())

    async def webhook(self, webhook_id: WebhookId) -> WebhookView:
        """Read a webhook, and how its endpoint does."""
        return await self._send(_get(webhook_id))

    async def change_webhook(
        self, webhook_id: WebhookId, **changes: Unpack[WebhookChanges]
    ) -> WebhookView:
        """Change what is named; what was not delivered yet goes to the new address."""
        return await self._send(_change(webhook_id, changes))

    async def delete_webhook(self, webhook_id: WebhookId) -> None:
        """Delete a webhook, with what was still to be delivered to it and its log."""
        await self._send(_delete(webhook_id))

    async def test_webhook(self, webhook_id: WebhookId) -> DeliveryView:
        """Have a test event delivered, which tells of no task."""
        return await self._send(_test(webhook_id))

    async def deliveries(
        self, webhook_id: WebhookId, *, state: States = (), page_size: int = 50
    ) -> AsyncIterator[DeliveryView]:
        """Yield what is delivered to a webhook, newest first, page by page; only of these states, if given."""
        cursor: str | None = None
        states = [*state] if is_many(state) else state
        while True:
            page = await self._send(_deliveries(webhook_id, states, cursor, page_size))
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def resend_delivery(self, webhook_id: WebhookId, delivery_id: int) -> DeliveryView:
        """Have a delivery tried again now, whatever became of it."""
        return await self._send(_resend(webhook_id, delivery_id))

    async def callback(self, task_id: TaskId) -> CallbackView:
        """Read whom a task's end is told to, and how that went."""
        return await self._send(_callback(task_id))


def _create(url: str, fields: WebhookFields) -> Call[WebhookView]:
    # Not repeatable: a second one would have everything delivered twice.
    return sent("POST", "/webhooks", {"url": url, **fields}, WebhookView, repeatable=False)


def _all() -> Call[Sequence[WebhookView]]:
    read = reader(WebhookList)
    return Call(method="GET", path="/webhooks", read=lambda response: read(response).items)


def _get(webhook_id: WebhookId) -> Call[WebhookView]:
    return Call(method="GET", path=_path(webhook_id), read=reader(WebhookView))


def _change(webhook_id: WebhookId, changes: WebhookChanges) -> Call[WebhookView]:
    # The second rotation would make a third secret, and the first one would end.
    repeatable = not changes.get("rotate_secret", False)
    return sent("PATCH", _path(webhook_id), changes, WebhookView, repeatable=repeatable)


def _delete(webhook_id: WebhookId) -> Call[None]:
    # Not repeatable: the second try of one that was done finds nothing.
    path = _path(webhook_id)
    return Call(method="DELETE", path=path, read=reader_of_nothing, repeatable=False)


def _test(webhook_id: WebhookId) -> Call[DeliveryView]:
    path = _path(webhook_id, "test")
    return Call(method="POST", path=path, read=reader(DeliveryView), repeatable=False)


def _deliveries(
    webhook_id: WebhookId, state: States, cursor: str | None, limit: int
) -> Call[DeliveryList]:
    given: dict[str, Any] = {"state": state, "limit": limit, "cursor": cursor}
    return Call(
        method="GET",
        path=_path(webhook_id, "deliveries"),
        parameters=parameters_of(given),
        read=reader(DeliveryList),
    )


def _resend(webhook_id: WebhookId, delivery_id: int) -> Call[DeliveryView]:
    path = _path(webhook_id, "deliveries", str(delivery_id), "resend")
    return Call(method="POST", path=path, read=reader(DeliveryView))


def _callback(task_id: TaskId) -> Call[CallbackView]:
    path = path_of("tasks", str(task_id), "deliveries")
    return Call(method="GET", path=path, read=reader(CallbackView))


def _path(webhook_id: WebhookId, *rest: str) -> str:
    return path_of("webhooks", str(webhook_id), *rest)
