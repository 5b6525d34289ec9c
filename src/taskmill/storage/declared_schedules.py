"""Stores which schedules the code of an app declares, and which of those that it manages it declares no longer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What an app declares: the digest of its schedules, and those that were in force before, the latest last."""

    digest: str
    replaced: Sequence[str]


async def get(database: Database, app: str) -> Declaration | None:
    """Return what an app declares, None when it never did."""
    rows = await database.fetch("get_schedule_app", app)
    return _declaration(rows[0]) if rows else None


async def lock(connection: Connection, app: str, digest: str) -> Declaration:
    """Lock what an app declares, before any schedule; it declares this if it never did."""
    await connection.execute(statement("create_schedule_app"), app, digest)
    row = await connection.fetchrow(statement("lock_schedule_app"), app)
    assert row is not None  # noqa: S101 - nobody deletes it
    return _declaration(row)


async def replace(connection: Connection, app: str, declaration: Declaration) -> None:
    """Record that an app declares something else, which is locked."""
    arguments = (app, declaration.digest, list(declaration.replaced))
    await connection.execute(statement("replace_schedule_app"), *arguments)


async def managed(database: Database, app: str) -> dict[str, datetime | None]:
    """Return the schedules that an app manages by name, and since when it does not declare them any more."""
    rows = await database.fetch("list_managed_schedules", app)
    return {row["name"]: row["undeclared_at"] for row in rows}


async def undeclared_at(connection: Connection, schedule_id: int) -> datetime | None:
    """Return since when a locked schedule is not declared any more, None if it is, or is not managed."""
    rows = await connection.fetch(statement("find_undeclared_schedules"), [schedule_id])
    found: datetime | None = rows[0]["undeclared_at"] if rows else None
    return found


async def find_undeclared(database: Database, ids: Collection[int]) -> Mapping[int, datetime]:
    """Return since when some schedules are not declared any more."""
    rows = await database.fetch("find_undeclared_schedules", list(ids)) if ids else []
    return {row["id"]: row["undeclared_at"] for row in rows}


async def mark(connection: Connection, schedule_id: int, *, is_undeclared: bool) -> None:
    """Record that a locked schedule is not declared any more, or is again."""
    await connection.execute(statement("mark_undeclared"), schedule_id, is_undeclared)


def _declaration(row: asyncpg.Record) -> Declaration:
    return Declaration(digest=row["digest"], replaced=row["replaced"])
