"""Stores sessions of the dashboard, and login links, which are sessions that no browser has begun yet.

Nothing reads the hash of a token or of a code; it is only looked for.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from taskmill.domain.api_keys import ApiKey
from taskmill.domain.sessions import IDLE, LINK_VALID, LONGEST, Session
from taskmill.storage.api_keys import api_key_of
from taskmill.storage.database import Database
from taskmill.storage.statements import statement


class FoundSession(NamedTuple):
    """A session that has not ended, and its API key, which may have ended."""

    id: UUID
    ends_at: datetime
    key: ApiKey


async def begin(database: Database, token_hash: bytes, key_id: str) -> UUID:
    """Store a new session, and return its id."""
    [row] = await database.fetch("begin_session", token_hash, key_id, IDLE)
    session_id: UUID = row["id"]
    return session_id


async def find(database: Database, token_hash: bytes) -> FoundSession | None:
    """Return the session of a token, None when there is none."""
    rows = await database.fetch("get_session", token_hash)
    if not rows:
        return None
    [row] = rows
    return FoundSession(row["session_id"], row["ends_at"], api_key_of(row))


async def make_link(database: Database, code_hash: bytes, key_id: str) -> datetime:
    """Store a login link in place of the key's unused one, and return when it expires."""
    [row] = await database.fetch("make_login_link", code_hash, key_id, LINK_VALID)
    expires_at: datetime = row["ends_at"]
    return expires_at


async def use_link(database: Database, code_hash: bytes, token_hash: bytes) -> FoundSession | None:
    """Begin the session of a login link; None when there is no such link, or it was used."""
    rows = await database.fetch("use_login_link", code_hash, token_hash, IDLE)
    if not rows:
        return None
    [row] = rows
    return FoundSession(row["session_id"], row["ends_at"], api_key_of(row))


async def end(database: Database, ids: Collection[UUID], *, key_id: str | None) -> bool:
    """End sessions, only those of a key if one is given; return whether there were any."""
    async with database.hot_transaction() as connection:
        rows = await connection.fetch(statement("end_sessions"), list(ids), key_id)
        await connection.fetch(statement("notify_sessions"))
    return bool(rows)


async def all_sessions(database: Database, key_id: str | None, limit: int) -> list[Session]:
    """Return the sessions of a key, or of all keys; those that end last first."""
    rows = await database.fetch("list_sessions", key_id, limit, LINK_VALID)
    return [
        Session(
            id=row["id"],
            key_id=row["key_id"],
            key_name=row["name"],
            created_at=row["created_at"],
            used_at=row["used_at"],
            ends_at=row["ends_at"],
        )
        for row in rows
    ]


async def record_use(database: Database, ids: Collection[UUID]) -> None:
    """Record that sessions are in use, for each at most once a minute."""
    await database.fetch("record_session_use", list(ids), IDLE, LONGEST)
