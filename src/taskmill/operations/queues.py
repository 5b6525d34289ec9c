"""Queues: made on first use, listed, paused and resumed."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace

from taskmill.domain.errors import QueueLimitReached, QueueNotFound
from taskmill.domain.system import QueueState
from taskmill.operations.broker import BrokerWatch
from taskmill.storage import counts, queues as queue_rows, releases
from taskmill.storage.database import Database


class KnownQueues:
    """Makes queues that a task names for the first time.

    Queues are never removed, so what was seen once needs no second look.
    """

    def __init__(self, database: Database, *, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._known: set[str] = set()
        self._turn = asyncio.Lock()

    def has(self, names: Collection[str]) -> bool:
        """Tell whether all of these are known to exist."""
        return self._known.issuperset(names)

    async def ensure(self, names: Collection[str]) -> None:
        """Make the queues that do not exist yet. Raises `QueueLimitReached`."""
        async with self._turn:
            # Whoever had the turn before may have made them.
            if missing := set(names) - self._known:
                self._known |= await queue_rows.add(self._database, missing, limit=self._limit)
                if not self._known.issuperset(missing):
                    raise QueueLimitReached(self._limit)


async def list_queues(
    database: Database, broker: BrokerWatch, *, is_brief: bool = False
) -> list[QueueState]:
    """Return all queues by name. Brief ones are without `oldest_due_at` and `window`, which look at what waits."""
    counted = await counts.by_queue(database)
    window = {} if is_brief else await broker.window(database)
    queues = [
        QueueState(
            name=row["name"],
            paused_at=row["paused_at"],
            created_at=row["created_at"],
            oldest_due_at=None,
            counts=counted.get(row["name"], {}),
            window=window.get(row["name"], 0),
        )
        for row in await database.fetch("list_queues")
    ]
    return queues if is_brief else await with_oldest(database, queues)


async def with_oldest(database: Database, queues: Sequence[QueueState]) -> list[QueueState]:
    """Return queues in the same order, with since when their oldest due task waits."""
    rows = await database.fetch("find_oldest_due", [queue.name for queue in queues])
    oldest = {row["queue"]: row["oldest_due_at"] for row in rows}
    return [replace(queue, oldest_due_at=oldest.get(queue.name)) for queue in queues]


async def set_paused(
    database: Database, name: str, *, paused: bool, broker: BrokerWatch
) -> QueueState:
    """Pause or resume a queue; claims that begin after this returned obey it."""
    if not await database.fetch("set_queue_pause", name, paused):
        raise QueueNotFound(name)
    if not paused:
        # Hints that came during the pause were forgotten: without this their tasks wait for the marks to run out.
        await releases.forget_of_queue(database, name)
    return next(queue for queue in await list_queues(database, broker) if queue.name == name)
