"""API keys: making, listing, rotating, revoking. A whole key exists only in what `create` and `rotate` return."""

import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta

from taskmill.domain.api_keys import (
    BASE62,
    ID_CHARS,
    SECRET_BYTES,
    ApiKey,
    ApiKeyDraft,
    format_key,
    parse_key,
    secret_hash,
)
from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.operations.audit import AuditLog, Details
from taskmill.storage import api_keys as rows
from taskmill.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApiKey:
    """A key that was just made, and its whole text, which can't be had again."""

    key: ApiKey
    text: str = field(repr=False)


async def all_keys(database: Database) -> Sequence[ApiKey]:
    """Return all keys by name, the oldest of each first, also those that have ended. Raises `Unavailable`."""
    return await rows.all_keys(database)


async def create(database: Database, draft: ApiKeyDraft, *, environment: str) -> NewApiKey:
    """Make the first live key of a name.

    Raises:
        ApiKeyLimitReached: The name has a live key.
        Unavailable: The database is away.
    """
    text, new = _new(environment)
    scopes = sorted({grant.scope for grant in draft.grants})
    async with _recorded(database, AuditAction.KEY_CREATE, draft.name, scopes=scopes) as outcome:
        key = await rows.create(database, draft, new)
        outcome["key_id"] = key.id
    return NewApiKey(key=key, text=text)


async def rotate(
    database: Database, name: str, *, environment: str, overlap: timedelta
) -> NewApiKey:
    """Make a second live key of a name, with the same rights; the one before expires after `overlap`.

    Raises:
        ApiKeyNotFound: The name has no live key.
        ApiKeyLimitReached: It has two.
        Unavailable: The database is away.
    """
    text, new = _new(environment)
    seconds = overlap.total_seconds()
    async with _recorded(database, AuditAction.KEY_ROTATE, name, overlap_s=seconds) as outcome:
        key = await rows.rotate(database, name, new, overlap=overlap)
        outcome["key_id"] = key.id
    return NewApiKey(key=key, text=text)


async def revoke(database: Database, wanted: str) -> list[ApiKey]:
    """Revoke the key with an id, or all keys of a name; return those that were not revoked before.

    Raises:
        ApiKeyNotFound: There is none, not even a revoked one.
        Unavailable: The database is away.
    """
    async with _recorded(database, AuditAction.KEY_REVOKE, wanted) as outcome:
        revoked = await rows.revoke(database, wanted)
        outcome["key_ids"] = [one.id for one in revoked]
    return revoked


def _recorded(
    database: Database, action: AuditAction, name: str, **details: object
) -> AbstractAsyncContextManager[Details]:
    return AuditLog(database).record(action, Target(TargetType.KEY, name), details=details)


def _new(environment: str) -> tuple[str, rows.NewSecret]:
    key_id = "".join(secrets.choice(BASE62) for _ in range(ID_CHARS))
    text = format_key(environment, key_id, secrets.token_bytes(SECRET_BYTES))
    parsed = parse_key(text)
    assert parsed is not None  # noqa: S101 - it was just made
    return text, rows.NewSecret(key_id, secret_hash(parsed.secret))
