"""Reads everything that `verify` compares, each part in one snapshot. It decides nothing about what is wrong.

A snapshot is read-only and short: a long one keeps dead rows of the hot tables alive. While it is open, no week of
tasks can be dropped.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from taskmill.domain import identity
from taskmill.domain.fires import FireCause, ScheduleRevision
from taskmill.domain.history import CheckedTask, DispatchRow, HistoryEntry, RunningRow, TaskRow
from taskmill.storage import partitions, schedules
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement
from taskmill.storage.weeks import Week

_ENTRIES_AT_ONCE = 5_000
_ROW_COLUMNS = slice(0, len(TaskRow._fields))
_EXPECTED = slice(_ROW_COLUMNS.stop, _ROW_COLUMNS.stop + len(DispatchRow._fields))
_DISPATCHED = slice(_EXPECTED.stop, _EXPECTED.stop + len(DispatchRow._fields))
_EXPECTED_RUNNING = slice(_DISPATCHED.stop, _DISPATCHED.stop + len(RunningRow._fields))
_RUNNING = slice(_EXPECTED_RUNNING.stop, _EXPECTED_RUNNING.stop + len(RunningRow._fields))


class HeldKey(NamedTuple):
    """An idempotency key, the task that it stands for, and whether that task exists."""

    scope: str
    key: str
    task_id: UUID
    has_task: bool


class StoredRejection(NamedTuple):
    """A refused message, the task that it became, and whether that task exists."""

    id: UUID
    resent_at: datetime | None
    task_id: UUID | None
    has_task: bool


class StrayRow(NamedTuple):
    """A row without a task: `place` is `dispatch` or `running`."""

    task_id: UUID
    place: str


class CountDifference(NamedTuple):
    """How many tasks there are, and how many according to the counters."""

    queue: str
    status: str
    counted: int
    recorded: int


class FeedDifference(NamedTuple):
    """A change that the feed lacks (`is_missing`), or that only the feed has and not the history."""

    task_id: UUID
    version: int
    is_missing: bool


class PositionHole(NamedTuple):
    """Two neighbouring positions of the feed between which others are missing."""

    before: int
    after: int


class OverdueBucket(NamedTuple):
    """A bucket whose first task should have been claimed `waited_s` seconds ago."""

    queue: str
    type: str
    priority: int
    task_id: UUID
    waited_s: float


class BucketKey(NamedTuple):
    """A position in the order of buckets; the default is before all of them."""

    queue: str = ""
    type: str = ""
    priority: int = -1


class CheckedSchedule(NamedTuple):
    """A schedule, its cursor, and the tick of its latest fire."""

    id: int
    name: str
    cursor_at: datetime
    latest_tick: datetime | None


class RepeatedFire(NamedTuple):
    """A tick, or with `task_id` a task, that has several fires."""

    schedule_id: int
    tick: datetime
    task_id: UUID | None
    fires: int


class FiredTicks(NamedTuple):
    """A tick with a fire, or a stretch of them. A run by hand may lie within a stretch."""

    tick: datetime
    until_tick: datetime | None
    cause: str

    @property
    def is_by_hand(self) -> bool:
        """Whether a backfill or a run made it."""
        return self.cause in {FireCause.BACKFILL, FireCause.MANUAL}


class Snapshot:
    """The database as it was at one moment. Ages are counted until `as_of`, or until now if that is None."""

    def __init__(self, connection: Connection, as_of: datetime | None) -> None:
        self._connection = connection
        self._as_of = as_of

    async def weeks(self) -> list[Week]:
        """Return the weeks that have partitions: their tasks are there, but for those of `pruned_before`."""
        return await partitions.attached_with(self._connection)

    async def pruned_before(self) -> datetime:
        """Return before when tasks were created that may have been deleted, as their queue says."""
        before: datetime | None = await self._connection.fetchval(statement("verify_pruned"))
        return before or identity.created_at(UUID(int=0))

    async def tasks(self, after: UUID, upto: UUID, limit: int) -> list[CheckedTask]:
        """Return the next tasks in order of their ids."""
        rows = await self._connection.fetch(
            statement("verify_tasks"), after, upto, limit, self._as_of
        )
        return [_checked_task(row) for row in rows]

    async def entries(self, after: UUID, upto: UUID) -> AsyncIterator[Sequence[HistoryEntry]]:
        """Yield the history of these ids in parts, in order of id and version."""
        cursor = await self._connection.cursor(statement("verify_entries"), after, upto)
        while rows := await cursor.fetch(_ENTRIES_AT_ONCE):
            yield list(map(HistoryEntry._make, rows))

    async def stray_rows(self, after: UUID, upto: UUID) -> list[StrayRow]:
        """Return the rows of `dispatch` and `running` that have no task."""
        rows = await self._connection.fetch(statement("verify_stray_rows"), after, upto)
        return [StrayRow._make(row) for row in rows]

    async def count_differences(self) -> list[CountDifference]:
        """Count all tasks and return where the counters differ."""
        rows = await self._connection.fetch(statement("verify_counts"))
        return [CountDifference._make(row) for row in rows]

    async def keys(self, after: tuple[str, str], limit: int) -> list[HeldKey]:
        """Return the next idempotency keys in order of (scope, key)."""
        rows = await self._connection.fetch(statement("verify_keys"), *after, limit)
        return [HeldKey._make(row) for row in rows]

    async def shared_keys(self, after: UUID) -> list[tuple[UUID, int]]:
        """Return tasks that have several keys, and how many."""
        rows = await self._connection.fetch(statement("verify_shared_keys"), after)
        return [(row["task_id"], row["keys"]) for row in rows]

    async def rejections(self, after: UUID, limit: int) -> list[StoredRejection]:
        """Return the next refused messages in order of their ids."""
        rows = await self._connection.fetch(statement("verify_rejections"), after, limit)
        return [StoredRejection._make(row) for row in rows]

    async def feed_start(self, keep_days: float) -> datetime:
        """Return the time from which the feed must be complete."""
        start: datetime = await self._connection.fetchval(
            statement("verify_feed_start"), keep_days, self._as_of
        )
        return start

    async def feed_differences(
        self, after: UUID, upto: UUID, start: datetime, limit: int
    ) -> list[FeedDifference]:
        """Return where the feed and the history of these ids differ, from `start` on; at most `limit` times."""
        bounds = [week.bounds for week in await self.weeks()]
        complete_from = identity.lower_bound(await self.pruned_before())
        first_ids, next_ids = [first for first, _ in bounds], [after for _, after in bounds]
        rows = await self._connection.fetch(
            statement("verify_feed"), after, upto, start, first_ids, next_ids, limit, complete_from
        )
        return [FeedDifference._make(row) for row in rows]

    async def position_holes(
        self, first: int, limit: int, start: datetime
    ) -> tuple[int | None, list[PositionHole]]:
        """Read the next positions; return the last one (None if there is none) and the holes between them."""
        rows = await self._connection.fetch(statement("verify_positions"), first, limit, start)
        holes = [PositionHole(row["before"], row["position"]) for row in rows if row["position"]]
        return rows[0]["last"], holes

    async def unnumbered(self) -> tuple[int, float]:
        """Return how many change batches have no position, and for how many seconds the first has waited."""
        row = await self._connection.fetchrow(statement("verify_unnumbered"), self._as_of)
        assert row is not None  # noqa: S101 - an aggregate always has a row
        return row["batches"], row["waited_s"]

    async def moment(self) -> datetime:
        """Return the time until which ages are counted."""
        if self._as_of is not None:
            return self._as_of
        moment: datetime = await self._connection.fetchval(statement("clock_now"))
        return moment

    async def schedules(self, after: int, limit: int) -> list[CheckedSchedule]:
        """Return the next schedules in the order of their ids."""
        rows = await self._connection.fetch(statement("verify_schedules"), after, limit)
        return [CheckedSchedule._make(row) for row in rows]

    async def revisions(self, schedule_id: int) -> list[ScheduleRevision]:
        """Return the specs that a schedule had, in the order in which they held."""
        return await schedules.revisions(self._connection, schedule_id)

    async def fires(
        self, schedule_id: int, after: datetime, until: datetime
    ) -> AsyncIterator[FiredTicks]:
        """Yield the fires of a schedule in the order of their ticks."""
        text = statement("verify_fires")
        cursor = self._connection.cursor(text, schedule_id, after, until, prefetch=_ENTRIES_AT_ONCE)
        async for row in cursor:
            yield FiredTicks._make(row)

    async def repeated_fires(self, limit: int) -> list[RepeatedFire]:
        """Read all fires; return ticks and tasks that have several, at most `limit` of each."""
        rows = await self._connection.fetch(statement("verify_fires_twice"), limit)
        return [RepeatedFire._make(row) for row in rows]

    async def overdue(
        self, longer_s: float, after: BucketKey, limit: int
    ) -> tuple[list[OverdueBucket], BucketKey | None]:
        """Return which of the next buckets have waited longer, though a worker with free slots serves them.

        Also returns the position from which to go on, None at the end.
        """
        text = statement("verify_overdue")
        rows = await self._connection.fetch(text, longer_s, limit, *after, self._as_of)
        found = [OverdueBucket._make(row[:-2]) for row in rows if row["is_overdue"]]
        last = rows[-1] if rows else None
        if last is None or not last["is_end"]:
            return found, None
        return found, BucketKey(last["queue"], last["type"], last["priority"])


@asynccontextmanager
async def snapshot(database: Database, *, as_of: datetime | None = None) -> AsyncIterator[Snapshot]:
    """Open a snapshot for reads by index; each may take as long as a hot statement.

    Raises:
        Unavailable: the database is away or overloaded.
    """
    async with database.hot() as connection, _reading(connection, as_of) as opened:
        # One process is enough for some thousand rows, and leaves the other cores to the work.
        await connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        yield opened


@asynccontextmanager
async def slow_snapshot(
    database: Database, *, timeout_s: float, as_of: datetime | None = None
) -> AsyncIterator[Snapshot]:
    """Open a snapshot for reads of whole tables; each may take up to `timeout_s` seconds.

    Raises:
        Unavailable: as for `snapshot`.
    """
    async with (
        database.slow(timeout_s=timeout_s) as connection,
        _reading(connection, as_of) as opened,
    ):
        yield opened


@asynccontextmanager
async def _reading(connection: Connection, as_of: datetime | None) -> AsyncIterator[Snapshot]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(statement("hold_partitions"))
        yield Snapshot(connection, as_of)


async def last_id(database: Database) -> UUID | None:
    """Return the highest id in use, None when there is none."""
    found: UUID | None = await database.fetch_value("last_task_id")
    return found


def _checked_task(row: asyncpg.Record) -> CheckedTask:
    facts = tuple(row)
    return CheckedTask(
        row=TaskRow._make(facts[_ROW_COLUMNS]),
        expected=DispatchRow._make(facts[_EXPECTED]),
        dispatched=None
        if row[_DISPATCHED.start] is None
        else DispatchRow._make(facts[_DISPATCHED]),
        expected_running=_running(facts[_EXPECTED_RUNNING]),
        running=_running(facts[_RUNNING]),
        has_lease=row["has_lease"],
        lease_over_s=row["lease_over_s"],
    )


def _running(facts: tuple[object, ...]) -> RunningRow | None:
    return None if facts[0] is None else RunningRow(*facts)  # type: ignore[arg-type]
