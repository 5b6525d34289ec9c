"""Rejected messages: the list, one of them, and sending one or many again; `rejection_edit` has the form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.responses import Response

from taskmill.dashboard import raw_bytes
from taskmill.dashboard.form import every, first
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.pages.rejection_filters import STATES, RejectionFilters
from taskmill.dashboard.view import View
from taskmill.domain.errors import InvalidInput, RejectionNotFound, TaskmillError, Unavailable
from taskmill.domain.rejection import Rejection, RejectionSummary
from taskmill.operations.authorisation import permits_secrets
from taskmill.operations.resend_many import resend_ids, resend_matching
from taskmill.wire.contracts.secret_fields import MASK
from taskmill.wire.problems import problem_json

_ON_A_PAGE: Final = 50
_LONGEST_PARSED: Final = raw_bytes.MOST_TEXT
_MOST_FORM_BYTES: Final = 16_384
# What is left of a request's time is for the search and for the last message.
_SHARE_OF_TIMEOUT: Final = 0.6
LONGEST_EDITED: Final = 65_536
"""Bytes of a body that is offered to be edited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a message was rejected: the problem's title, its detail, and its errors with their pointers."""

    title: str
    detail: str
    errors: Sequence[Mapping[str, str]]

    @classmethod
    def of(cls, problem: Mapping[str, Any]) -> "Refusal":
        """Read a problem."""
        return cls(
            title=str(problem.get("title", "")),
            detail=str(problem.get("detail", "")),
            errors=problem.get("errors") or [],
        )

    @classmethod
    def of_error(cls, error: TaskmillError) -> "Refusal":
        """Read what an error says."""
        return cls.of(orjson.loads(problem_json(error)[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A message of the list, and why it was rejected."""

    message: RejectionSummary
    refusal: Refusal


async def show_rejections(view: View) -> Response:
    """Show a page of those that the filter admits, newest first, and the most frequent reasons."""
    filters, before = RejectionFilters.of(view.query), first(view.query, "before")
    start = parse_id(before, "query:before") if before else None
    found = await view.context.service.rejections.search(
        filters.wanted, before=start, limit=_ON_A_PAGE
    )
    older = None
    if found.next_before is not None:
        older = [*filters.pairs, ("before", str(found.next_before))]
    return view.page(
        "rejections.html",
        title=view.t("rejections.title"),
        rows=[Row(message=one, refusal=refusal_of(one)) for one in found.messages],
        reasons=found.reasons,
        filters=filters,
        states=STATES,
        is_first=start is None,
        older=older,
    )


async def resend_some(view: View) -> Response:
    """Send again those that were picked, or all that the filter admits; show what became of them."""
    pairs = await view.form(_MOST_FORM_BYTES)
    filters, before = RejectionFilters.of(pairs), first(pairs, "before")
    rejections = view.context.service.rejections
    if first(pairs, "all"):
        if not filters.wanted.is_narrow:
            raise InvalidInput.at("/all", "a filter", "none")
        done = await resend_matching(
            rejections,
            filters.wanted,
            before=parse_id(before, "/before") if before else None,
            budget_s=view.context.settings.limits.request_timeout_s * _SHARE_OF_TIMEOUT,
        )
    else:
        ids = [parse_id(text, "/id") for text in every(pairs, "id")[:_ON_A_PAGE]]
        if not ids:
            return view.redirect("/ui/rejections", filters.pairs)
        done = await resend_ids(rejections, ids)
    return view.page(
        "rejections_resent.html",
        title=view.t("rejections.title"),
        done=done,
        refused=[(one, Refusal.of_error(error)) for one, error in done.why],
        filters=filters,
        is_live=False,
    )


async def show_rejection(view: View) -> Response:
    """Show one."""
    return _page(view, await view.context.service.rejections.get(view.id))


async def resend_rejection(view: View) -> Response:
    """Validate it again, and show it: with its task, or with the reason why it was rejected again."""
    rejection_id = view.id
    await view.form()
    rejections = view.context.service.rejections
    try:
        await rejections.resend(rejection_id)
    except (Unavailable, RejectionNotFound):
        raise
    except TaskmillError as error:
        return _page(view, await rejections.get(rejection_id), Refusal.of_error(error))
    return view.redirect(f"/ui/rejections/{rejection_id}")


def _page(view: View, found: Rejection, again: Refusal | None = None) -> Response:
    content = found.body if permits_secrets(view.key, found.summary.queue) else MASK.encode()
    body = raw_bytes.shown(content)
    return view.page(
        "rejection.html",
        status=HTTPStatus.OK if again is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        title=view.t("rejection.title"),
        message=found.summary,
        refusal=refusal_of(found.summary),
        is_editable=found.summary.task_id is None and editable_text(view, found) is not None,
        again=again,
        body=body,
        json=content.decode() if body.is_text and _is_json(content) else None,
    )


def editable_text(view: View, found: Rejection) -> str | None:
    """Return the body if it is a text that fits into a form, and the visitor may see all of it."""
    body = found.body
    if len(body) > LONGEST_EDITED or not permits_secrets(view.key, found.summary.queue):
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _is_json(body: bytes) -> bool:
    """Return whether it is an object or an array, and short enough to be shown as such."""
    if len(body) > _LONGEST_PARSED or not body.lstrip().startswith((b"{", b"[")):
        return False
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def refusal_of(message: RejectionSummary) -> Refusal:
    """Return why a message was rejected."""
    return Refusal.of(orjson.loads(message.problem))


ROUTES = [
    ("GET", "/ui/rejections", show_rejections),
    ("POST", "/ui/rejections/resend", resend_some),
    ("GET", "/ui/rejections/{id}", show_rejection),
    ("POST", "/ui/rejections/{id}/resend", resend_rejection),
]
