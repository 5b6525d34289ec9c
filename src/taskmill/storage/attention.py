"""Reads what the rules of attention decide by: a few short statements, each bounded. They decide nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from taskmill.domain import identity
from taskmill.domain.attention_snapshot import (
    DueTasks,
    FailedTasks,
    FailingWebhook,
    LostWorker,
    QueueLoad,
    RecentEnds,
    RefusedMessages,
    ReturnedKind,
)
from taskmill.storage import counts, queues
from taskmill.storage.capacity import Workers
from taskmill.storage.database import Database

MOST_COUNTED: Final = 10_000
"""So many due tasks of a queue and type are counted; of very many of these, fewer."""

_MOST_COUNTED_IN_ALL: Final = 10_000
_LEAST_COUNTED: Final = 100
_MOST_PAIRS: Final = 100
_MOST_ROWS: Final = 1_000
_MOST_DELIVERIES: Final = 1_000
_FAILING_S: Final = 60.0
_DAY: Final = timedelta(days=1)

Visible = Sequence[str] | None
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """What happened lately: ends by queue and type, and how many tasks of a queue began and ended to wait."""

    ends: Sequence[RecentEnds] = ()
    entered: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)


async def loads(database: Database, visible: Visible, flows: Flows) -> list[QueueLoad]:
    """Return the queues with what they have."""
    counted = await counts.by_queue(database)
    return [
        QueueLoad(
            name=queue.name,
            paused_at=queue.paused_at,
            counts=counted.get(queue.name, {}),
            entered=flows.entered.get(queue.name, 0),
            left=flows.left.get(queue.name, 0),
        )
        for queue in await queues.all_queues(database)
        if visible is None or queue.name in visible
    ]


async def due(database: Database, names: Collection[str], *, since: datetime) -> list[DueTasks]:
    """Return what is due in some queues by type, the oldest first, with how many workers serve it.

    Counted is what is due since a moment or longer, and what no worker serves: of the rest there is one at least.
    """
    workers = await Workers.read(database, with_remote=True)
    oldest = await queues.oldest_due(database, names) if names else []
    found = [
        DueTasks(
            queue=one.queue,
            type=one.type,
            since=one.since,
            workers=workers.count(one.queue, one.type),
            tasks=1,
            are_more=True,
        )
        for one in sorted(oldest, key=lambda one: one.since)
    ]
    wanted = [one for one in found if one.since <= since or not one.workers]
    return await _counted(database, found, wanted[:_MOST_PAIRS])


async def _counted(
    database: Database, due: Sequence[DueTasks], part: Sequence[DueTasks]
) -> list[DueTasks]:
    """Return what is due, with some of it counted."""
    if not part:
        return list(due)
    most = max(min(MOST_COUNTED, _MOST_COUNTED_IN_ALL // len(part)), _LEAST_COUNTED)
    pairs = [one.queue for one in part], [one.type for one in part]
    rows = await database.fetch("count_due", *pairs, most)
    tasks = {(row["queue"], row["type"]): row["tasks"] for row in rows}
    return [
        replace(one, tasks=min(number, most), are_more=number > most)
        if (number := tasks.get((one.queue, one.type)))
        else one
        for one in due
    ]


async def lost_workers(database: Database, visible: Visible) -> list[LostWorker]:
    """Return the workers that were lost in the last day, the latest first."""
    rows = await database.fetch("list_lost_workers", _MOST_ROWS, visible)
    return [
        LostWorker(
            id=row["id"], name=row["worker"], lost_at=row["closed_at"], tasks=row["lost_tasks"]
        )
        for row in rows
    ]


async def flows(
    database: Database,
    visible: Visible,
    recently: timedelta,
    usual: Mapping[Pair, tuple[int, int]],
) -> Flows:
    """Return what happened lately, with what is `usual`."""
    rows = await database.fetch("read_recent_ends", recently.total_seconds(), visible)
    entered: dict[str, int] = {}
    left: dict[str, int] = {}
    for row in rows:
        queue = row["queue"]
        entered[queue] = entered.get(queue, 0) + row["entered"]
        left[queue] = left.get(queue, 0) + row["gone"]
    return Flows(ends=[_ends(row, usual) for row in rows], entered=entered, left=left)


def _ends(row: asyncpg.Record, usual: Mapping[Pair, tuple[int, int]]) -> RecentEnds:
    succeeded, failed = usual.get((row["queue"], row["type"]), (0, 0))
    return RecentEnds(
        queue=row["queue"],
        type=row["type"],
        succeeded=row["succeeded"],
        failed=row["failed"],
        expired=row["expired"],
        day_succeeded=succeeded,
        day_failed=failed,
    )


async def usual_ends(
    database: Database, visible: Visible, recently: timedelta
) -> dict[Pair, tuple[int, int]]:
    """Return how many tasks of each queue and type succeeded and failed in the day before."""
    rows = await database.fetch("read_day_ends", recently.total_seconds(), visible)
    return {(row["queue"], row["type"]): (row["succeeded"], row["failed"]) for row in rows}


async def new_errors(database: Database, visible: Visible) -> list[FailedTasks]:
    """Return the kinds of failures that began within the last hour, the most frequent first."""
    rows = await database.fetch("list_new_errors", _MOST_ROWS, visible)
    return [_failed(row) for row in rows]


async def returned_kinds(database: Database, visible: Visible) -> list[ReturnedKind]:
    """Return the kinds that were resolved and have failed again within the last day."""
    rows = await database.fetch("list_returned_kinds", _MOST_ROWS, visible)
    return [ReturnedKind(error=row["kind"], resolved_at=row["state_at"]) for row in rows]


async def exhausted_losses(database: Database, visible: Visible) -> list[FailedTasks]:
    """Return of each type how many tasks failed within the last day as their workers were lost too often."""
    return [_failed(row) for row in await database.fetch("list_exhausted_losses", visible)]


def _failed(row: asyncpg.Record) -> FailedTasks:
    return FailedTasks(
        type=row["type"], error=row["error"], tasks=row["tasks"], first_at=row["first_at"]
    )


async def refusals(database: Database, visible: Visible, now: datetime) -> list[RefusedMessages]:
    """Return how many messages were refused in the last day and not sent again, by queue."""
    lowest = identity.lower_bound(now - _DAY)
    rows = await database.fetch("list_recent_refusals", lowest, _MOST_ROWS, visible)
    return [
        RefusedMessages(
            queue=row["queue"],
            messages=row["messages"],
            first_at=row["first_at"],
            are_more=row["is_end"],
        )
        for row in rows
    ]


async def failing_webhooks(database: Database) -> list[FailingWebhook]:
    """Return the webhooks that deliver nothing, the longest first."""
    rows = await database.fetch("list_failing_webhooks", _FAILING_S, _MOST_DELIVERIES, _MOST_ROWS)
    return [
        FailingWebhook(
            id=row["id"],
            # The rest of an address may have secrets in it.
            host=urlsplit(row["url"]).hostname or "?",
            description=row["description"] or "",
            since=row["since"],
            is_disabled=row["is_disabled"],
            reason=row["disabled_reason"],
            deliveries=row["deliveries"],
            are_more=row["deliveries"] == _MOST_DELIVERIES,
        )
        for row in rows
    ]
