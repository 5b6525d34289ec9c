"""Verifies the API keys of requests, and caches those that are valid; what a key may do is not decided here.

A key that was revoked is forgotten when PostgreSQL notifies this process, at the latest after `FRESH_S`. Keys that
are not valid are never cached: each is looked up, and takes the same time, whatever is wrong with it.
"""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from typing import Final, NamedTuple

from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.api_keys import ApiKey, KeyState, PresentedKey, parse_key, secret_hash
from taskmill.runtime.clock import Clock
from taskmill.storage import api_keys as rows
from taskmill.storage.database import Database

FRESH_S: Final = 30.0
"""How long a verified key is valid without looking again, unless a notification comes."""

_MOST_CACHED: Final = 1000
_SCHEME: Final = b"bearer "
_NO_HASH: Final = bytes(32)


class _Verified(NamedTuple):
    key: ApiKey
    stale_at: float


class KeyVerifier:
    """Verifies the `Authorization` of requests; `on_use` is called when there is use of a key to record.

    The cache has hashes of what was sent, no secrets.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.on_use: Callable[[], None] = lambda: None
        self._database = database
        self._clock = clock
        self._verified: dict[bytes, _Verified] = {}
        self._loading: dict[bytes, asyncio.Lock] = {}
        self._used: set[str] = set()
        # Grows with each notification: what was read before is not cached after it.
        self._revision = 0

    def known(self, authorization: bytes, host: str) -> ApiKey | None:
        """Return the key of a request from an address, if it is cached and still valid; it never waits."""
        found = self._verified.get(sha256(authorization).digest())
        if found is None or self._clock.monotonic() >= found.stale_at:
            return None
        return self.accepted(found.key, host)

    def is_stale(self, authorization: bytes) -> bool:
        """Return whether what was sent was a valid key when it was looked up, which was too long ago."""
        found = self._verified.get(sha256(authorization).digest())
        return found is not None and self._clock.monotonic() >= found.stale_at

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
        digest = sha256(authorization).digest()
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

    def forget(self) -> None:
        """Look up every key again: some were changed."""
        self._revision += 1
        self._verified.clear()

    async def record_use(self) -> None:
        """Store which keys were used since the last call."""
        used, self._used = self._used, set()
        if not used:
            return
        try:
            await rows.record_use(self._database, used)
        except BaseException:
            self._used |= used
            raise

    async def _load(self, digest: bytes, presented: PresentedKey, host: str) -> ApiKey | None:
        revision = self._revision
        read_at = self._clock.monotonic()
        stored = await rows.find(self._database, presented.id)
        expected = _NO_HASH if stored is None else stored.hash
        is_right = compare_digest(secret_hash(presented.secret), expected)
        self._verified.pop(digest, None)
        if stored is None or not is_right:
            return None
        if stored.key.state(self._clock.now()) is KeyState.LIVE and revision == self._revision:
            if len(self._verified) >= _MOST_CACHED:
                del self._verified[next(iter(self._verified))]
            self._verified[digest] = _Verified(stored.key, read_at + FRESH_S)
        return self.accepted(stored.key, host)

    def accepted(self, key: ApiKey, host: str) -> ApiKey | None:
        """Return the key if it is live and may come from there, and note that it is used."""
        if key.revoked_at is not None or (key.draft.networks and not key.allows_source(host)):
            return None
        if key.expires_at is not None and key.expires_at <= self._clock.now():
            return None
        if key.id not in self._used:
            self._used.add(key.id)
            self.on_use()
        return key


def _presented(authorization: bytes) -> PresentedKey | None:
    if authorization[: len(_SCHEME)].lower() != _SCHEME:
        return None
    return parse_key(authorization[len(_SCHEME) :].strip(b" ").decode("latin-1"))
