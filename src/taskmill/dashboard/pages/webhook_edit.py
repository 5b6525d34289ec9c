"""Pages that subscribe and change webhooks, and the page that shows a secret: once, to who had it made."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.form import every
from taskmill.dashboard.pages.form_faults import Fault
from taskmill.dashboard.pages.offers import offers
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.errors import InvalidInput, TaskmillError, Unavailable, WebhookNotFound
from taskmill.domain.lifecycle import TERMINAL, Status
from taskmill.domain.webhooks import Webhook
from taskmill.operations.authorisation import authorise_url
from taskmill.wire.problems import problem_json
from taskmill.wire.webhooks import to_webhook_changes, to_webhook_draft

# 200 names of up to 63 characters, an address and a description, in the encoding of forms.
_MOST_BYTES: Final = 65_536
_PATH: Final = "/ui/webhooks"
_SEPARATOR: Final = re.compile(r"[\s,]+")
_LISTS: Final = ("queues", "types")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookForm:
    """What was filled in, by the form's names."""

    values: Mapping[str, str] = field(default_factory=dict)
    statuses: Sequence[str] = tuple(sorted(TERMINAL))

    @classmethod
    def of(cls, pairs: Pairs) -> "WebhookForm":
        """Read what was sent."""
        values = {name: value.strip() for name, value in reversed(pairs) if name != "statuses"}
        return cls(values=values, statuses=every(pairs, "statuses"))

    @classmethod
    def like(cls, webhook: Webhook) -> "WebhookForm":
        """Fill in what a webhook is."""
        draft = webhook.draft
        return cls(
            values={
                "url": draft.url,
                "description": draft.description or "",
                "queues": " ".join(draft.queues),
                "types": " ".join(draft.types),
            },
            statuses=draft.statuses,
        )

    def value(self, name: str) -> str:
        """Return the text of a field."""
        return self.values.get(name, "")

    def body(self) -> dict[str, object]:
        """Return the same as the body of a request."""
        return {
            "url": self.value("url"),
            "description": self.value("description") or None,
            **{name: [one for one in _SEPARATOR.split(self.value(name)) if one] for name in _LISTS},
            "statuses": list(self.statuses),
        }


async def show_new(view: View) -> Response:
    """Show the empty form."""
    return await _page(view, WebhookForm())


async def create_webhook(view: View) -> Response:
    """Subscribe the endpoint and show its secret, or show the form again with its faults."""
    form = WebhookForm.of(await view.form(_MOST_BYTES))
    owner = None if view.key is None else view.key.owner
    try:
        draft, _ = to_webhook_draft(form.body())
        authorise_url(view.key, draft.url)
        webhook, secret = await view.context.webhooks.create(draft, None, owner)
    except Unavailable:
        raise
    except TaskmillError as error:
        return await _page(view, form, error=error)
    return _secret_page(view, webhook, secret)


async def show_edit(view: View) -> Response:
    """Show the form with what a webhook is."""
    webhook = await view.context.webhooks.get(view.id)
    return await _page(view, WebhookForm.like(webhook), webhook=webhook)


async def change_webhook(view: View) -> Response:
    """Change what differs and show the webhook, or show the form again with its faults."""
    form = WebhookForm.of(await view.form(_MOST_BYTES))
    webhook = await view.context.webhooks.get(view.id)
    try:
        wanted, _ = to_webhook_changes(form.body())
        changes = {
            name: value for name, value in wanted.items() if getattr(webhook.draft, name) != value
        }
        authorise_url(view.key, changes.get("url"))
        if changes:
            await view.context.webhooks.change(webhook.id, changes, rotates_secret=False)
    except (Unavailable, WebhookNotFound):
        raise
    except TaskmillError as error:
        return await _page(view, form, webhook=webhook, error=error)
    return view.redirect(f"{_PATH}/{webhook.id}")


async def rotate_secret(view: View) -> Response:
    """Make a new secret, and show it."""
    webhook_id = view.id
    await view.form()
    webhook, secret = await view.context.webhooks.change(webhook_id, {}, rotates_secret=True)
    return _secret_page(view, webhook, secret or "", is_new=False)


def _secret_page(view: View, webhook: Webhook, secret: str, *, is_new: bool = True) -> Response:
    """Show a secret in the response to the form: no address leads to it."""
    return view.page(
        "webhook_secret.html",
        title=view.t("webhook.secret.title"),
        webhook=webhook,
        secret=secret,
        is_new=is_new,
        is_live=False,
    )


async def _page(
    view: View,
    form: WebhookForm,
    *,
    webhook: Webhook | None = None,
    error: TaskmillError | None = None,
) -> Response:
    types, queues = await offers(view)
    key = "webhook.new" if webhook is None else "webhook.edit.title"
    return view.page(
        "webhook_form.html",
        status=HTTPStatus.OK if error is None else problem_json(error)[0],
        title=view.t(key),
        form=form,
        webhook=webhook,
        statuses=list(Status),
        faults=_faults(error),
        refusal=None if isinstance(error, InvalidInput) or error is None else str(error),
        types=types,
        queues=queues,
        is_live=False,
    )


def _faults(error: TaskmillError | None) -> list[Fault]:
    """Return what is wrong with the fields; a refusal of another kind is about none of them."""
    found = error.violations if isinstance(error, InvalidInput) else ()
    return [Fault(field=one.pointer.strip("/").partition("/")[0], violation=one) for one in found]


ROUTES = [
    ("GET", f"{_PATH}/new", show_new),
    ("POST", f"{_PATH}/new", create_webhook),
    ("GET", f"{_PATH}/{{id}}/edit", show_edit),
    ("POST", f"{_PATH}/{{id}}/edit", change_webhook),
    ("POST", f"{_PATH}/{{id}}/secret", rotate_secret),
]
