"""The page that edits the body of a rejected message, and sends it."""

from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.pages.rejections import LONGEST_EDITED, Refusal, editable_text, refusal_of
from taskmill.dashboard.view import View
from taskmill.domain.errors import (
    RejectionNotFound,
    TaskmillError,
    TooLarge,
    Unavailable,
)
from taskmill.domain.grants import Scope
from taskmill.domain.rejection import Rejection
from taskmill.operations.authorisation import missing, permits_secrets

# In the encoding of forms, each byte takes up to three.
_MOST_FORM_BYTES: Final = 3 * LONGEST_EDITED + 1024


async def show_edit(view: View) -> Response:
    """Show the form with the body."""
    found = await view.context.service.rejections.get(view.id)
    if found.summary.task_id is not None:
        return view.redirect(f"/ui/rejections/{view.id}")
    text = _text(view, found)
    return _page(view, found, text)


async def send_edited(view: View) -> Response:
    """Create the task of the edited message and show it, or show the form again with the reason why not."""
    rejection_id = view.id
    # Not stripped: what is sent is what was typed.
    body = next((value for name, value in await view.form(_MOST_FORM_BYTES) if name == "body"), "")
    rejections = view.context.service.rejections
    found = await rejections.get(rejection_id)
    _text(view, found)
    try:
        await rejections.resend_edited(rejection_id, body.encode(), view.key)
    except (Unavailable, RejectionNotFound):
        raise
    except TaskmillError as error:
        return _page(view, found, body, Refusal.of_error(error))
    return view.redirect(f"/ui/rejections/{rejection_id}")


def _text(view: View, found: Rejection) -> str:
    """Return the body as text.

    Raises:
        ScopeMissing: The visitor may not see what is secret in it.
        TooLarge: It is too long for a form, or no text.
    """
    text = editable_text(view, found)
    if text is None and not permits_secrets(view.key, found.summary.queue):
        raise missing(Scope.TASKS_READ_SECRET, found.summary.queue)
    if text is None:
        raise TooLarge(LONGEST_EDITED)
    return text


def _page(view: View, found: Rejection, text: str, again: Refusal | None = None) -> Response:
    return view.page(
        "rejection_edit.html",
        status=HTTPStatus.OK if again is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        title=view.t("rejection.edit"),
        message=found.summary,
        refusal=refusal_of(found.summary),
        again=again,
        body=text,
        is_live=False,
    )


ROUTES = [
    ("GET", "/ui/rejections/{id}/edit", show_edit),
    ("POST", "/ui/rejections/{id}/edit", send_edited),
]
