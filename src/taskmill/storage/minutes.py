"""The roll-up: event counts by queue, type and minute, and by longer steps that minutes are carried into.

Every change of a task inserts a delta in its own statement. `roll_up` folds deltas into rows of a minute, and rows
of a past step into the next longer one. A row that is part of a longer step is marked as carried, and no longer
changes. A reader adds up the rows of its step, those of shorter steps that are not carried, and the deltas: each
change is counted once, in every snapshot.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import asyncpg

from taskmill.domain.activity import (
    COUNTED,
    Activity,
    ActivityRequest,
    AnyWindow,
    Durations,
    Flow,
    QueueActivity,
    Window,
)
from taskmill.domain.lifecycle import EventType
from taskmill.domain.time_ranges import RETAINED_DAYS
from taskmill.storage.database import Database
from taskmill.storage.statements import statement

_STEPS: Final = tuple(RETAINED_DAYS)
CARRIED: Final = _STEPS[:-1]
"""The steps whose rows are carried into longer ones."""
# Types that have rows of their own within a step. Requests make up types, so there may be very many.
MOST_TYPES_OF_A_QUEUE: Final = 100
MOST_TYPES: Final = 2000
_MOST_TAKEN = 10_000
_MOST_PRUNED: Final = 5000
_MOST_GROUPS: Final = 1000
_DIGITS: Final = 12
_EMPTY: Final = "0" * _DIGITS


async def roll_up(database: Database) -> bool:
    """Fold deltas into minutes and carry past steps into longer ones; True when there may be many more.

    While another process does it, nothing is done.
    """
    async with database.hot_transaction() as connection:
        if not await connection.fetchval(statement("lock_roll_up")):
            return False
        taken = [
            await connection.fetchval(
                statement("roll_up"), step, below, _MOST_TAKEN, MOST_TYPES_OF_A_QUEUE, MOST_TYPES
            )
            for below, step in pairwise((0, *_STEPS))
        ]
    return _MOST_TAKEN in taken


async def prune(database: Database) -> bool:
    """Prune rows past their retention; True when there may be many more."""
    pruned = [
        await database.fetch("prune_minutes", step, days, _MOST_PRUNED, step == _STEPS[-1])
        for step, days in RETAINED_DAYS.items()
    ]
    return any(len(rows) == _MOST_PRUNED for rows in pruned)


async def read(
    database: Database, request: ActivityRequest, visible: Collection[str] | None = None
) -> Activity:
    """Return the counts over a window, of `visible` queues only (None: of all).

    They are current, and no task is read.
    """
    window = request.window
    step_s, length_s, *ends = span_arguments(window)
    rows = await database.fetch(
        "read_minutes",
        step_s,
        length_s,
        request.queue,
        request.type,
        _MOST_GROUPS if request.by_group else 0,
        None if visible is None else sorted(visible),
        *ends,
    )
    since, until = rows[0]["since"], rows[0]["until"]
    points = {row["step_at"]: _flow(row) for row in rows if row["step_at"] is not None}
    return Activity(
        request=request,
        since=since,
        until=until,
        total=next(_flow(row) for row in rows if row["step_at"] is None and row["queue"] is None),
        groups=_groups(row for row in rows if row["queue"] is not None),
        points=[(at, points.get(at, Flow())) for at in _steps(since, until, window.step)],
    )


def span_arguments(window: AnyWindow) -> tuple[int, float, datetime | None, datetime | None]:
    """Return the parameters of statements about a window: its step and how far back in s, or its ends."""
    step_s = int(window.step.total_seconds())
    if isinstance(window, Window):
        return step_s, window.length.total_seconds(), None, None
    return step_s, 0.0, window.since, window.until


async def read_queues(
    database: Database, window: AnyWindow, queues: Collection[str]
) -> QueueActivity:
    """Return the counts of some queues over a window. They are current, and no task is read."""
    step_s, length_s, *ends = span_arguments(window)
    rows = await database.fetch("read_queue_minutes", step_s, length_s, sorted(queues), *ends)
    [span] = [row for row in rows if row["queue"] is None]
    of_queues = [row for row in rows if row["queue"] is not None]
    return QueueActivity(
        since=span["since"],
        until=span["until"],
        steps=list(_steps(span["since"], span["until"], window.step)),
        flows={row["queue"]: _flow_of_queue(row) for row in of_queues},
        ended={
            row["queue"]: dict(zip(row["steps"], row["ended"], strict=True)) for row in of_queues
        },
    )


def _flow_of_queue(row: asyncpg.Record) -> Flow:
    event_types = (EventType.CREATED, EventType.SUCCEEDED, EventType.FAILED)
    return Flow(
        counts={one: row[one] for one in event_types},
        waiting=Durations(buckets=_unpacked(row["waiting"])),
        running=Durations(buckets=_unpacked(row["running"])),
    )


def _groups(rows: Iterable[asyncpg.Record]) -> dict[tuple[str, str], Flow]:
    """Return the counts by queue and type, sorted."""
    return dict(sorted(((row["queue"], row["type"]), _flow(row)) for row in rows))


def _steps(since: datetime, until: datetime, step: timedelta) -> Iterator[datetime]:
    while since < until:
        yield since
        since += step


def _flow(row: asyncpg.Record) -> Flow:
    return Flow(
        counts={event_type: row[event_type] or 0 for event_type in COUNTED},
        waiting=Durations(seconds=row["waiting_s"] or 0.0, buckets=_unpacked(row["waiting"])),
        running=Durations(seconds=row["running_s"] or 0.0, buckets=_unpacked(row["running"])),
    )


def _unpacked(histogram: str | None) -> dict[int, int]:
    """Unpack a histogram: 12 decimal digits for each bucket, the first bucket last."""
    if not histogram:
        return {}
    buckets = -(-len(histogram) // _DIGITS)
    digits = histogram.zfill(buckets * _DIGITS)
    parts = (digits[end - _DIGITS : end] for end in range(len(digits), 0, -_DIGITS))
    # Most are empty: not reading these as numbers halves the time.
    return {bucket: int(part) for bucket, part in enumerate(parts) if part != _EMPTY}
