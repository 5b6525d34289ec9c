"""Sessions of the dashboard: a key is shown once, and a token stands for it until the session ends.

A program that has a key can make a login link, whose code begins one session instead of the key.

A session has the rights that its key has at each request, and none when that has ended. Those that are verified
are cached as keys are: one that was ended is forgotten when PostgreSQL notifies this process, at the latest after
`FRESH_S`. What a page needs is not decided here.
"""

import secrets
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from taskmill.domain.api_key_errors import NotAuthenticated, ScopeMissing
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.domain.grants import Scope
from taskmill.domain.sessions import (
    TOKEN_BYTES,
    LoginLink,
    Session,
    code_hash,
    is_token,
    token_hash,
)
from taskmill.observability.logs import get_logger
from taskmill.operations.audit import AuditLog
from taskmill.operations.key_verification import KeyVerifier
from taskmill.operations.verified_cache import VerifiedCache
from taskmill.runtime.clock import Clock
from taskmill.storage import sessions as rows
from taskmill.storage.database import Database

log = get_logger(__name__)

_MOST_LISTED: Final = 200


class VerifiedSession(NamedTuple):
    """A session that has not ended, and the key whose rights it has."""

    id: UUID
    key: ApiKey


class Sessions(VerifiedCache[UUID, rows.FoundSession]):
    """Begins, verifies and ends sessions. The cache has hashes of tokens only."""

    def __init__(self, database: Database, keys: KeyVerifier, clock: Clock) -> None:
        super().__init__(clock, partial(rows.record_use, database))
        self.keys = keys
        self._database = database
        self._audit = AuditLog(database)

    async def find_key(self, text: str, host: str) -> ApiKey:
        """Return the key with a text that came from an address.

        Raises:
            NotAuthenticated: There is none that is valid here.
            Unavailable: The database is away.
        """
        return await self.keys.verify(b"Bearer " + text.encode("latin-1", "replace"), host)

    async def begin(self, key: ApiKey) -> str:
        """Begin a session of a key, and return its token, which can't be had again.

        Raises:
            ScopeMissing: The key may read nothing.
            Unavailable: The database is away.
        """
        _require_reading(key)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        session_id = await rows.begin(self._database, token_hash(token), key.id)
        log.info("session.began", session_id=str(session_id), api_key=key.id)
        return token

    async def make_link(self, key: ApiKey) -> LoginLink:
        """Make a login link of a key in place of its unused one. Its code can't be had again.

        Raises:
            ScopeMissing: The key may read nothing.
            Unavailable: The database is away.
        """
        _require_reading(key)
        code = secrets.token_urlsafe(TOKEN_BYTES)
        expires_at = await rows.make_link(self._database, code_hash(code), key.id)
        log.info("login_link.made", api_key=key.id)
        return LoginLink(code=code, expires_at=expires_at)

    async def use_link(self, code: str, host: str) -> str:
        """Begin the session of a login link for an address, and return its token. The link has ended then.

        Raises:
            NotAuthenticated: There is no such link any more, or its key has ended, or is not valid there.
            Unavailable: The database is away.
        """
        if not is_token(code):
            raise NotAuthenticated
        token = secrets.token_urlsafe(TOKEN_BYTES)
        found = await rows.use_link(self._database, code_hash(code), token_hash(token))
        if found is None:
            raise NotAuthenticated
        if self.keys.accepted(found.key, host) is None:
            await rows.end(self._database, [found.id], key_id=None)
            raise NotAuthenticated
        log.info("session.began", session_id=str(found.id), api_key=found.key.id)
        return token

    async def verify(self, token: str, host: str) -> VerifiedSession:
        """Return the session of a token that came from an address.

        Raises:
            NotAuthenticated: There is none, it has ended, or its key has, or is not valid there.
            Unavailable: The database is away, and the session is not cached.
        """
        if not is_token(token):
            raise NotAuthenticated
        digest = token_hash(token)
        found = self._fresh(digest) or await self._load(digest)
        if found is None or found.ends_at <= self._clock.now():
            raise NotAuthenticated
        key = self.keys.accepted(found.key, host)
        if key is None:
            raise NotAuthenticated
        self._note_use(found.id)
        return VerifiedSession(found.id, key)

    async def end(self, session_id: UUID, *, key: ApiKey | None) -> bool:
        """End a session, only one of a key if it is given; return whether there was one."""
        key_id, target = (
            None if key is None else key.id,
            Target(TargetType.SESSION, str(session_id)),
        )
        async with self._audit.record(AuditAction.SESSION_END, target) as outcome:
            is_ended = await rows.end(self._database, [session_id], key_id=key_id)
            outcome.update(ended=is_ended)
        self.forget()
        if is_ended:
            log.info("session.ended", session_id=str(session_id))
        return is_ended

    async def visible(self, key: ApiKey) -> Sequence[Session]:
        """Return the sessions that a key may see: all for `admin`, else its own."""
        key_id = None if key.permits(Scope.ADMIN) else key.id
        return await rows.all_sessions(self._database, key_id, _MOST_LISTED)

    async def _load(self, digest: bytes) -> rows.FoundSession | None:
        reading = self._begin_reading()
        found = await rows.find(self._database, digest)
        if found is not None:
            self._remember(digest, found, reading)
        return found


def _require_reading(key: ApiKey) -> None:
    if not key.has(Scope.TASKS_READ):
        raise ScopeMissing(Scope.TASKS_READ)
