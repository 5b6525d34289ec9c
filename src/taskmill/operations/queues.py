"""Queues: created on first use or by hand, listed, paused and resumed, removed when they are empty."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from taskmill.domain.errors import QueueLimitReached, QueueNotEmpty, QueueNotFound, Unavailable
from taskmill.domain.lifecycle import Status
from taskmill.domain.quotas import Quota
from taskmill.domain.system import QueueState
from taskmill.domain.waiting import WaitingCounts
from taskmill.observability.logs import get_logger
from taskmill.operations.authorisation import keep_refused
from taskmill.operations.known_names import KnownNames
from taskmill.operations.quotas import Share
from taskmill.runtime.clock import Clock
from taskmill.storage import counts, queues as rows, waiting
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.queues import QueueRow

log = get_logger(__name__)

RESERVE: Final = 100
"""So many queues may be created by hand after tasks have reached the limit."""
# Pausing or resuming a queue must not wait for a long read of it.
_MOST_BUCKETS_OF_ONE: Final = 100
# It may be removed just as it was made.
_CHANGE_TRIES: Final = 3


class KnownQueues(KnownNames):
    """Creates queues that a task names for the first time, and caches for a while which exist."""

    kind = Quota.QUEUES

    def __init__(self, database: Database, *, limit: int, clock: Clock, quota: int = 0) -> None:
        super().__init__(clock=clock, quota=quota)
        self._database = database
        self._limit = limit

    def limit_reached(self) -> QueueLimitReached:
        """Return the error for a queue that may not be created."""
        return QueueLimitReached(self._limit)

    async def _find(self, names: Collection[str]) -> set[str]:  # noqa: ARG002 - there are few: all are read
        return await rows.names(self._database)

    async def _make(self, names: Collection[str], share: Share) -> set[str]:
        return await rows.add(
            self._database, names, limit=self._limit, owner=share.owner, most=share.most
        )

    async def _count_own(self, owner: str) -> int:
        return await rows.count_own(self._database, owner)

    async def make(self, name: str) -> None:
        """Create a queue by hand, up to a higher limit. Raises `QueueLimitReached`."""
        most = self._limit + RESERVE
        if name not in await rows.add(self._database, (name,), limit=most):
            raise QueueLimitReached(most)

    def forget(self, name: str) -> None:
        """Drop a removed queue from the cache."""
        self._known.discard(name)


async def list_queues(
    database: Database, visible: Collection[str] | None = None, *, is_brief: bool = False
) -> list[QueueState]:
    """Return all queues that are `visible` (None: all), by name.

    Brief ones are without `oldest_due_at` and `waiting`, which read what waits.
    """
    counted = await counts.by_queue(database)
    queues = [
        QueueState(
            name=row.name,
            paused_at=row.paused_at,
            created_at=row.created_at,
            oldest_due_at=None,
            counts=counted.get(row.name, {}),
            keep=row.keep,
        )
        for row in await rows.all_queues(database)
        if visible is None or row.name in visible
    ]
    return queues if is_brief else await with_waiting(database, await with_oldest(database, queues))


async def with_waiting(database: Database, queues: Sequence[QueueState]) -> list[QueueState]:
    """Return queues in the same order, with what their new tasks wait for."""
    names = [one.name for one in queues if one.counts.get(Status.NEW)]
    paused = [one.name for one in queues if one.paused_at is not None]
    counted = await waiting.count(database, names, paused)
    return [replace(one, waiting=counted.get(one.name, WaitingCounts())) for one in queues]


async def with_oldest(
    database: Database, queues: Sequence[QueueState], *, most: int = rows.MOST_BUCKETS
) -> list[QueueState]:
    """Return queues in the same order, with the time since which their oldest due task waits."""
    oldest: dict[str, datetime] = {}
    for due in await rows.oldest_due(database, [queue.name for queue in queues], most=most):
        oldest[due.queue] = min(due.since, oldest.get(due.queue, due.since))
    return [replace(queue, oldest_due_at=oldest.get(queue.name)) for queue in queues]


async def set_paused(
    database: Database, known: KnownQueues, name: str, *, paused: bool
) -> QueueRow:
    """Pause or resume a queue, which is created if needed; claims that begin after this returned obey it.

    Raises:
        QueueLimitReached: it does not exist, and even the limit of queues created by hand is reached.
        Unavailable: a user's transaction that is still open makes it.
    """
    return await _changed(known, name, lambda: rows.set_pause(database, name, paused=paused))


async def set_keep(
    database: Database, known: KnownQueues, name: str, keep: timedelta | None
) -> QueueRow:
    """Set how long a queue keeps its ended tasks, None for what the settings say; it is created if needed.

    Raises as `set_paused` does.
    """
    return await _changed(known, name, lambda: rows.set_keep(database, name, keep))


async def _changed(
    known: KnownQueues, name: str, change: Callable[[], Awaitable[QueueRow | None]]
) -> QueueRow:
    for _ in range(_CHANGE_TRIES):
        queue = await change()
        if queue is not None:
            return queue
        await known.make(name)
    raise Unavailable(RETRY_AFTER_S, "a queue that an open transaction makes")


async def one_queue(database: Database, queue: QueueRow) -> QueueState:
    """Return a queue with its counts; no other queue is read, and few of its own buckets."""
    counted = await counts.by_queue(database)
    state = QueueState(
        name=queue.name,
        paused_at=queue.paused_at,
        created_at=queue.created_at,
        oldest_due_at=None,
        counts=counted.get(queue.name, {}),
        keep=queue.keep,
    )
    [state] = await with_oldest(database, [state], most=_MOST_BUCKETS_OF_ONE)
    [state] = await with_waiting(database, [state])
    return state


async def remove(database: Database, known: KnownQueues, name: str, *, with_keep: bool) -> None:
    """Remove a queue in which nothing waits or runs. Its ended tasks stay; the next task creates it again.

    Raises:
        QueueNotFound: no queue has this name.
        ScopeMissing: it keeps its ended tasks for its own time, which goes with it, and not `with_keep`.
        QueueNotEmpty: tasks wait or run in it.
    """
    result = await rows.remove(database, name, with_keep=with_keep)
    known.forget(name)
    if result.is_removed:
        log.info("queue.removed", queue=name)
    elif not result.is_known:
        raise QueueNotFound(name)
    elif result.has_keep:
        raise keep_refused()
    else:
        raise QueueNotEmpty(name, waiting=result.waiting, running=result.running)


async def tidy(database: Database) -> None:
    """Remove queues that were empty for a day; restore those that got a task while they were removed."""
    for name in await rows.restore(database):
        log.info("queue.restored", queue=name)
    for name in await rows.prune(database):
        log.info("queue.removed", queue=name)
