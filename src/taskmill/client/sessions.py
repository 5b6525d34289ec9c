"""The calls for sessions of the dashboard, and for links that log a browser in."""

from collections.abc import Sequence
from typing import TypeAlias
from uuid import UUID

from taskmill.client.calls import Call, deleted, path_of
from taskmill.client.responses import reader
from taskmill.client.views.sessions import LoginLinkView, SessionList, SessionView

SessionId: TypeAlias = UUID | str


def everything() -> Call[Sequence[SessionView]]:
    """Read the sessions of the client's key, or of all keys for `admin`."""
    read = reader(SessionList)
    return Call(method="GET", path="/sessions", read=lambda response: read(response).items)


def end(session_id: SessionId) -> Call[None]:
    """End a session."""
    return deleted(path_of("sessions", str(session_id)))


def make_link() -> Call[LoginLinkView]:
    """Make a login link. A second one takes the place of the first, so repeating it is safe."""
    return Call(method="POST", path="/login-links", read=reader(LoginLinkView))
