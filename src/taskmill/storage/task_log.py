"""Stores the lines that handlers log, many at a time, and reads them."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from taskmill.domain.parts import PAGE_BYTES, Part
from taskmill.domain.task import Fence
from taskmill.domain.task_log import LineFilter, LineLevel, LinePosition, LogLine
from taskmill.storage.database import Database
from taskmill.storage.statements import columns, part

LAST_CLAIM = 2**31 - 1


class NewLine(NamedTuple):
    """A line as `store_log_lines` takes it; `level` is a number, `fields` JSON text."""

    task_id: UUID
    claim_no: int
    seq: int
    at: datetime
    level: int
    logger: str | None
    message: str
    fields: str | None


async def store(database: Database, lines: Sequence[NewLine]) -> int:
    """Store the lines in one statement; return how many of them passed the fence.

    The others were written when another claim was the task's latest. Storing the same lines again after a lost
    result changes nothing.
    """
    fenced: int = await database.fetch_value("store_log_lines", *columns(lines))
    return fenced


class NewSentLine(NamedTuple):
    """A line as `add_log_lines` takes it; `level` is a number, `fields` JSON text."""

    seq: int
    level: int
    message: str
    fields: str | None


async def add(
    database: Database,
    fence: Fence,
    lines: Sequence[NewSentLine],
    *,
    most_lines: int,
    most_bytes: int,
) -> int | None:
    """Store lines of a claim; return how many exceeded its limits, None when its fence does not hold.

    Storing the same lines again after a lost result changes nothing.
    """
    rows = await database.fetch(
        "add_log_lines",
        *(fence.task_id, fence.lease_id, fence.claim_no),
        *(columns(lines) or ((),) * len(NewSentLine._fields)),
        *(most_lines, most_bytes),
    )
    return rows[0]["left_out"] if rows[0]["held"] else None


async def page(
    database: Database, task_id: UUID, wanted: LineFilter, *, after: LinePosition, limit: int
) -> Part[LogLine]:
    """Return up to `limit` lines after `after`, oldest first; none for an unknown task."""
    first, last = after, LAST_CLAIM
    if wanted.claim_no is not None:
        first, last = max(after, LinePosition(wanted.claim_no)), wanted.claim_no
    rows = await database.fetch(
        "list_log_lines",
        *(task_id, first.claim_no, first.seq, last),
        *(wanted.level.number, limit + 1, PAGE_BYTES, wanted.text),
    )
    return part(rows, limit, _line)


async def latest(
    database: Database, task_id: UUID, wanted: LineFilter, limit: int
) -> list[LogLine]:
    """Return the last lines of a task that are wanted, `limit` at most, oldest first."""
    first, last = (0, LAST_CLAIM) if wanted.claim_no is None else (wanted.claim_no,) * 2
    rows = await database.fetch(
        "list_latest_log_lines", task_id, wanted.level.number, limit, first, last, wanted.text
    )
    return [_line(row) for row in reversed(rows)]


def _line(row: asyncpg.Record) -> LogLine:
    return LogLine(
        claim_no=row["claim_no"],
        seq=row["seq"],
        at=row["at"],
        level=LineLevel.of(row["level"]),
        logger=row["logger"],
        message=row["message"],
        fields=row["fields"],
    )
