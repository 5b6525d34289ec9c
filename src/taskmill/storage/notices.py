"""Stores notices: since when each has been there, and who acknowledged or silenced it. It decides nothing."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from taskmill.domain.attention import MarkState, Notice, NoticeMark, NoticeRecord
from taskmill.storage.database import Database

ENDED_AFTER: Final = timedelta(minutes=5)
"""A notice that was not recorded for so long has ended. Records are a minute apart."""
_RETAINED: Final = timedelta(days=1)


class Records(NamedTuple):
    """What is stored of some notices by their ids, and since when none has counted, if that is known."""

    notices: dict[UUID, NoticeRecord]
    well_since: datetime | None


async def record(database: Database, notices: Collection[Notice]) -> None:
    """Record that these notices are there now, and no others."""
    await database.fetch(
        "record_notices",
        [one.id for one in notices],
        [one.kind for one in notices],
        [one.subject for one in notices],
        [one.queue for one in notices],
        any(one.mark is None for one in notices),
        ENDED_AFTER.total_seconds(),
        _RETAINED.total_seconds(),
    )


async def records(database: Database, ids: Collection[UUID]) -> Records:
    """Return what is stored of some notices."""
    rows = await database.fetch("list_notice_records", list(ids), ENDED_AFTER.total_seconds())
    return Records(
        notices={row["id"]: _record(row) for row in rows if row["id"] is not None},
        well_since=next(row["well_since"] for row in rows if row["id"] is None),
    )


def _record(row: asyncpg.Record) -> NoticeRecord:
    state = row["mark"]
    if state is None:
        return NoticeRecord(first_at=row["first_at"])
    mark = NoticeMark(
        state=MarkState(state),
        by=row["marked_by"],
        at=row["marked_at"],
        until=row["marked_until"],
        note=row["note"],
    )
    return NoticeRecord(first_at=row["first_at"], mark=mark)


async def mark(
    database: Database,
    notice: Notice,
    state: MarkState | None,
    *,
    by: str,
    lasts: timedelta | None,
    note: str | None,
) -> None:
    """Acknowledge or silence a notice, for as long as it `lasts` if that is given; None removes its mark."""
    await database.fetch(
        "mark_notice",
        notice.id,
        notice.kind,
        notice.subject,
        notice.queue,
        state,
        by,
        None if lasts is None else lasts.total_seconds(),
        note,
    )
