"""What pages with charts show beside the roll-up's counts: failures by queue or type, workers, pauses, slow."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from taskmill.domain.activity import ActivityRequest, AnyWindow
from taskmill.domain.audit import AuditAction
from taskmill.domain.identity import lower_bound
from taskmill.domain.levels import FailedGroups, WorkerSpan, WorkerSpans
from taskmill.domain.lifecycle import Status
from taskmill.domain.marks import Mark, MarkKind
from taskmill.domain.slow_tasks import MOST_LOOKED_AT, SlowTask
from taskmill.domain.time_ranges import TimeRange
from taskmill.storage import minutes
from taskmill.storage.database import Database

# Closed leases are pruned after a day.
_KNOWN: Final = timedelta(days=1)
_MOST_SPANS: Final = 2_000
_MOST_PAUSES: Final = 200
# Ids are made by other machines, whose clocks differ a little.
_AHEAD: Final = timedelta(minutes=1)


async def failed_groups(
    database: Database,
    request: ActivityRequest,
    visible: Collection[str] | None,
    *,
    most: int,
) -> FailedGroups:
    """Return how many tasks failed by step and by queue, by type if the request names a queue.

    Of `visible` queues only (None: of all). No task is read.
    """
    step_s, length_s, *ends = minutes.span_arguments(request.window)
    rows = await database.fetch(
        "read_failed_groups",
        step_s,
        length_s,
        *ends,
        request.queue,
        request.type,
        None if visible is None else sorted(visible),
        request.queue is not None,
        most,
    )
    return FailedGroups(
        counts={row["name"]: dict(zip(row["steps"], row["failed"], strict=True)) for row in rows}
    )


async def slowest(
    database: Database,
    window: AnyWindow,
    visible: Collection[str] | None,
    *,
    queue: str | None = None,
    type_: str | None = None,
    limit: int,
) -> list[SlowTask]:
    """Return the slowest of the newest tasks that were created in a window and have ended, of a queue or a type.

    Of each status, `MOST_LOOKED_AT` are looked at.
    """
    now = await database.fetch_value("clock_now")
    since, until = now - window.length, now + _AHEAD
    if isinstance(window, TimeRange):
        since, until = window.since, window.until
    bounds = (lower_bound(since), lower_bound(until), MOST_LOOKED_AT, limit)
    if queue is not None:
        rows = await database.fetch("list_slowest_of_queue", queue, *bounds)
    else:
        queues = None if visible is None else sorted(visible)
        rows = await database.fetch("list_slowest_of_type", type_, *bounds, queues)
    return [_slow_task(row) for row in rows]


def _slow_task(row: asyncpg.Record) -> SlowTask:
    return SlowTask(
        id=row["id"],
        number=row["number"],
        name=row["name"],
        queue=row["queue"],
        type=row["type"],
        status=Status(row["status"]),
        finished_at=row["finished_at"],
        seconds=row["seconds"],
    )


async def pause_changes(
    database: Database, since: datetime, until: datetime, queues: Collection[str] | None
) -> list[Mark]:
    """Return when queues (None: any) were paused and resumed within a time, from the audit log.

    When there were very many, the first of them are left out: of one queue, only for its own.
    """
    bounds = (lower_bound(since), lower_bound(until))
    if queues is not None and len(queues) == 1:
        [queue] = queues
        arguments = (*bounds, queue, _MOST_PAUSES)
        rows = await database.fetch("list_pause_changes_of_queue", *arguments)
    else:
        names = None if queues is None else sorted(queues)
        rows = await database.fetch("list_pause_changes", *bounds, names, _MOST_PAUSES)
    return [
        Mark(
            at=row["at"],
            kind=MarkKind.PAUSED if row["action"] == AuditAction.QUEUE_PAUSE else MarkKind.RESUMED,
            number=1,
            name=row["queue"],
        )
        for row in rows
    ]


async def worker_spans(
    database: Database, queue: str | None, visible: Collection[str] | None
) -> WorkerSpans:
    """Return the workers of the last day that serve a queue (None: any), as far as `visible` ones are served.

    When there were very many, those that ended first are not known.
    """
    rows = await database.fetch(
        "list_worker_spans", _MOST_SPANS, queue, None if visible is None else sorted(visible)
    )
    now = await database.fetch_value("clock_now")
    items = [
        WorkerSpan(
            name=row["worker"],
            version=row["version"],
            slots=row["slots"],
            types=row["types"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            is_lost=row["is_lost"],
        )
        for row in rows
    ]
    known_since = now - _KNOWN
    if len(rows) == _MOST_SPANS:
        known_since = items[-1].ended_at or now
    return WorkerSpans(known_since=known_since, items=items)
