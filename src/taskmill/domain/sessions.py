"""Sessions of the dashboard: how their tokens look, how long they last. And login links: each begins a session.

A token has 256 random bits, and so has the code of a link; the SHA-256 is stored, as that of a key's secret is. It
makes no randomness, reads no clock, and stores nothing.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

TOKEN_BYTES: Final = 32
IDLE: Final = timedelta(hours=12)
"""How long a session may be unused."""
LONGEST: Final = timedelta(days=7)
"""How long a session lasts at most."""
LINK_PATH: Final = "/ui/login/link"
"""The page of a login link, below the address of the service; `#` and the code follow."""
LINK_VALID: Final = timedelta(seconds=60)
"""How long a login link may be used."""

_TOKEN: Final = re.compile(r"[0-9A-Za-z_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session without its token. `used_at` is exact to a minute or two."""

    id: UUID
    key_id: str
    key_name: str
    created_at: datetime
    used_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginLink:
    """A login link that was just made: only now its code is there to be handed over."""

    code: str
    expires_at: datetime


def is_token(text: str) -> bool:
    """Return whether a text has the form of a token, which is that of a code, too."""
    return _TOKEN.fullmatch(text) is not None


def token_hash(token: str) -> bytes:
    """Return what is stored of a token."""
    return sha256(token.encode()).digest()


def code_hash(code: str) -> bytes:
    """Return what is stored of the code of a login link. It is no token's: a code in a cookie is worth nothing."""
    return sha256(b"login-link:" + code.encode()).digest()
