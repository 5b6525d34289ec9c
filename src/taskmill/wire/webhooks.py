"""Webhooks as they are requested and shown, and their deliveries.

A secret is shown only in the response to the request that makes it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from taskmill.domain.lifecycle import TERMINAL, Status
from taskmill.domain.signing import MASKED, is_secret
from taskmill.domain.webhooks import Delivery, DeliveryState, Webhook, WebhookDraft, WebhookState
from taskmill.wire import fields
from taskmill.wire.basics import format_timestamp
from taskmill.wire.encoding import encode_json, fields_of
from taskmill.wire.fields import Expected, Timestamp
from taskmill.wire.urls import Url
from taskmill.wire.violations import validated

# 24 to 64 bytes in Base64, as a pattern for documents.
_FORM: Final = (
    "^whsec_(?:[A-Za-z0-9+/]{4}){8}(?:(?:[A-Za-z0-9+/]{4}){0,13}(?:[A-Za-z0-9+/]{2}==)?"
    "|(?:[A-Za-z0-9+/]{4}){0,12}[A-Za-z0-9+/]{3}=)$"
)
TEST_EVENT: Final = "taskmill.webhook.test"
MOST_NAMES: Final = 100

Item = TypeVar("Item")


def _no_repeats(items: list[Item]) -> list[Item]:
    return list(dict.fromkeys(items))


def _checked_secret(text: str) -> str:
    if not is_secret(text):
        raise ValueError("not a secret")
    return text


def _parsed_status(text: object) -> Status:
    if not isinstance(text, str):
        raise ValueError("not a status")  # noqa: TRY004 - pydantic expects a ValueError
    return Status(text)


def _without_defaults(schema: dict[str, Any]) -> None:
    """Leave out defaults, which are never used: fields that are not named stay unchanged."""
    for field in schema["properties"].values():
        field.pop("default", None)


_Names = Annotated[
    list[Annotated[str, Field(pattern=fields.NAME_PATTERN)]],
    Field(max_length=MOST_NAMES),
    AfterValidator(_no_repeats),
    Expected(f"a list of at most {MOST_NAMES} names"),
]
_Statuses = Annotated[
    list[Annotated[Status, BeforeValidator(_parsed_status)]],
    Field(min_length=1, max_length=len(Status)),
    AfterValidator(_no_repeats),
    Expected(f"a list of one or more of {', '.join(Status)}"),
]
_Secret = Annotated[
    str,
    Field(json_schema_extra={"writeOnly": True, "pattern": _FORM}),
    AfterValidator(_checked_secret),
    Expected("whsec_ and 24 to 64 bytes in Base64, or null"),
]
_State = Annotated[Literal["enabled", "paused"], Expected("one of enabled, paused", reveal=True)]


class CreateWebhook(BaseModel):
    """A request to deliver events to an endpoint."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"url": "https://example.org/hooks"},
                {"url": "https://example.org/hooks", "queues": ["reports"], "statuses": ["failed"]},
            ]
        },
    )

    url: Url = Field(description="where events are posted to")
    description: fields.Description | None = None
    queues: _Names = Field(default_factory=list, description="only of these queues; empty for all")
    types: _Names = Field(default_factory=list, description="only of these types; empty for all")
    statuses: _Statuses = Field(
        default_factory=lambda: sorted(TERMINAL),
        description="only changes that lead to one of these",
        json_schema_extra={"default": [*map(str, sorted(TERMINAL))]},
    )
    state: _State = "enabled"
    secret: _Secret | None = Field(default=None, description="null: one is generated")


class ChangeWebhook(BaseModel):
    """A request to change a webhook; fields that it does not name stay unchanged."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, json_schema_extra=_without_defaults
    )

    url: Url = Field(default="", description="where events are posted to")
    description: fields.Description | None = None
    queues: _Names = Field(default_factory=list)
    types: _Names = Field(default_factory=list)
    statuses: _Statuses = Field(default_factory=lambda: sorted(TERMINAL))
    state: _State = Field(
        default="enabled",
        description="`enabled` also enables a disabled one: events from before are not delivered",
    )
    rotate_secret: fields.Flag = Field(
        default=False,
        description="makes a new secret, which this response shows; the one before goes on signing beside it",
    )


class WebhookView(BaseModel):
    """A webhook as it is shown."""

    id: UUID
    url: str
    description: str | None
    queues: list[str]
    types: list[str]
    statuses: list[Status]
    state: WebhookState = Field(
        description="`paused`: events are stored; `disabled`: they are not, because the endpoint is gone"
    )
    disabled_reason: str | None
    failing_since: Timestamp | None = Field(
        description="since when the endpoint has accepted nothing; null when it accepted the latest"
    )
    warning: str | None = Field(
        default=None,
        description="why nothing will be delivered, where that can be seen; else left out",
    )
    secret: str = Field(description=f"shown once, when it is made; afterwards {MASKED}")
    created_at: Timestamp
    updated_at: Timestamp


class WebhookList(BaseModel):
    """All webhooks, the oldest first."""

    items: list[WebhookView]


class DeliveryView(BaseModel):
    """The delivery of one event to one endpoint, and its state."""

    id: int
    webhook_id: UUID | None = Field(description="null for a task's callback")
    url: str | None = Field(description="where it goes; null when that is no longer known")
    event_id: str = Field(description="the header webhook-id: the same for every try")
    task_id: UUID | None = Field(description="null for a test")
    version: int | None = Field(description="the task's version that the event is about")
    state: DeliveryState
    attempts: int
    created_at: Timestamp
    tried_at: Timestamp | None
    next_at: Timestamp | None = Field(description="when it is tried next; null when that is over")
    finished_at: Timestamp | None
    response_status: int | None = Field(description="the status of the last response")
    trouble: str | None = Field(description="what was wrong with the last try")


class DeliveryList(BaseModel):
    """Deliveries, newest first."""

    items: list[DeliveryView]
    next_cursor: str | None = Field(description="null on the last page")


class CallbackView(BaseModel):
    """Where a task's end is posted to, and the deliveries, newest first."""

    callback_url: str | None
    items: list[DeliveryView]


def to_webhook_draft(body: object) -> tuple[WebhookDraft, str | None]:
    """Return the webhook that a body describes, and its secret if it has one. Raises `InvalidInput`."""
    request = validated(CreateWebhook, body)
    draft = WebhookDraft(
        url=request.url,
        description=request.description,
        queues=tuple(request.queues),
        types=tuple(request.types),
        statuses=tuple(request.statuses),
        state=WebhookState(request.state),
    )
    return draft, request.secret


def to_webhook_changes(body: object) -> tuple[Mapping[str, Any], bool]:
    """Return the fields to change, and whether to rotate the secret. Raises `InvalidInput`."""
    request = validated(ChangeWebhook, body)
    changes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in request
        if name in request.model_fields_set and name != "rotate_secret"
    }
    if "state" in changes:
        changes["state"] = WebhookState(changes["state"])
    return changes, request.rotate_secret


def webhook_json(
    webhook: Webhook, secret: str | None = None, *, warning: str | None = None
) -> bytes:
    """Return a webhook as a `WebhookView` in JSON; with its secret, if that was just made."""
    warned = {} if warning is None else {"warning": warning}
    return encode_json(_webhook(webhook, secret) | warned)


def webhooks_json(items: Iterable[Webhook]) -> bytes:
    """Return webhooks as a `WebhookList` in JSON."""
    return encode_json({"items": [_webhook(item) for item in items]})


def delivery_json(delivery: Delivery) -> bytes:
    """Return a delivery as a `DeliveryView` in JSON."""
    return encode_json(fields_of(DeliveryView, delivery))


def deliveries_json(items: Iterable[Delivery], next_cursor: str | None) -> bytes:
    """Return a page as a `DeliveryList` in JSON."""
    return encode_json({"items": _deliveries(items), "next_cursor": next_cursor})


def callback_json(url: str | None, items: Iterable[Delivery]) -> bytes:
    """Return a task's callback as a `CallbackView` in JSON."""
    return encode_json({"callback_url": url, "items": _deliveries(items)})


def test_event_json(event_id: str, webhook_id: UUID | None, moment: datetime, source: str) -> bytes:
    """Return the CloudEvent of a test, which is about no task."""
    return encode_json(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": source,
            "type": TEST_EVENT,
            "subject": webhook_id,
            "time": format_timestamp(moment),
            "datacontenttype": "application/json",
            "data": {"webhook_id": webhook_id},
        }
    )


def _webhook(webhook: Webhook, secret: str | None = None) -> dict[str, object]:
    draft, failing_since = webhook.draft, webhook.failing_since
    return {
        "id": webhook.id,
        "url": draft.url,
        "description": draft.description,
        "queues": draft.queues,
        "types": draft.types,
        "statuses": draft.statuses,
        "state": draft.state,
        "disabled_reason": webhook.disabled_reason,
        "failing_since": None if failing_since is None else format_timestamp(failing_since),
        "secret": secret or MASKED,
        "created_at": format_timestamp(webhook.created_at),
        "updated_at": format_timestamp(webhook.updated_at),
    }


def _deliveries(items: Iterable[Delivery]) -> list[dict[str, object]]:
    return [fields_of(DeliveryView, item) for item in items]
