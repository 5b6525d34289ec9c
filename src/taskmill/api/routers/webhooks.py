"""Webhooks and callbacks: subscribe, look at what was delivered, send again."""

from collections.abc import Collection
from hashlib import blake2s
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Path, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from taskmill.api import cursors, queries
from taskmill.api.authorisation import authorise_url, owner_of, shown_key
from taskmill.api.context import Context
from taskmill.api.dependencies import (
    InContext,
    SmallJsonBody,
    TaskId,
    WebhookId,
    refuse_query,
)
from taskmill.api.listings import LARGEST_PAGE, whole_number
from taskmill.api.openapi import headers, json_body, new_router, query_parameters, refusals
from taskmill.api.responses import JSON, RawResponse
from taskmill.domain.errors import BadCursor, InvalidInput
from taskmill.domain.webhooks import DeliveryState, Webhook
from taskmill.wire.fields import Expected
from taskmill.wire.webhooks import (
    CallbackView,
    ChangeWebhook,
    CreateWebhook,
    DeliveryList,
    DeliveryView,
    WebhookList,
    WebhookView,
    callback_json,
    deliveries_json,
    delivery_json,
    to_webhook_changes,
    to_webhook_draft,
    webhook_json,
    webhooks_json,
)
from taskmill.wire.wording import describe

router = new_router("webhooks")

_NO_QUERY: Final = [Depends(refuse_query)]
_LARGEST_ID: Final = 2**63 - 1
_MOST_DIGITS: Final = 18


class DeliveryQuery(BaseModel):
    """Which part of a webhook's deliveries to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Annotated[
        list[DeliveryState], Expected(f"one of {', '.join(DeliveryState)}", reveal=True)
    ] = Field(default=[], description="only these states; may be repeated")
    limit: Annotated[
        int,
        Field(ge=1, le=LARGEST_PAGE),
        BeforeValidator(whole_number),
        Expected(f"a whole number from 1 to {LARGEST_PAGE}", reveal=True),
    ] = Field(default=50, description="deliveries on a page")
    cursor: Annotated[str, Expected("a cursor")] | None = Field(
        default=None, description="`next_cursor` of the page before"
    )

    @property
    def states(self) -> Collection[DeliveryState]:
        """The states that are wanted."""
        return set(self.state) or set(DeliveryState)


async def _delivery_id(
    delivery: Annotated[
        str,
        Path(
            description="the delivery's id",
            json_schema_extra={"pattern": "^[1-9][0-9]{0,17}$"},
            examples=["4712"],
        ),
    ],
) -> int:
    is_id = delivery.isascii() and delivery.isdigit() and delivery[0] != "0"
    if not is_id or len(delivery) > _MOST_DIGITS:
        got = describe(delivery, reveal=True)
        raise InvalidInput.at("path:delivery", "a delivery's id: a whole number from 1", got)
    return int(delivery)


DeliveryId = Annotated[int, Depends(_delivery_id)]


def _shown(context: Context, webhook: Webhook, secret: str | None = None) -> bytes:
    """Render a webhook, with a warning if nothing can ever reach it."""
    warning = context.warning_of(webhook.draft.url)
    if not webhook.has_key:
        warning = (
            f"no live API key is named {webhook.owner!r}, which made it: its events wait for one"
        )
    return webhook_json(webhook, secret, warning=warning)


@router.post(
    "/webhooks",
    status_code=201,
    summary="Subscribe an endpoint",
    response_model=WebhookView,
    response_description="It gets what changes from now on; its secret is shown here only",
    openapi_extra={"requestBody": json_body(CreateWebhook)},
    responses={**refusals(409, has_body=True), 201: {"headers": headers("Location")}},
    dependencies=_NO_QUERY,
)
async def create_webhook(request: Request, context: InContext, body: SmallJsonBody) -> Response:
    """Have every matching change posted to an endpoint, signed, at least once.

    It is not called now; `POST /webhooks/{id}/test` does that.
    """
    draft, secret = to_webhook_draft(body)
    authorise_url(shown_key(request.scope), draft.url)
    webhook, secret = await context.webhooks.create(draft, secret, owner_of(request.scope))
    location = (b"location", f"/webhooks/{webhook.id}".encode())
    return RawResponse(201, _shown(context, webhook, secret), (JSON, location)).to_starlette()


@router.get(
    "/webhooks",
    summary="List webhooks",
    response_model=WebhookList,
    responses=refusals(),
    dependencies=_NO_QUERY,
)
async def list_webhooks(context: InContext) -> Response:
    """List all webhooks, the oldest first; to a key for some queues, those that keys of its name have made."""
    return RawResponse(200, webhooks_json(await context.webhooks.all_of_them())).to_starlette()


@router.get(
    "/webhooks/{id}",
    summary="Read a webhook",
    response_model=WebhookView,
    responses=refusals(404),
    dependencies=_NO_QUERY,
)
async def get_webhook(context: InContext, id: WebhookId) -> Response:  # noqa: A002 - as in the path
    """Read a webhook, and the state of its endpoint."""
    return RawResponse(200, _shown(context, await context.webhooks.get(id))).to_starlette()


@router.patch(
    "/webhooks/{id}",
    summary="Change, pause or enable a webhook",
    response_model=WebhookView,
    openapi_extra={"requestBody": json_body(ChangeWebhook)},
    responses=refusals(404, has_body=True),
    dependencies=_NO_QUERY,
)
async def change_webhook(
    request: Request,
    context: InContext,
    id: WebhookId,  # noqa: A002 - as in the path
    body: SmallJsonBody,
) -> Response:
    """Change what the body names. What was not delivered yet goes to the new address."""
    changes, rotates_secret = to_webhook_changes(body)
    authorise_url(shown_key(request.scope), changes.get("url"))
    webhook, secret = await context.webhooks.change(id, changes, rotates_secret=rotates_secret)
    return RawResponse(200, _shown(context, webhook, secret)).to_starlette()


@router.delete(
    "/webhooks/{id}",
    status_code=204,
    summary="Delete a webhook",
    response_class=Response,
    response_description="Nothing more is sent to it",
    responses=refusals(404),
    dependencies=_NO_QUERY,
)
async def delete_webhook(context: InContext, id: WebhookId) -> Response:  # noqa: A002 - as in the path
    """Delete a webhook, with what was still to be delivered to it and its log."""
    await context.webhooks.delete(id)
    return RawResponse(204, b"", ()).to_starlette()


@router.post(
    "/webhooks/{id}/test",
    status_code=202,
    summary="Send a test event",
    response_model=DeliveryView,
    response_description="It is sent soon; the log of deliveries shows the result",
    responses=refusals(404, 409),
    dependencies=_NO_QUERY,
)
async def test_webhook(context: InContext, id: WebhookId) -> Response:  # noqa: A002 - as in the path
    """Have an event of type `taskmill.webhook.test` delivered, which is about no task."""
    return RawResponse(202, delivery_json(await context.webhooks.test(id))).to_starlette()


@router.get(
    "/webhooks/{id}/deliveries",
    summary="List what is delivered to a webhook",
    response_model=DeliveryList,
    openapi_extra={"parameters": query_parameters(DeliveryQuery)},
    responses=refusals(400, 404),
)
async def list_deliveries(request: Request, context: InContext, id: WebhookId) -> Response:  # noqa: A002 - as in the path
    """List deliveries, the newest first: the state of each, and when it is tried next."""
    query = queries.read_query(request.scope, DeliveryQuery, repeatable=("state",))
    listing = _digest(id, query.states)
    before = None if query.cursor is None else _position(query.cursor, listing)
    found = await context.webhooks.deliveries(
        id, before=before, states=query.states, limit=query.limit + 1
    )
    page = found[: query.limit]
    has_more = len(found) > len(page)
    next_cursor = cursors.encode(UUID(int=page[-1].id), listing) if has_more else None
    return RawResponse(200, deliveries_json(page, next_cursor)).to_starlette()


@router.post(
    "/webhooks/{id}/deliveries/{delivery}/resend",
    status_code=202,
    summary="Send an event again",
    response_model=DeliveryView,
    response_description="It is sent soon",
    responses=refusals(404, 409),
    dependencies=_NO_QUERY,
)
async def resend_delivery(
    context: InContext,
    id: WebhookId,  # noqa: A002 - as in the path
    delivery: DeliveryId,
) -> Response:
    """Have a delivery tried again now, whatever its state, and for as long as a new one."""
    return RawResponse(
        202, delivery_json(await context.webhooks.resend(id, delivery))
    ).to_starlette()


@router.get(
    "/tasks/{id}/deliveries",
    tags=["tasks"],
    summary="Read the deliveries of a task's callback",
    response_model=CallbackView,
    responses=refusals(404),
    dependencies=_NO_QUERY,
)
async def list_callback_deliveries(context: InContext, id: TaskId) -> Response:  # noqa: A002 - as in the path
    """Read where the task's end is posted to, and the results: one delivery for each time that it ended."""
    url, found = await context.webhooks.of_task(id)
    return RawResponse(200, callback_json(url, found)).to_starlette()


def _digest(webhook_id: UUID, states: Collection[DeliveryState]) -> bytes:
    facts = (webhook_id.hex, *sorted(states))
    return blake2s(repr(facts).encode(), digest_size=cursors.DIGEST_BYTES).digest()


def _position(cursor: str, listing: bytes) -> int:
    """Return the delivery's id in a cursor. Raises `BadCursor`."""
    found = cursors.decode(cursor, listing).int
    if found > _LARGEST_ID:
        raise BadCursor
    return found
