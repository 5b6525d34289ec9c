"""Logging in with an API key, and logging out."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.own_paths import own_path
from taskmill.dashboard.view import View
from taskmill.dashboard.visitors import drop_cookie, host_of, session_of, set_cookie
from taskmill.domain.api_key_errors import NotAuthenticated, ScopeMissing
from taskmill.observability.logs import get_logger
from taskmill.operations.sessions import Sessions
from taskmill.runtime.http_scope import API_KEY

log = get_logger(__name__)

_PATH: Final = "/ui/login"
_STREAMS: Final = frozenset({"/ui/live", "/ui/events/stream"})


async def show_login(view: View) -> Response:
    """Show the form, or lead on who has logged in already."""
    goal = own_path(first(view.query, "next"))
    sessions = view.context.sessions
    if sessions is None or await _is_logged_in(view, sessions):
        return view.redirect(goal)
    if view.request.headers.get("sec-fetch-site") == "cross-site":
        # A link of another site led here: browsers send the cookie only with what our own pages request.
        return view.fragment("login_again.html", goal=goal)
    return _form(view, goal)


async def log_in(view: View) -> Response:
    """Begin a session, and lead to where the visitor wanted to go; or show the form again."""
    form = await view.form()
    goal = own_path(first(form, "next"))
    sessions, host = view.context.sessions, host_of(view.request)
    if sessions is None:
        return view.redirect(goal)
    if wait_s := view.context.login_limit.wait_s(host, view.context.clock.monotonic()):
        return refuse_often(view, wait_s, partial(_form, view, goal))
    try:
        key = view.request.scope[API_KEY] = await sessions.find_key(first(form, "key"), host)
        token = await sessions.begin(key)
    except NotAuthenticated:
        log.info("session.refused", client=host)
        return _form(view, goal, HTTPStatus.UNAUTHORIZED, view.t("login.wrong"))
    except ScopeMissing as error:
        return _form(view, goal, HTTPStatus.FORBIDDEN, view.t("login.no_right", scope=error.scope))
    response = view.redirect(goal)
    set_cookie(view.request, response, token)
    return response


def refuse_often(view: View, wait_s: int, again: Callable[[int, str], Response]) -> Response:
    """Return the form `again`, with a status and a text, for an address that has to wait before its next try."""
    response = again(HTTPStatus.TOO_MANY_REQUESTS, view.t("login.often", n=wait_s))
    response.headers["retry-after"] = str(wait_s)
    return response


async def log_out(view: View) -> Response:
    """End the visitor's session in all processes, and lead to the form."""
    await view.form()
    response = view.redirect(_PATH)
    drop_cookie(view.request, response)
    if (sessions := view.context.sessions) is not None:
        try:
            found = await session_of(sessions, view.request)
        except NotAuthenticated:
            return response
        await sessions.end(found.id, key=found.key)
    return response


def challenge(view: View) -> Response:
    """Return the response to who has no session: a redirect of a page to the form, else 401."""
    goal = _goal(view)
    address = view.href(_PATH, [("next", goal)] if goal != "/" else [])
    if view.wants_fragment:
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"hx-redirect": address})
    is_page = view.is_safe and view.request.scope["path"] not in _STREAMS
    if is_page and "authorization" not in view.request.headers:
        return Response(status_code=HTTPStatus.SEE_OTHER, headers={"location": address})
    return _form(view, goal, HTTPStatus.UNAUTHORIZED, "")


def _goal(view: View) -> str:
    """Return where to go on after the login: where a part of a page was requested, what the browser shows."""
    here = view.here
    if view.wants_fragment:
        with suppress(ValueError):  # a header may be anything
            shown = urlsplit(view.request.headers.get("hx-current-url", ""))
            here = urlunsplit(("", "", shown.path, shown.query, "")) or here
    return own_path(here.removeprefix(view.context.prefix))


async def _is_logged_in(view: View, sessions: Sessions) -> bool:
    try:
        await session_of(sessions, view.request)
    except NotAuthenticated:
        return False
    return True


def _form(view: View, goal: str, status: int = HTTPStatus.OK, trouble: str = "") -> Response:
    back = view.href(_PATH, [("next", goal)])[len(view.context.prefix) :]
    return view.fragment("login.html", status=status, goal=goal, trouble=trouble, back=back)


ROUTES = [
    ("GET", _PATH, show_login),
    ("POST", _PATH, log_in),
    ("POST", "/ui/logout", log_out),
]
