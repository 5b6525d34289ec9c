"""Rejected messages: the list, one of them, and sending it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.responses import Response

from taskmill.dashboard import raw_bytes
from taskmill.dashboard.form import first
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.view import View
from taskmill.domain.errors import RejectionNotFound, TaskmillError, Unavailable
from taskmill.domain.rejection import Rejection, RejectionSummary
from taskmill.operations.authorisation import permits_secrets
from taskmill.wire.contracts.secret_fields import MASK
from taskmill.wire.problems import problem_json

_ON_A_PAGE: Final = 50
_LONGEST_PARSED: Final = raw_bytes.MOST_TEXT


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A message of the list, and why it was rejected."""

    message: RejectionSummary
    refusal: Refusal


async def show_rejections(view: View) -> Response:
    """Show a page of them, newest first."""
    before = first(view.query, "before")
    start = parse_id(before, "query:before") if before else None
    page = await view.context.service.rejections.page(before=start, limit=_ON_A_PAGE)
    return view.page(
        "rejections.html",
        title=view.t("rejections.title"),
        rows=[Row(message=one, refusal=_refusal(one)) for one in page],
        is_first=start is None,
        older=[("before", str(page[-1].id))] if page.has_more else None,
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
        again = Refusal.of(orjson.loads(problem_json(error)[2]))
        return _page(view, await rejections.get(rejection_id), again)
    return view.redirect(f"/ui/rejections/{rejection_id}")


def _page(view: View, found: Rejection, again: Refusal | None = None) -> Response:
    content = found.body if permits_secrets(view.key, found.summary.queue) else MASK.encode()
    body = raw_bytes.shown(content)
    return view.page(
        "rejection.html",
        status=HTTPStatus.OK if again is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        title=view.t("rejection.title"),
        message=found.summary,
        refusal=_refusal(found.summary),
        again=again,
        body=body,
        json=content.decode() if body.is_text and _is_json(content) else None,
    )


def _is_json(body: bytes) -> bool:
    """Return whether it is an object or an array, and short enough to be shown as such."""
    if len(body) > _LONGEST_PARSED or not body.lstrip().startswith((b"{", b"[")):
        return False
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def _refusal(message: RejectionSummary) -> Refusal:
    return Refusal.of(orjson.loads(message.problem))


ROUTES = [
    ("GET", "/ui/rejections", show_rejections),
    ("GET", "/ui/rejections/{id}", show_rejection),
    ("POST", "/ui/rejections/{id}/resend", resend_rejection),
]
