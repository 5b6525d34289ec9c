"""What the client returns of `taskmill.wire.sessions`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from taskmill.client.view import View


class LoginLinkView(View):
    """Where to open the dashboard, so that nobody has to type an API key."""

    path: str
    """
    below the address of the service. It has a code behind its `#`, which logs a browser in once; no code where
    no API keys are required
    """
    expires_at: datetime | None
    """until when the code can be used, 60 s; null without one"""


class SessionView(View):
    """Somebody who has logged in to the dashboard."""

    id: UUID
    key_id: str
    """of the API key whose rights it has"""
    key_name: str
    created_at: datetime
    used_at: datetime
    """exact to a minute or two"""
    ends_at: datetime
    """12 h after it was used, 7 days after it began at most"""


class SessionList(View):
    """Sessions that have not ended, those that end last first."""

    items: list[SessionView]
