"""Reads the state of the whole system in numbers: a few short statements, at any table size."""

from collections import defaultdict
from datetime import datetime, timedelta

from taskmill.domain import identity
from taskmill.domain.figures import (
    MOST_REFUSED,
    DatabaseFigures,
    DeliveryFigures,
    QueueFigures,
    SystemFigures,
)
from taskmill.storage import claims, counts, partitions
from taskmill.storage.database import Database
from taskmill.storage.releases import Stream, Workers

_MOST_UNNUMBERED = 10_000
_MOST_WAITING = 10_000
_MOST_LANES = 1000
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
    oldest: dict[str, float] = defaultdict(float)
    due_types: dict[str, set[str]] = defaultdict(set)
    for lane, due_in_s in (await claims.find_lanes(database)).items():
        if due_in_s <= 0:
            oldest[lane.queue] = max(oldest[lane.queue], -due_in_s)
            due_types[lane.queue].add(lane.type)
    return [
        QueueFigures(
            name=(name := row["name"]),
            counts=counted.get(name, {}),
            is_paused=row["is_paused"],
            oldest_due_s=oldest[name],
            workers=workers.of_queue(name),
            unserved_types=sum(
                1 for due in due_types[name] if not workers.of(Stream(queue=name, type=due)).workers
            ),
        )
        for row in await database.fetch("list_pauses")
    ]


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
    [row] = await database.fetch("read_delivery_backlog", _MOST_WAITING, _MOST_LANES, _FAILING_S)
    return DeliveryFigures(
        waiting=row["waiting"],
        late_s=row["late_s"] or 0.0,
        unread_s=row["unread_s"] or 0.0,
        failing=row["failing"],
    )


async def _lags_s(database: Database) -> dict[str, float]:
    return {row["place"]: row["lag_s"] for row in await database.fetch("read_feed_followers")}
