"""Verifies the API keys of requests, and caches those that are valid; what a key may do is not decided here.

A key that was revoked is forgotten when PostgreSQL notifies this process, at the latest after `FRESH_S`. Keys that
are not valid are never cached: each is looked up, and takes the same time, whatever is wrong with it.
"""

import asyncio
from functools import partial
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.api_keys import ApiKey, KeyState, PresentedKey, parse_key, secret_hash
from taskmill.operations.verified_cache import VerifiedCache
from taskmill.runtime.clock import Clock
from taskmill.storage import api_keys as rows
from taskmill.storage.database import Database

_SCHEME: Final = b"bearer "
_NO_HASH: Final = bytes(32)


class KeyVerifier(VerifiedCache[str, ApiKey]):
    """Verifies the `Authorization` of requests. The cache has hashes of what was sent, no secrets."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(clock, partial(rows.record_use, database))
        self._database = database
        self._loading: dict[bytes, asyncio.Lock] = {}

    def known(self, authorization: bytes, host: str) -> ApiKey | None:
        """Return the key of a request from an address, if it is cached and still valid; it never waits."""
        return self.known_by(authorization_digest(authorization), host)

    def known_by(self, digest: bytes, host: str) -> ApiKey | None:
        """Return the same for a caller that has the `authorization_digest` already."""
        key = self._fresh(digest)
        return None if key is None else self.accepted(key, host)

    def is_stale(self, authorization: bytes) -> bool:
        """Return whether what was sent was a valid key when it was looked up, which was too long ago."""
        return self._is_stale(authorization_digest(authorization))

    async def verify(self, authorization: bytes, host: str) -> ApiKey:
        """Return the key of a request from an address.

        Raises:
            NotAuthenticated: It has none that is valid: unknown, wrong, expired, revoked, or from elsewhere.
            Unavailable: The database is away, and the key is not cached.
        """
        if (key := self.known(authorization, host)) is not None:
            return key
        presented = _presented(authorization)
        if presented is None:
            raise NotAuthenticated
        digest = authorization_digest(authorization)
        # Of many requests with one key that is not cached, one looks it up.
        lock = self._loading.setdefault(digest, asyncio.Lock())
        try:
            async with lock:
                key = self.known(authorization, host) or await self._load(digest, presented, host)
        finally:
            if not lock.locked():
                self._loading.pop(digest, None)
        if key is None:
            raise NotAuthenticated
        return key

    async def _load(self, digest: bytes, presented: PresentedKey, host: str) -> ApiKey | None:
        reading = self._begin_reading()
        stored = await rows.find(self._database, presented.id)
        expected = _NO_HASH if stored is None else stored.hash
        is_right = compare_digest(secret_hash(presented.secret), expected)
        self._drop(digest)
        if stored is None or not is_right:
            return None
        if stored.key.state(self._clock.now()) is KeyState.LIVE:
            self._remember(digest, stored.key, reading)
        return self.accepted(stored.key, host)

    def accepted(self, key: ApiKey, host: str) -> ApiKey | None:
        """Return the key if it is live and may come from there, and note that it is used."""
        if key.revoked_at is not None or (key.draft.networks and not key.allows_source(host)):
            return None
        if key.expires_at is not None and key.expires_at <= self._clock.now():
            return None
        self._note_use(key.id)
        return key


def authorization_digest(authorization: bytes) -> bytes:
    """Return the hash of what was sent: one for each key, however its scheme and spaces are written."""
    if authorization[: len(_SCHEME)].lower() == _SCHEME:
        authorization = authorization[len(_SCHEME) :].strip(b" ")
    return sha256(authorization).digest()


def _presented(authorization: bytes) -> PresentedKey | None:
    if authorization[: len(_SCHEME)].lower() != _SCHEME:
        return None
    return parse_key(authorization[len(_SCHEME) :].strip(b" ").decode("latin-1"))
