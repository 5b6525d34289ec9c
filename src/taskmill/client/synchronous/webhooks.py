"""The methods for webhooks and callbacks: subscribe, list deliveries, send again."""

from collections.abc import Iterator, Sequence
from typing import Unpack

from taskmill.client import webhooks
from taskmill.client.calls import TaskId
from taskmill.client.filters import is_many
from taskmill.client.synchronous.sending import Sender
from taskmill.client.views.webhooks import CallbackView, DeliveryView, WebhookView
from taskmill.client.webhooks import States, WebhookChanges, WebhookFields, WebhookId


class WebhookCalls(Sender):
    """Webhooks and callbacks."""

    def create_webhook(self, url: str, **fields: Unpack[WebhookFields]) -> WebhookView:
        """Post matching changes to an endpoint, signed; only this response shows the secret."""
        return self._send(webhooks.create(url, fields))

    def webhooks(self) -> Sequence[WebhookView]:
        """Read all webhooks, the oldest first."""
        return self._send(webhooks.everything())

    def webhook(self, webhook_id: WebhookId) -> WebhookView:
        """Read a webhook, with the state of its endpoint."""
        return self._send(webhooks.get(webhook_id))

    def change_webhook(
        self, webhook_id: WebhookId, **changes: Unpack[WebhookChanges]
    ) -> WebhookView:
        """Change what is given; deliveries still pending go to the new address."""
        return self._send(webhooks.change(webhook_id, changes))

    def delete_webhook(self, webhook_id: WebhookId) -> None:
        """Delete a webhook, with its pending deliveries and its log."""
        self._send(webhooks.delete(webhook_id))

    def test_webhook(self, webhook_id: WebhookId) -> DeliveryView:
        """Deliver a test event, which is about no task."""
        return self._send(webhooks.test(webhook_id))

    def deliveries(
        self, webhook_id: WebhookId, *, state: States = (), page_size: int = 50
    ) -> Iterator[DeliveryView]:
        """Yield the deliveries to a webhook, newest first; only of these states, if given."""
        cursor: str | None = None
        states = [*state] if is_many(state) else state
        while True:
            page = self._send(webhooks.deliveries(webhook_id, states, cursor, page_size))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def resend_delivery(self, webhook_id: WebhookId, delivery_id: int) -> DeliveryView:
        """Try a delivery again now, whatever its state."""
        return self._send(webhooks.resend(webhook_id, delivery_id))

    def callback(self, task_id: TaskId) -> CallbackView:
        """Read a task's callback, and its deliveries."""
        return self._send(webhooks.callback(task_id))
