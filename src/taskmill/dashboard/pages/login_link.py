"""Logging in with a login link, whose code stands behind its `#`: browsers send that to no server.

Opening the page uses nothing up, so whoever previews or prefetches a link does no harm: a person confirms it.
"""

from functools import partial
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.pages.login import refuse_often
from taskmill.dashboard.view import View
from taskmill.dashboard.visitors import host_of, set_cookie
from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.sessions import LINK_PATH
from taskmill.observability.logs import get_logger

log = get_logger(__name__)

_TEMPLATE: Final = "login_link.html"


async def show_login_link(view: View) -> Response:
    """Show the button that logs the visitor in; a script puts the code behind it."""
    if view.context.sessions is None:
        return view.redirect("/")
    return view.fragment(_TEMPLATE, trouble="", back=LINK_PATH)


async def use_login_link(view: View) -> Response:
    """Begin the session of a link, and lead to the Overview; or show the form again."""
    form = await view.form()
    sessions, host = view.context.sessions, host_of(view.request)
    if sessions is None:
        return view.redirect("/")
    if wait_s := view.context.login_limit.wait_s(host, view.context.clock.monotonic()):
        return refuse_often(view, wait_s, partial(_again, view))
    try:
        token = await sessions.use_link(first(form, "code"), host)
    except NotAuthenticated:
        log.info("session.refused", client=host)
        return _again(view, HTTPStatus.UNAUTHORIZED, view.t("login.link_over"))
    response = view.redirect("/")
    set_cookie(view.request, response, token)
    return response


def _again(view: View, status: int, trouble: str) -> Response:
    return view.fragment(_TEMPLATE, status=status, trouble=trouble, back=LINK_PATH)


ROUTES = [
    ("GET", LINK_PATH, show_login_link),
    ("POST", LINK_PATH, use_login_link),
]
