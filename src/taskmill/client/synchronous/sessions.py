"""The methods for sessions of the dashboard, and for links that log a browser in."""

from collections.abc import Sequence

from taskmill.client import sessions
from taskmill.client.sessions import SessionId
from taskmill.client.synchronous.sending import Sender
from taskmill.client.views.sessions import LoginLinkView, SessionView


class SessionCalls(Sender):
    """Sessions of the dashboard."""

    def sessions(self) -> Sequence[SessionView]:
        """Read who is logged in with this client's API key; with `admin`, with any key."""
        return self._send(sessions.everything())

    def end_session(self, session_id: SessionId) -> None:
        """Log somebody out at once."""
        self._send(sessions.end(session_id))

    def login_link(self) -> LoginLinkView:
        """Make a link that logs a browser in with this client's API key, once, within a minute."""
        return self._send(sessions.make_link())
