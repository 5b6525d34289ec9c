"""The shapes of sessions of the dashboard, and of login links."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from pydantic import BaseModel, Field

from taskmill.domain.sessions import IDLE, LINK_PATH, LINK_VALID, LONGEST, LoginLink, Session
from taskmill.wire.encoding import encode_json, fields_of
from taskmill.wire.fields import Timestamp

DASHBOARD_PATH: Final = "/"


class SessionView(BaseModel):
    """Somebody who has logged in to the dashboard."""

    id: UUID
    key_id: str = Field(description="of the API key whose rights it has")
    key_name: str
    created_at: Timestamp
    used_at: Timestamp = Field(description="exact to a minute or two")
    ends_at: Timestamp = Field(
        description=f"{IDLE.total_seconds() / 3600:.0f} h after it was used, {LONGEST.days} days after it began "
        "at most"
    )


class SessionList(BaseModel):
    """Sessions that have not ended, those that end last first."""

    items: list[SessionView]


class LoginLinkView(BaseModel):
    """Where to open the dashboard, so that nobody has to type an API key."""

    path: str = Field(
        description="below the address of the service. It has a code behind its `#`, which logs a browser in "
        "once; no code where no API keys are required"
    )
    expires_at: Timestamp | None = Field(
        description=f"until when the code can be used, {LINK_VALID.total_seconds():.0f} s; null without one"
    )


def sessions_json(sessions: Iterable[Session]) -> bytes:
    """Return sessions as a `SessionList` in JSON."""
    return encode_json({"items": [fields_of(SessionView, one) for one in sessions]})


def login_link_json(link: LoginLink | None) -> bytes:
    """Return a login link as a `LoginLinkView` in JSON; None where none is needed."""
    if link is None:
        return encode_json({"path": DASHBOARD_PATH, "expires_at": None})
    return encode_json(fields_of(LoginLinkView, link, path=f"{LINK_PATH}#{link.code}"))
