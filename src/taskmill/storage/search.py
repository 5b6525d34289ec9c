"""Finds the few tasks that match by indexes without an order: of labels, of names, or of a type in a queue.

It knows no pages: `listing` asks it when a scan in order would take long. Such an index returns all that matches,
which is then sorted; so with more than `MOST` tasks it gives up, and the scan is quicker.
"""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from taskmill.storage import faults
from taskmill.storage.name_index import NAME_INDEX
from taskmill.storage.schema import current_task

Matching: TypeAlias = sa.Select[UUID] | sa.CompoundSelect[UUID]

MOST: Final = 10_000
"""The most tasks that are looked up."""
_TIMEOUT_MS: Final = 500
# PostgreSQL intersects what the index has for each trigram, which takes time, and those of one word are alike. So
# a word is cut into parts of three letters, and what is left over comes to the first: a search of a million names
# for "customer c000018" takes 15 ms by `%custo%mer%c000%018%`, and 47 by the whole text (2026-11-29).
_PARTS: Final = re.compile("[a-z0-9]{3,5}(?=(?:[a-z0-9]{3})*(?![a-z0-9]))")
# What is left are indexes without an order. By its estimates PostgreSQL may prefer a scan, which takes seconds.
_BITMAPS_ONLY: Final = sa.text(
    "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true), "
    "set_config('enable_indexonlyscan', 'off', true), set_config('statement_timeout', :timeout_ms, true)"
)
_NAME_KEY: Final = sa.text(
    "SELECT taskmill.name_key(CAST(:needle AS text)) "
    f"WHERE to_regclass('taskmill.{NAME_INDEX}') IS NOT NULL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The first ids of a page in order, and how many match in all."""

    ids: list[UUID]
    total: int


async def name_condition(connection: AsyncConnection, needle: str) -> sa.ColumnElement[bool] | None:
    """Return a condition with an index that tasks with `needle` in their names meet, and few others.

    None if the index is not there, or knows no three letters of the needle in a row.
    """
    key: str | None = await connection.scalar(_NAME_KEY, {"needle": needle})
    pattern = None if key is None else key_pattern(key)
    return None if pattern is None else sa.func.taskmill.name_key(current_task.c.name).like(pattern)


def key_pattern(key: str) -> str | None:
    """Return the pattern for LIKE that all keys with this part match; None if it has no three letters in a row."""
    parts = _PARTS.findall(key)
    return f"%{'%'.join(parts)}%" if parts else None


async def look_up(
    connection: AsyncConnection,
    matching: Matching,
    *,
    after: UUID,
    oldest_first: bool,
    limit: int,
    timeout_s: float | None = None,
) -> Matches | None:
    """Return the first ids of these beyond `after`; None if they are too many, or it takes too long.

    It ends the transaction of the connection.
    """
    found = matching.limit(MOST + 1).cte("found")
    [task_id] = found.c
    ids = sa.select(task_id).limit(limit)
    if oldest_first:
        ids = ids.where(task_id > after).order_by(task_id)
    else:
        ids = ids.where(task_id < after).order_by(task_id.desc())
    total = sa.select(sa.func.count()).select_from(found).scalar_subquery()
    query = sa.select(total, sa.func.array(ids.scalar_subquery()))
    timeout_ms = _TIMEOUT_MS if timeout_s is None else max(round(timeout_s * 1000), 1)
    row = None
    try:
        await connection.execute(_BITMAPS_ONLY, {"timeout_ms": str(timeout_ms)})
        row = (await connection.execute(query)).one()
    except DBAPIError as error:
        if faults.sqlstate(error) != faults.QUERY_CANCELED:
            raise
    await connection.rollback()
    return None if row is None or row[0] > MOST else Matches(total=row[0], ids=row[1])
