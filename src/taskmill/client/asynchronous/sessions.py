"""The methods for sessions of the dashboard, and for links that log a browser in."""

from collections.abc import Sequence

from taskmill.client import sessions
from taskmill.client.asynchronous.sending import AsyncSender
from taskmill.client.sessions import SessionId
from taskmill.client.views.sessions import LoginLinkView, SessionView


class AsyncSessionCalls(AsyncSender):
    """Sessions of the dashboard."""

    async def sessions(self) -> Sequence[SessionView]:
        """Read who is logged in with this client's API key; with `admin`, with any key."""
        return await self._send(sessions.everything())

    async def end_session(self, session_id: SessionId) -> None:
        """Log somebody out at once."""
        await self._send(sessions.end(session_id))

    async def login_link(self) -> LoginLinkView:
        """Make a link that logs a browser in with this client's API key, once, within a minute."""
        return await self._send(sessions.make_link())
