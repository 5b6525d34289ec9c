"""Reads the state of the whole system in numbers: a few short statements, at any table size."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from taskmill.domain import identity
from taskmill.domain.figures import (
    MOST_REFUSED,
    DatabaseFigures,
    DeliveryFigures,
    QueueFigures,
    SystemFigures,
)
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Counts
from taskmill.observability.kinds import OTHER
from taskmill.storage import counts, partitions, queues
from taskmill.storage.capacity import Workers
from taskmill.storage.database import Database

_MOST_UNNUMBERED = 10_000
_MOST_WAITING = 10_000
_MOST_BUCKETS = 1000
_FAILING_S = 60.0
_DAY = timedelta(days=1)


async def read(database: Database) -> SystemFigures:
    """Return the figures; each statement has its own snapshot.

    Raises:
        Unavailable: the database is away.
    """
    workers = await Workers.read(database, with_remote=True)
    now: datetime = await database.fetch_value("clock_now")
    weeks = await partitions.attached(database)
    return SystemFigures(
        queues=await _queues(database, workers),
        workers=workers.total.workers,
        slots=workers.total.slots,
        database=await _database(database),
        deliveries=await _deliveries(database),
        lags_s=await _lags_s(database),
        partitions=len(weeks),
        weeks_ahead=sum(1 for week in weeks if week.start > now),
        refused=await database.fetch_value(
            "count_rejections", identity.lower_bound(now - _DAY), MOST_REFUSED
        ),
    )


async def _queues(database: Database, workers: Workers) -> list[QueueFigures]:
    counted = await counts.by_queue(database)
    rows = await database.fetch("list_queues")
    open_queues = [row["name"] for row in rows if row["paused_at"] is None]
    oldest: dict[str, float] = defaultdict(float)
    due_types: dict[str, set[str]] = defaultdict(set)
    for due in await queues.oldest_due(database, open_queues):
        oldest[due.queue] = max(oldest[due.queue], due.for_s)
        due_types[due.queue].add(due.type)
    found = [
        QueueFigures(
            name=(name := row["name"]),
            counts=counted.get(name, {}),
            is_paused=row["paused_at"] is not None,
            oldest_due_s=oldest[name],
            workers=workers.of_queue(name),
            unserved_types=sum(1 for due in due_types[name] if not workers.count(name, due)),
        )
        for row in rows
    ]
    gone = _of_gone(counted, {queue.name for queue in found})
    return [*found, gone] if gone.counts else found


def _of_gone(counted: Mapping[str, Counts], names: Collection[str]) -> QueueFigures:
    """Add up the tasks of removed queues, so that the sum over all queues stays right."""
    counts: dict[Status, int] = defaultdict(int)
    for name in counted.keys() - names:
        for status, tasks in counted[name].items():
            counts[status] += tasks
    return QueueFigures(
        name=OTHER,
        counts=counts,
        is_paused=False,
        oldest_due_s=0.0,
        workers=0,
        unserved_types=0,
    )


async def _database(database: Database) -> DatabaseFigures:
    [row] = await database.fetch("read_database_figures", _MOST_UNNUMBERED)
    return DatabaseFigures(
        overdue_leases=row["overdue_leases"],
        unnumbered=row["unnumbered"],
        unnumbered_s=row["unnumbered_s"] or 0.0,
        snapshot_s=row["snapshot_s"] or 0.0,
        xmin_age=row["xmin_age"] or 0,
    )


async def _deliveries(database: Database) -> DeliveryFigures:
    [row] = await database.fetch("read_delivery_backlog", _MOST_WAITING, _MOST_BUCKETS, _FAILING_S)
    return DeliveryFigures(
        waiting=row["waiting"],
        late_s=row["late_s"] or 0.0,
        unread_s=row["unread_s"] or 0.0,
        failing=row["failing"],
    )


async def _lags_s(database: Database) -> dict[str, float]:
    return {row["follower"]: row["lag_s"] for row in await database.fetch("read_feed_followers")}
