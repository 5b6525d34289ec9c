"""The webhooks, one of them with its deliveries, and the actions on it; `webhook_edit` has the forms."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from starlette.responses import Response

from taskmill.dashboard.form import every, first, one_of
from taskmill.dashboard.pages import slices
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.errors import InvalidInput
from taskmill.domain.webhooks import (
    DeliveryState,
    Webhook,
    WebhookBacklog,
    WebhookCondition,
    WebhookState,
    condition_of,
)
from taskmill.wire.wording import describe

_ON_A_PAGE: Final = 50
_MOST_COUNTED: Final = 1000
_MOST_DIGITS: Final = 18
_PATH: Final = "/ui/webhooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A webhook, its condition, what waits for it, and why nothing will be delivered, where that can be seen."""

    webhook: Webhook
    condition: WebhookCondition
    backlog: WebhookBacklog
    warning: str | None

    @property
    def host(self) -> str:
        """The host of its endpoint: the rest of its address may be long."""
        return urlsplit(self.webhook.draft.url).hostname or self.webhook.draft.url


async def show_webhooks(view: View) -> Response:
    """Show those with the search text in their address or description; those in trouble first."""
    text = slices.searched(view.query, "text")
    webhooks = await view.context.webhooks.all_of_them()
    part = slices.cut(sorted(_matching(webhooks, text), key=_is_well), view.query)
    return view.page(
        "webhooks.html",
        title=view.t("nav.webhooks"),
        part=part,
        rows=await _rows(view, part.items, most=0),
        there_are_some=bool(webhooks),
        text=text,
    )


async def show_webhook(view: View) -> Response:
    """Show one, with a page of its deliveries, newest first."""
    webhook = await view.context.webhooks.get(view.id)
    [row] = await _rows(view, [webhook], most=_MOST_COUNTED)
    states, before = _states(view.query), _before(view.query)
    found = await view.context.webhooks.deliveries(
        webhook.id, before=before, states=states or DeliveryState, limit=_ON_A_PAGE + 1
    )
    page, pairs = found[:_ON_A_PAGE], [("state", str(state)) for state in states]
    has_more = len(found) > len(page)
    return view.page(
        "webhook.html",
        title=row.host,
        row=row,
        deliveries=page,
        state=states[0] if states else None,
        states=list(DeliveryState),
        list_query=[*pairs, *([] if before is None else [("before", str(before))])],
        newer=pairs if before is not None else None,
        older=[*pairs, ("before", str(page[-1].id))] if has_more else None,
    )


async def pause_webhook(view: View) -> Response:
    """Have its events wait, and show it."""
    return await _set_state(view, WebhookState.PAUSED)


async def enable_webhook(view: View) -> Response:
    """Have its events delivered, and show it."""
    return await _set_state(view, WebhookState.ENABLED)


async def test_webhook(view: View) -> Response:
    """Have a test event delivered, and show the deliveries."""
    webhook_id = await _acted_on(view)
    await view.context.webhooks.test(webhook_id)
    return view.redirect(f"{_PATH}/{webhook_id}")


async def resend_delivery(view: View) -> Response:
    """Have a delivery made again, and show the list that it is in."""
    webhook_id, delivery_id = (
        await _acted_on(view),
        _number(view.request.path_params["delivery"], "path:delivery"),
    )
    await view.context.webhooks.resend(webhook_id, delivery_id)
    wanted = [pair for pair in view.query if pair[0] in {"state", "before"} and pair[1]]
    return view.redirect(f"{_PATH}/{webhook_id}", wanted)


async def show_delete(view: View) -> Response:
    """Ask whether to delete it."""
    [row] = await _rows(view, [await view.context.webhooks.get(view.id)], most=_MOST_COUNTED)
    return view.page(
        "webhook_delete.html", title=view.t("webhook.delete.title"), row=row, is_live=False
    )


async def delete_webhook(view: View) -> Response:
    """Delete it, and show the others."""
    await view.context.webhooks.delete(await _acted_on(view))
    return view.redirect(_PATH)


async def _set_state(view: View, state: WebhookState) -> Response:
    webhook_id = await _acted_on(view)
    await view.context.webhooks.change(webhook_id, {"state": state}, rotates_secret=False)
    return view.redirect(f"{_PATH}/{webhook_id}")


async def _acted_on(view: View) -> UUID:
    """Return the id of the webhook that a form is about."""
    webhook_id = view.id
    await view.form()
    return webhook_id


async def _rows(view: View, webhooks: Sequence[Webhook], *, most: int) -> list[Row]:
    backlogs: Mapping[UUID, WebhookBacklog] = {}
    if webhooks:
        ids = [one.id for one in webhooks]
        backlogs = await view.context.webhooks.backlogs(ids, most=most)
    now = view.context.clock.now()
    return [
        Row(
            webhook=one,
            condition=condition_of(one, backlogs[one.id], now),
            backlog=backlogs[one.id],
            warning=view.context.warning_of(one.draft.url),
        )
        for one in webhooks
    ]


def _matching(webhooks: Iterable[Webhook], text: str) -> Iterable[Webhook]:
    wanted = text.lower()
    return (
        one
        for one in webhooks
        if wanted in one.draft.url.lower() or wanted in (one.draft.description or "").lower()
    )


def _is_well(webhook: Webhook) -> bool:
    is_disabled = webhook.draft.state is WebhookState.DISABLED
    return not is_disabled and webhook.has_key and webhook.failing_since is None


def _states(query: Pairs) -> list[DeliveryState]:
    return [
        DeliveryState(one_of(DeliveryState, text, "query:state")) for text in every(query, "state")
    ][:1]


def _before(query: Pairs) -> int | None:
    text = first(query, "before")
    return _number(text, "query:before") if text else None


def _number(text: str, pointer: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        expected = "a delivery's id: a whole number from 1"
        raise InvalidInput.at(pointer, expected, describe(text, reveal=True))
    return int(text)


_ONE: Final = f"{_PATH}/{{id}}"
ROUTES = [
    ("GET", _PATH, show_webhooks),
    ("GET", _ONE, show_webhook),
    ("POST", f"{_ONE}/pause", pause_webhook),
    ("POST", f"{_ONE}/enable", enable_webhook),
    ("POST", f"{_ONE}/test", test_webhook),
    ("GET", f"{_ONE}/delete", show_delete),
    ("POST", f"{_ONE}/delete", delete_webhook),
    ("POST", f"{_ONE}/deliveries/{{delivery}}/resend", resend_delivery),
]
