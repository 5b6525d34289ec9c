"""The sessions of the visitor's key, or of all keys for `admin`; and ending one of them."""

from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.view import View
from taskmill.dashboard.visitors import session_of
from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.grants import Scope
from taskmill.operations.sessions import Sessions

_PATH = "/ui/sessions"


async def show_sessions(view: View) -> Response:
    """Show them, or those of one key only, those that end last first; and what the visitor's key grants."""
    sessions, key = _required(view)
    wanted, found = first(view.query, "key"), await sessions.visible(key)
    now = view.context.clock.now()
    return view.page(
        "sessions.html",
        title=view.t("sessions.title"),
        rows=[one for one in found if wanted in {"", one.key_id}],
        wanted=wanted,
        own=await _own_id(view, sessions),
        own_key=key,
        own_state=key.state(now),
        ends_soon=key.ends_soon(now),
    )


async def end_session(view: View) -> Response:
    """End one of them in all processes."""
    session_id = view.id
    await view.form()
    sessions, key = _required(view)
    only_of = None if key.permits(Scope.ADMIN) else key
    if not await sessions.end(session_id, key=only_of):
        raise HTTPException(404)
    return view.redirect(_PATH)


def _required(view: View) -> tuple[Sessions, ApiKey]:
    sessions, key = view.context.sessions, view.key
    if sessions is None or key is None:
        # Where no keys are required, there are no sessions.
        raise HTTPException(404)
    return sessions, key


async def _own_id(view: View, sessions: Sessions) -> UUID | None:
    try:
        return (await session_of(sessions, view.request)).id
    except NotAuthenticated:
        return None


ROUTES = [
    ("GET", _PATH, show_sessions),
    ("POST", f"{_PATH}/{{id}}/end", end_session),
]
