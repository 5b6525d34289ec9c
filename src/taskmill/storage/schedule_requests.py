"""Stores what SQL has asked for of schedules, until it is done. `taskmill.put_schedule` and others write it."""

from collections.abc import Collection

import asyncpg

from taskmill.domain.schedule_requests import ScheduleRequest
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement

FIRST_ID = 0
"""Before all requests in their order."""


async def page_open(database: Database, *, after: int, limit: int) -> list[ScheduleRequest]:
    """Return what is neither done nor refused, in the order in which it was asked for."""
    rows = await database.fetch("list_open_schedule_requests", after, limit)
    return list(map(_request, rows))


async def find(database: Database, names: Collection[str]) -> dict[str, ScheduleRequest]:
    """Return what is asked for of some schedules, by their names."""
    rows = await database.fetch("find_schedule_requests", list(names))
    return {row["name"]: _request(row) for row in rows}


async def page_new(
    database: Database, *, after: int, limit: int, queues: Collection[str] | None
) -> list[ScheduleRequest]:
    """Return schedules that are asked for and are not there, only of some queues or (None) of all."""
    wanted = None if queues is None else sorted(queues)
    rows = await database.fetch("list_new_schedule_requests", after, limit, wanted)
    return list(map(_request, rows))


async def refused(
    database: Database, *, limit: int, queues: Collection[str] | None
) -> list[ScheduleRequest]:
    """Return what was refused, the oldest first, only of some queues or (None) of all."""
    wanted = None if queues is None else sorted(queues)
    rows = await database.fetch("list_refused_schedule_requests", limit, wanted)
    return list(map(_request, rows))


async def queues(database: Database) -> list[str]:
    """Return the queues of all schedules that are asked for."""
    return [row["queue"] for row in await database.fetch("list_requested_queues")]


async def take(
    connection: Connection, request: ScheduleRequest, *, only_pause: bool = False
) -> bool:
    """Take a request to do it in the same transaction; False when it was done, or replaced, or is being replaced.

    With `only_pause` what was refused of it stays.
    """
    arguments = (request.name, request.id, only_pause)
    return bool(await connection.fetch(statement("take_schedule_request"), *arguments))


async def lock(connection: Connection, name: str) -> ScheduleRequest | None:
    """Lock what is asked for of a schedule, None for nothing; what an open transaction asks for comes later."""
    row = await connection.fetchrow(statement("lock_schedule_request"), name)
    return None if row is None else _request(row)


async def supersede(
    connection: Connection, name: str, *, put: bool = False, pause: bool = False
) -> bool:
    """Drop what is asked for, as it was changed since; return whether all of that is gone."""
    return bool(await connection.fetch(statement("supersede_schedule_request"), name, put, pause))


async def refuse(database: Database, request: ScheduleRequest, problem: str) -> bool:
    """Record why a request can't be done; False when it was replaced meanwhile."""
    arguments = (request.name, request.id, problem, not request.is_to_put)
    return bool(await database.fetch("refuse_schedule_request", *arguments))


async def prune(database: Database, keep_days: float, limit: int) -> int:
    """Delete up to `limit` refused requests that are older; return how many."""
    return len(await database.fetch("prune_schedule_requests", keep_days, limit))


def _request(row: asyncpg.Record) -> ScheduleRequest:
    return ScheduleRequest(**row)
