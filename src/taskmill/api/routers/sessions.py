"""Sessions of the dashboard: list and end them, and make login links. A cookie counts for nothing here."""

from typing import Final

from fastapi import Depends, Request, Response

from taskmill.api.authorisation import shown_key
from taskmill.api.dependencies import InContext, SessionId, refuse_query
from taskmill.api.openapi import new_router, refusals
from taskmill.api.responses import JSON, RawResponse
from taskmill.domain.api_key_errors import NoDashboard, SessionNotFound
from taskmill.domain.grants import Scope
from taskmill.wire.sessions import LoginLinkView, SessionList, login_link_json, sessions_json

router = new_router("sessions", dependencies=[Depends(refuse_query)])

_NOT_STORED: Final = (JSON, (b"cache-control", b"no-store"))


@router.get(
    "/sessions",
    summary="List sessions of the dashboard",
    response_model=SessionList,
    responses=refusals(),
)
async def list_sessions(request: Request, context: InContext) -> Response:
    """List who is logged in to the dashboard with your API key; with `admin`, those of all keys.

    There are none where no keys are required.
    """
    sessions, key = context.sessions, shown_key(request.scope)
    found = [] if sessions is None or key is None else await sessions.visible(key)
    return RawResponse(200, sessions_json(found)).to_starlette()


@router.delete(
    "/sessions/{id}",
    status_code=204,
    summary="End a session of the dashboard",
    response_class=Response,
    response_description="It has ended",
    responses=refusals(404),
)
async def end_session(request: Request, context: InContext, id: SessionId) -> Response:  # noqa: A002 - as in the path
    """Log somebody out at once, in all processes. Who is not `admin` ends sessions of the own key only."""
    sessions, key = context.sessions, shown_key(request.scope)
    if sessions is None or key is None:
        raise SessionNotFound(id)
    if not await sessions.end(id, key=None if key.permits(Scope.ADMIN) else key):
        raise SessionNotFound(id)
    return RawResponse(204, b"", ()).to_starlette()


@router.post(
    "/login-links",
    status_code=201,
    summary="Make a link that logs a browser in",
    response_model=LoginLinkView,
    response_description="The link",
    responses=refusals(404),
)
async def make_login_link(request: Request, context: InContext) -> Response:
    """Make a link with which one browser logs in to the dashboard with your API key, without seeing it.

    It is good for one login, within a minute, and for as long as it is the latest one of the key. Whoever opens it
    has to confirm it, so previewing or prefetching it does not use it up.
    """
    if not context.has_dashboard:
        raise NoDashboard
    sessions, key = context.sessions, shown_key(request.scope)
    link = None if sessions is None or key is None else await sessions.make_link(key)
    return RawResponse(201, login_link_json(link), _NOT_STORED).to_starlette()
