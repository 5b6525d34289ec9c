"""One notice: what needs attention, and who has seen to it."""

from typing import Final
from uuid import UUID

from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.notice_text import shown_notices
from taskmill.dashboard.view import View
from taskmill.domain.errors import NoticeNotFound
from taskmill.wire.attention import to_notice_change

_PATH: Final = "/ui/attention/{id}"


async def show_notice(view: View) -> Response:
    """Show a notice. Raises `NoticeNotFound` when it has ended."""
    notice_id: UUID = view.id
    attention = await view.context.service.attention.read()
    found = [one for one in attention.notices if one.id == notice_id]
    if not found:
        raise NoticeNotFound(notice_id)
    [shown] = shown_notices(view.words, found)
    return view.page("notice.html", title=view.t("attention.title"), shown=shown, is_live=False)


async def change_notice(view: View) -> Response:
    """Acknowledge or silence it, or let it count again, and show the overview."""
    notice_id = view.id
    form = await view.form()
    change = to_notice_change({"state": first(form, "state"), "note": first(form, "note") or None})
    await view.context.service.attention.mark(notice_id, change.mark, note=change.note)
    return view.redirect("/")


ROUTES = [
    ("GET", _PATH, show_notice),
    ("POST", _PATH, change_notice),
]
