"""The state of the whole system in numbers, for monitoring: the same from every process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from taskmill.domain.system import Counts

MOST_REFUSED: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFigures:
    """A queue: its tasks, whether it is paused, and who serves it.

    `oldest_due_s` is how long its oldest due task has waited, 0 when none is due or the queue is paused.
    `workers` is how many live ones serve it; `unserved_types` is how many of its due types have none.
    """

    name: str
    counts: Counts
    is_paused: bool
    oldest_due_s: float
    workers: int
    unserved_types: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFigures:
    """What maintenance has not done yet, and what keeps PostgreSQL from cleaning up.

    `overdue_leases` have run out and are not closed. `unnumbered` change batches, counted up to a bound, have no
    position in the feed, the first of them for `unnumbered_s`. The oldest snapshot is `snapshot_s` old, and
    `xmin_age` transactions have begun since.
    """

    overdue_leases: int
    unnumbered: int
    unnumbered_s: float
    snapshot_s: float
    xmin_age: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFigures:
    """What webhooks and callbacks still wait for.

    `waiting` deliveries, counted up to a bound, are to be made; the oldest due one, to an endpoint that does not
    fail, has been due for `late_s`. The first change that is not yet read for them is `unread_s` old. Both are 0
    when there is none. `failing` webhooks have accepted nothing for a minute, or were disabled because of that.
    """

    waiting: int
    late_s: float
    unread_s: float
    failing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFigures:
    """Queues by age, the oldest first; the live workers and their slots; partitions attached, and weeks ahead.

    `refused` counts messages of the last day that were not sent again since, up to `MOST_REFUSED`.
    `lags_s` is the age of the first change that each follower of the feed has not received, 0 when it has all.
    """

    queues: Sequence[QueueFigures]
    workers: int
    slots: int
    database: DatabaseFigures
    deliveries: DeliveryFigures
    lags_s: Mapping[str, float]
    partitions: int
    weeks_ahead: int
    refused: int = 0
