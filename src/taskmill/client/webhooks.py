"""The calls for webhooks and callbacks: subscribe, list deliveries, send again."""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias, TypedDict
from uuid import UUID

from taskmill.client.calls import Call, TaskId, deleted, got, path_of, sent
from taskmill.client.responses import reader
from taskmill.client.views.webhooks import (
    CallbackView,
    DeliveryList,
    DeliveryView,
    WebhookList,
    WebhookView,
)

WebhookId: TypeAlias = UUID | str
States: TypeAlias = str | Iterable[str]


class WebhookFields(TypedDict, total=False):
    """The fields of a webhook beside its address; an empty list of queues or types means all of them."""

    description: str | None
    queues: Sequence[str]
    types: Sequence[str]
    statuses: Sequence[str]
    state: Literal["enabled", "paused"]
    secret: str | None


class WebhookChanges(TypedDict, total=False):
    """The fields of a webhook to change; `rotate_secret` makes a new secret, which the response shows."""

    url: str
    description: str | None
    queues: Sequence[str]
    types: Sequence[str]
    statuses: Sequence[str]
    state: Literal["enabled", "paused"]
    rotate_secret: bool


def create(url: str, fields: WebhookFields) -> Call[WebhookView]:
    """Subscribe an endpoint. Not repeatable: a second webhook would deliver everything twice."""
    return sent("POST", "/webhooks", {"url": url, **fields}, WebhookView, repeatable=False)


def everything() -> Call[Sequence[WebhookView]]:
    """Read all webhooks."""
    read = reader(WebhookList)
    return Call(method="GET", path="/webhooks", read=lambda response: read(response).items)


def get(webhook_id: WebhookId) -> Call[WebhookView]:
    """Read a webhook."""
    return got(_path(webhook_id), WebhookView)


def change(webhook_id: WebhookId, changes: WebhookChanges) -> Call[WebhookView]:
    """Change a webhook."""
    # A repeated rotation would make a third secret, and end the first.
    repeatable = not changes.get("rotate_secret", False)
    return sent("PATCH", _path(webhook_id), changes, WebhookView, repeatable=repeatable)


def delete(webhook_id: WebhookId) -> Call[None]:
    """Delete a webhook."""
    return deleted(_path(webhook_id))


def test(webhook_id: WebhookId) -> Call[DeliveryView]:
    """Deliver a test event."""
    path = _path(webhook_id, "test")
    return Call(method="POST", path=path, read=reader(DeliveryView), repeatable=False)


def deliveries(
    webhook_id: WebhookId, state: States, cursor: str | None, limit: int
) -> Call[DeliveryList]:
    """Read a page of the deliveries to a webhook."""
    path = _path(webhook_id, "deliveries")
    return got(path, DeliveryList, state=state, limit=limit, cursor=cursor)


def resend(webhook_id: WebhookId, delivery_id: int) -> Call[DeliveryView]:
    """Try a delivery again."""
    path = _path(webhook_id, "deliveries", str(delivery_id), "resend")
    return Call(method="POST", path=path, read=reader(DeliveryView))


def callback(task_id: TaskId) -> Call[CallbackView]:
    """Read a task's callback and its deliveries."""
    return got(path_of("tasks", str(task_id), "deliveries"), CallbackView)


def _path(webhook_id: WebhookId, *more: str) -> str:
    return path_of("webhooks", str(webhook_id), *more)
