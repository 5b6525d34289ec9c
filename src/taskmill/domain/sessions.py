"""Sessions of the dashboard: how their tokens look, and how long they last.

A token has 256 random bits; its SHA-256 is stored, as that of a key's secret is. It makes no randomness, reads no
clock, and stores nothing.
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


def is_token(text: str) -> bool:
    """Return whether a text has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


def token_hash(token: str) -> bytes:
    """Return what is stored of a token."""
    return sha256(token.encode()).digest()
