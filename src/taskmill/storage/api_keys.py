"""Stores API keys. Only `find` reads the hash of a secret, to verify a key."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

import asyncpg

from taskmill.domain.api_key_errors import ApiKeyLimitReached, ApiKeyNotFound
from taskmill.domain.api_keys import MOST_LIVE, ApiKey, ApiKeyDraft
from taskmill.domain.errors import InvalidInput
from taskmill.domain.grants import Grant
from taskmill.domain.quotas import QuotaLimit
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement


class NewSecret(NamedTuple):
    """The id of a new key, and the hash of its secret."""

    id: str
    hash: bytes


class StoredKey(NamedTuple):
    """A key, and the hash of its secret."""

    key: ApiKey
    hash: bytes

    def __repr__(self) -> str:
        return f"StoredKey(key={self.key!r})"


async def create(database: Database, draft: ApiKeyDraft, new: NewSecret) -> ApiKey:
    """Store the first live key of a name. Raises `ApiKeyLimitReached` when it has one."""
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_api_keys"))
        if live := await _live_ids(connection, draft.name):
            raise ApiKeyLimitReached(draft.name, live, "rotate it, or revoke what is there")
        row = await connection.fetchrow(
            statement("create_api_key"),
            new.id,
            draft.name,
            draft.description,
            [str(grant) for grant in draft.grants],
            draft.networks,
            draft.lifetime,
            new.hash,
            [str(limit) for limit in draft.quotas],
        )
    assert row is not None  # noqa: S101 - the statement returns what it inserts
    return api_key_of(row)


async def rotate(database: Database, name: str, new: NewSecret, *, overlap: timedelta) -> ApiKey:
    """Store a second live key like the only one of a name, which expires after `overlap`.

    Raises:
        ApiKeyNotFound: The name has no live key.
        ApiKeyLimitReached: It has two.
    """
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_api_keys"))
        live = await _live_ids(connection, name)
        if not live:
            raise ApiKeyNotFound(name, state="live")
        if len(live) >= MOST_LIVE:
            raise ApiKeyLimitReached(name, live, "revoke one of them, or wait until it expires")
        row = await connection.fetchrow(
            statement("rotate_api_key"), live[0], new.id, new.hash, overlap
        )
        await connection.fetch(statement("notify_api_keys"))
    assert row is not None  # noqa: S101 - as above
    return api_key_of(row)


async def revoke(database: Database, wanted: str) -> list[ApiKey]:
    """Revoke the key with an id, or all keys of a name; return those that were not revoked before.

    Raises:
        ApiKeyNotFound: There is none, not even a revoked one.
    """
    async with database.hot_transaction() as connection:
        rows = await connection.fetch(statement("revoke_api_keys"), wanted)
        await connection.fetch(statement("notify_api_keys"))
    if not rows and not await all_keys(database, wanted):
        raise ApiKeyNotFound(wanted)
    return [api_key_of(row) for row in rows]


async def all_keys(database: Database, wanted: str | None = None) -> list[ApiKey]:
    """Return keys by name, oldest first; only those with an id or a name if one is given."""
    return [api_key_of(row) for row in await database.fetch("list_api_keys", wanted)]


async def find(database: Database, key_id: str) -> StoredKey | None:
    """Return the key with an id, None when there is none."""
    rows = await database.fetch("get_api_key", key_id)
    return StoredKey(api_key_of(rows[0]), rows[0]["secret_hash"]) if rows else None


async def record_use(database: Database, ids: Collection[str]) -> None:
    """Record that keys are in use, for each at most once a minute."""
    await database.fetch("record_api_key_use", list(ids))


async def _live_ids(connection: Connection, name: str) -> tuple[str, ...]:
    rows = await connection.fetch(statement("find_live_api_keys"), name)
    return tuple(row["id"] for row in rows)


def api_key_of(row: asyncpg.Record) -> ApiKey:
    """Return the key of a row that has all columns but the hash."""
    return ApiKey(
        id=row["id"],
        draft=ApiKeyDraft(
            name=row["name"],
            description=row["description"],
            grants=tuple(known_grants(row["grants"])),
            networks=tuple(row["networks"]),
            lifetime=row["lifetime"],
            quotas=tuple(known_limits(row["quotas"])),
        ),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )


def known_grants(grants: Sequence[str]) -> Iterator[Grant]:
    """Read grants; one that only a later release knows gives no right here."""
    for text in grants:
        try:
            yield Grant.parse(text)
        except InvalidInput:
            continue


def known_limits(quotas: Sequence[str]) -> Iterator[QuotaLimit]:
    """Read quotas; one that only a later release knows is not checked here."""
    for text in quotas:
        try:
            yield QuotaLimit.parse(text)
        except InvalidInput:
            continue
