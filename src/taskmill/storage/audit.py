"""The audit log's rows: what was asked for, the outcomes, and pages of both.

A row whose month has no partition yet makes it, so that no action has to wait for maintenance.
"""

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg
import orjson

from taskmill.domain import identity
from taskmill.domain.audit import (
    Actor,
    ActorKind,
    AuditEntry,
    AuditFilter,
    AuditOutcome,
    AuditRequest,
    Origin,
)
from taskmill.domain.parts import PAGE_BYTES, Part
from taskmill.storage import audit_months
from taskmill.storage.database import Database
from taskmill.storage.statements import part, statement

Row = TypeVar("Row")

LAST_ID: Final = UUID(int=2**128 - 1)
"""Above every id, so that a page from here on begins with the newest."""

_MOST_DETAILS: Final = 32_000
_FIRST_ID: Final = UUID(int=0)


async def ask(database: Database, request: AuditRequest) -> UUID:
    """Record what is asked for; return the id of the entry.

    Raises:
        Unavailable: the database is away; it may be recorded nevertheless.
    """
    actor, target = request.origin.actor, request.target
    values = (
        request.action,
        actor.kind,
        actor.name,
        actor.key_id,
        actor.session,
        actor.address,
        request.origin.request_id,
        None if target is None else target.type,
        None if target is None else target.id,
        _encoded(request.details),
    )
    entry_id: UUID = await _with_month(
        database, lambda: database.fetch_value("ask_audit_entry", *values)
    )
    return entry_id


async def end(
    database: Database,
    entry_id: UUID,
    outcome: AuditOutcome,
    reason: str | None,
    details: Mapping[str, object],
) -> None:
    """Record how an entry's action ended. Raises `Unavailable`."""
    values = (entry_id, outcome, reason, _encoded(details))
    await _with_month(database, lambda: database.fetch("end_audit_entry", *values))


async def page(
    database: Database, wanted: AuditFilter, *, before: UUID, limit: int
) -> Part[AuditEntry]:
    """Return up to `limit` entries with ids before `before`, newest first. Raises `Unavailable`."""
    end_id = before if wanted.until is None else min(before, identity.lower_bound(wanted.until))
    actor = wanted.actor
    by_address = actor is not None and _is_address(actor)
    arguments = (
        end_id,
        _FIRST_ID if wanted.since is None else identity.lower_bound(wanted.since),
        wanted.action,
        None if by_address else actor,
        actor if by_address else None,
        wanted.target,
        limit + 1,
        PAGE_BYTES,
    )
    async with database.listing() as connection:
        found = await connection.exec_driver_sql(statement("list_audit_entries"), arguments)
        return part(found.mappings().all(), limit, _entry)  # type: ignore[arg-type]  # read by names only


async def _with_month(database: Database, insert: Callable[[], Awaitable[Row]]) -> Row:
    """Insert a row; make its month before, if maintenance has not done so."""
    try:
        return await insert()
    except asyncpg.CheckViolationError:
        await audit_months.ensure(database, await database.fetch_value("clock_now"))
        return await insert()


def _is_address(actor: str) -> bool:
    try:
        ip_address(actor.partition("/")[0])  # a network of refused clients has its length
    except ValueError:
        return False
    return True


def _encoded(details: Mapping[str, object]) -> str:
    encoded = orjson.dumps(details, default=_plain)
    return encoded.decode() if len(encoded) <= _MOST_DETAILS else '{"left_out":true}'


def _plain(value: object) -> object:
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, UUID):  # one of a class of asyncpg's
        return str(value)
    raise TypeError


def _entry(row: Mapping[str, Any]) -> AuditEntry:
    return AuditEntry(
        id=row["id"],
        action=row["action"],
        origin=Origin(
            actor=Actor(
                kind=ActorKind(row["actor_kind"]),
                name=row["actor_name"],
                key_id=row["key_id"],
                session=row["session"],
                address=row["address"],
            ),
            request_id=row["request_id"],
        ),
        target_type=row["target_type"],
        target_id=row["target_id"],
        outcome=AuditOutcome(row["outcome"] or AuditOutcome.UNKNOWN),
        reason=row["reason"],
        ended_at=row["ended_at"],
        asked=row["asked"],
        done=row["done"],
    )
