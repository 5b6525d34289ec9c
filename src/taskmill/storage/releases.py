"""Releases: which waiting tasks are marked as released to the broker. It does not know the hints themselves."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zlib import crc32

from taskmill.storage.claims import Bucket
from taskmill.storage.database import Database
from taskmill.storage.statements import statement

_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_ALL = "*"
_MOST_BUCKETS = 2_500
_MOST_BUCKETS_OF_ONE = 100
_MOST_COUNTED = 50_000
_MOST_COUNTED_IN_A_BUCKET = 5_000
_UNMARKED_AT_ONCE = 5_000
_BEFORE_ALL_IDS = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HintQueue:
    """The tasks of one queue and type: they share a release limit and a queue of hints."""

    queue: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many live workers serve something, and their slots."""

    workers: int = 0
    slots: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What one round released: `task_ids` in order of urgency, `again` of them not for the first time.

    `outstanding` are released and not yet claimed, including the new ones; `remaining` are due and not released.
    `firsts` is when the first waiting task of each bucket was due.
    """

    task_ids: Sequence[UUID]
    again: int
    outstanding: int
    remaining: int
    firsts: Mapping[Bucket, datetime]


class Workers:
    """What the live workers serve, according to their leases."""

    def __init__(self, rows: Collection[tuple[Collection[str], Collection[str], int]]) -> None:
        self._rows = rows

    @classmethod
    async def read(cls, database: Database, *, with_remote: bool = False) -> "Workers":
        """Read the leases of workers that take hints, and `with_remote` of those that pull over HTTP.

        A remote lease is one claim: those with the same name, queues and types count as one worker.
        """
        found: list[tuple[frozenset[str], frozenset[str], int]] = []
        remote: Counter[tuple[str, frozenset[str], frozenset[str]]] = Counter()
        for row in await database.fetch("list_capacity", with_remote):
            queues, types = frozenset[str](row["queues"]), frozenset[str](row["types"])
            if row["remote"]:
                remote[row["worker"], queues, types] += row["slots"]
            else:
                found.append((queues, types, row["slots"]))
        found += [(queues, types, slots) for (_, queues, types), slots in remote.items()]
        return cls(found)

    def of(self, hint_queue: HintQueue) -> Capacity:
        """Count the workers that serve the hint queue."""
        slots = [
            slots
            for queues, types, slots in self._rows
            if (not queues or hint_queue.queue in queues)
            and (_ALL in types or hint_queue.type in types)
        ]
        return Capacity(workers=len(slots), slots=sum(slots))

    def of_queue(self, queue: str) -> int:
        """Count the workers that serve the queue, whatever their types."""
        return sum(1 for queues, _, _ in self._rows if not queues or queue in queues)

    @property
    def types(self) -> frozenset[str] | None:
        """The types that any worker serves; None for all."""
        types = frozenset(kind for _, types, _ in self._rows for kind in types)
        return None if _ALL in types else types

    @property
    def total(self) -> Capacity:
        """All workers and their slots."""
        return Capacity(workers=len(self._rows), slots=sum(slots for _, _, slots in self._rows))


async def release(
    database: Database,
    hint_queue: HintQueue,
    *,
    release_limit: int,
    most: int,
    life_s: float,
    buckets: Sequence[tuple[Bucket, datetime | None]],
) -> Release:
    """Mark due tasks of a hint queue as released, up to `most`, until `release_limit` are; committed on return.

    `buckets` are those of the hint queue, most urgent first, each with the due time to start from (None: the
    beginning). A mark older than `life_s` seconds does not count.
    """
    priorities = [bucket.priority for bucket, _ in buckets]
    starts = [start or _EARLIEST for _, start in buckets]
    lock_key = crc32(f"{hint_queue.queue}:{hint_queue.type}".encode()) - 2**31
    async with database.hot_transaction() as connection:
        await connection.execute(statement("lock_release"), lock_key)
        row = await connection.fetchrow(
            statement("release_tasks"),
            hint_queue.queue,
            hint_queue.type,
            release_limit,
            most,
            life_s,
            priorities,
            starts,
        )
    assert row is not None  # noqa: S101 - it has no FROM
    ids = row["task_ids"] or []
    firsts = zip(row["priorities"] or (), row["firsts"] or (), strict=True)
    return Release(
        task_ids=ids,
        again=row["again"],
        outstanding=row["out_before"] + len(ids),
        remaining=row["waiting"] - len(ids),
        firsts={
            Bucket(queue=hint_queue.queue, type=hint_queue.type, priority=priority): first
            for priority, first in firsts
        },
    )


async def unmark(database: Database, task_ids: Collection[UUID]) -> int:
    """Remove the marks of these tasks; return how many had one."""
    return len(await database.fetch("unmark_tasks", sorted(task_ids))) if task_ids else 0


async def count(
    database: Database, *, hint_life: timedelta, queue: str | None = None
) -> dict[str, int]:
    """Return how many tasks of each queue (or of one) are released and not yet claimed.

    Reads the first due tasks of each bucket, as tasks are released in that order. With more than 2,500 buckets
    (100 for one queue), or more than 50,000 due tasks, the count may be too low.
    """
    rows = await database.fetch(
        "count_released",
        None if queue is None else [queue],
        hint_life.total_seconds(),
        _MOST_BUCKETS if queue is None else _MOST_BUCKETS_OF_ONE,
        _MOST_COUNTED,
        _MOST_COUNTED_IN_A_BUCKET,
    )
    return {row["queue"]: row["tasks"] for row in rows}


async def unmark_all(database: Database) -> int:
    """Remove the mark of every waiting task, some thousand at a time; return how many had one."""
    unmarked: int = 0
    after = _BEFORE_ALL_IDS
    while True:
        [row] = await database.fetch("unmark_all_tasks", after, _UNMARKED_AT_ONCE)
        unmarked += row["unmarked"]
        if row["last_id"] is None:
            return unmarked
        after = row["last_id"]
