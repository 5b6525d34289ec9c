"""Figures of the whole system from PostgreSQL, as gauges: the same from each process that exposes them."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from prometheus_client.metrics_core import Metric

from taskmill.domain.figures import SystemFigures
from taskmill.domain.lifecycle import Status
from taskmill.observability.catalogue import Section
from taskmill.observability.kinds import KINDS, OTHER

_system = Section(
    "The whole system",
    reported_by="api and maintenance",
    notes="""\
**Read from PostgreSQL on each scrape, at most once in 5 s, and the same from each process that exposes it:
take `max by (queue, status) (…)` or `max(…)`, never `sum`.** While the database does not answer within 2 s,
`taskmill_system_up` is 0 and the others are left out; the scrape succeeds all the same.

The oldest 200 queues (`TASKMILL_METRICS__KINDS`) have series of their own, all others share `_other`: the sum of
tasks, workers and types, the longest wait, and 1 for paused if any is.

Of other logins' sessions PostgreSQL shows the snapshots only to members of `pg_read_all_stats`.
""",
)
_UP: Final = _system.figure("system_up", "1 when PostgreSQL returned these figures, else 0")
_TASKS: Final = _system.figure(
    "queue_tasks", "The exact number of tasks, by their status", "queue", "status"
)
_OLDEST: Final = _system.figure(
    "queue_oldest_due_seconds",
    "How long the oldest due task has waited; 0 when none is due, or the queue is paused",
    "queue",
)
_PAUSED: Final = _system.figure("queue_paused", "1 while the queue is paused, else 0", "queue")
_QUEUE_WORKERS: Final = _system.figure(
    "queue_workers", "Live workers that serve the queue, whatever their types", "queue"
)
_UNSERVED: Final = _system.figure(
    "queue_unserved_types",
    "Types with due tasks here that no live worker of this queue runs",
    "queue",
)
_WORKERS: Final = _system.figure("workers_alive", "Workers whose lease holds")
_SLOTS: Final = _system.figure("workers_slots", "Tasks that live workers can run at once, in all")
_OVERDUE: Final = _system.figure(
    "leases_overdue",
    "Leases that have run out and are not closed: if for longer than a lease lives, no maintenance runs",
)
_UNNUMBERED: Final = _system.figure(
    "feed_unnumbered_batches",
    "Committed changes that have no position in the feed yet, counted up to 10,000",
)
_UNNUMBERED_AGE: Final = _system.figure(
    "feed_unnumbered_seconds", "How long the first of them has waited for its position"
)
_LAG: Final = _system.figure(
    "feed_follower_lag_seconds",
    "How old the first change is that `rabbitmq` (queues bound to `taskmill.events`) or `webhooks` does not have",
    "follower",
)
_DELIVERIES: Final = _system.figure(
    "webhook_deliveries_waiting",
    "Deliveries to webhooks and callbacks that are still to be made, counted up to 10,000",
)
_DELIVERIES_LATE: Final = _system.figure(
    "webhook_deliveries_late_seconds",
    "How long the oldest of them has been due; 0 if none is, its webhook is paused or its endpoint fails",
)
_WEBHOOKS_FAILING: Final = _system.figure(
    "webhooks_failing",
    "Webhooks whose endpoint has accepted nothing for a minute, or that were disabled for that",
)
_CHANGES_UNREAD: Final = _system.figure(
    "webhook_changes_unread_seconds",
    "How old the first change is that was not read for webhooks yet; 0 while nothing is subscribed",
)
_SNAPSHOT: Final = _system.figure(
    "database_oldest_snapshot_seconds",
    "How long the oldest snapshot has been held that keeps dead rows alive, as far as this login may see",
)
_XMIN: Final = _system.figure(
    "database_oldest_xmin_transactions",
    "Transactions begun since that snapshot, or since the one of a replication slot",
)
_PARTITIONS: Final = _system.figure("partitions_attached", "Weeks of tasks that are attached")
_AHEAD: Final = _system.figure("partitions_ahead", "Weeks of them that are still to come")


def system_metrics(figures: SystemFigures | None) -> Iterable[Metric]:
    """Return the figures as metrics; None when they could not be read."""
    yield _UP({(): float(figures is not None)})
    if figures is not None:
        yield from _of_queues(figures)
        yield from _of_all(figures)


def _of_queues(figures: SystemFigures) -> Iterable[Metric]:
    tasks: defaultdict[tuple[str, ...], float] = defaultdict(float)
    oldest, paused, workers, unserved = (
        defaultdict[tuple[str, ...], float](float) for _ in range(4)
    )
    for position, queue in enumerate(figures.queues):
        label = queue.name if position < KINDS.most else OTHER
        for status in Status:
            tasks[label, status] += queue.counts.get(status, 0)
        oldest[label,] = max(oldest[label,], queue.oldest_due_s)
        paused[label,] = max(paused[label,], float(queue.is_paused))
        workers[label,] += queue.workers
        unserved[label,] += queue.unserved_types
    yield _TASKS(tasks)
    yield _OLDEST(oldest)
    yield _PAUSED(paused)
    yield _QUEUE_WORKERS(workers)
    yield _UNSERVED(unserved)


def _of_all(figures: SystemFigures) -> Iterable[Metric]:
    database = figures.database
    yield _LAG({(follower,): lag_s for follower, lag_s in figures.lags_s.items()})
    for gauge, value in (
        (_WORKERS, figures.workers),
        (_SLOTS, figures.slots),
        (_OVERDUE, database.overdue_leases),
        (_UNNUMBERED, database.unnumbered),
        (_UNNUMBERED_AGE, database.unnumbered_s),
        (_DELIVERIES, figures.deliveries.waiting),
        (_DELIVERIES_LATE, figures.deliveries.late_s),
        (_WEBHOOKS_FAILING, figures.deliveries.failing),
        (_CHANGES_UNREAD, figures.deliveries.unread_s),
        (_SNAPSHOT, database.snapshot_s),
        (_XMIN, database.xmin_age),
        (_PARTITIONS, figures.partitions),
        (_AHEAD, figures.weeks_ahead),
    ):
        yield gauge({(): value})
