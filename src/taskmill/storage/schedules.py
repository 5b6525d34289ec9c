"""Stores schedules, and what became of their ticks.

When ticks are is not known here. Whoever fires locks a schedule first, before anything else.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from taskmill.domain.fires import (
    Fire,
    FireCause,
    FireOutcome,
    FirePart,
    ScheduleContent,
    ScheduleRevision,
    ScheduleStep,
    StoredSchedule,
    TickOfTask,
)
from taskmill.domain.parts import PAGE_BYTES, Part
from taskmill.storage.api_keys import known_limits
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.statements import columns, part, statement

FIRST_ID = 0
"""Before all schedules in their order."""

MOST_FIRES_READ: Final = 10_000
"""So many fires are looked at for those with some outcome."""
_FIRE_COLUMNS: Final = 9


async def lock_due(
    connection: Connection, limit: int, *, by_owner: bool = False
) -> list[StoredSchedule]:
    """Lock and return schedules for which there is something to do; others' locked ones are left out.

    `by_owner`: as many of each owner, instead of those that are due for longest; one of each may be more than
    `limit`.
    """
    locking = statement("lock_due_of_owners") if by_owner else statement("lock_due_schedules")
    rows = await connection.fetch(locking, limit)
    return [schedule_of(row) for row in rows]


async def lock(connection: Connection, name: str) -> StoredSchedule | None:
    """Lock and return a schedule, None when there is none."""
    row = await connection.fetchrow(statement("lock_schedule"), name)
    return None if row is None else schedule_of(row)


async def lock_of_zones(
    connection: Connection, tz_version: str, limit: int, *, after: int
) -> list[StoredSchedule]:
    """Lock and return the next schedules that were planned with other rules of time zones."""
    rows = await connection.fetch(statement("lock_schedules_of_zones"), tz_version, limit, after)
    return [schedule_of(row) for row in rows]


async def update_zones(
    connection: Connection, next_at: Iterable[tuple[int, datetime | None]], tz_version: str
) -> None:
    """Record when locked schedules next have something to do by these rules of time zones."""
    pairs = list(next_at)
    ids, times = [one for one, _ in pairs], [at for _, at in pairs]
    await connection.execute(statement("update_zones"), ids, times, tz_version)


async def get(database: Database, name: str) -> StoredSchedule | None:
    """Return a schedule, None when there is none."""
    rows = await database.fetch("get_schedule", name)
    return schedule_of(rows[0]) if rows else None


async def page(
    database: Database, *, after: int, limit: int, queues: Collection[str] | None
) -> Part[StoredSchedule]:
    """Return up to `limit` schedules after one, oldest first; only those of some queues, or (None) all.

    Fewer where their templates are large.
    """
    arguments = (after, limit + 1, PAGE_BYTES)
    if queues is None:
        rows = await database.fetch("list_schedules", *arguments)
    else:
        rows = await database.fetch("list_schedules_of_queues", *arguments, sorted(queues))
    return part(rows, limit, schedule_of)


async def count(connection: Connection, most: int) -> int:
    """Return how many schedules there are, at most `most`; or 0 where they are surely fewer."""
    found: int = await connection.fetchval(statement("count_schedules"), most)
    return found


async def count_of(connection: Connection, owner: str, most: int) -> int:
    """Return how many schedules an owner has, at most `most`; it gets no other one until the transaction ends."""
    # A statement of its own: what others have committed while this one waited is counted by the next one.
    await connection.execute(statement("lock_schedule_owner"), owner)
    found: int = await connection.fetchval(statement("count_own_schedules"), owner, most)
    return found


async def now(connection: Connection) -> datetime:
    """Return PostgreSQL's time."""
    found: datetime = await connection.fetchval(statement("clock_now"))
    return found


async def create(
    connection: Connection,
    name: str,
    content: ScheduleContent,
    *,
    cursor_at: datetime,
    next_at: datetime | None,
    tz_version: str,
) -> StoredSchedule | None:
    """Store a new schedule; None when there is one of that name."""
    row = await connection.fetchrow(
        statement("create_schedule"),
        name,
        *_content(content),
        cursor_at,
        next_at,
        *_holder(content),
        tz_version,
    )
    return None if row is None else schedule_of(row)


async def replace(
    connection: Connection,
    locked: StoredSchedule,
    content: ScheduleContent,
    *,
    cursor_at: datetime,
    next_at: datetime | None,
    tz_version: str,
) -> StoredSchedule:
    """Store the next revision of a schedule that is locked."""
    row = await connection.fetchrow(
        statement("replace_schedule"),
        locked.id,
        locked.revision,
        *_content(content),
        cursor_at,
        next_at,
        *_holder(content),
        tz_version,
    )
    assert row is not None  # noqa: S101 - it is locked, and cursors only go forward
    return schedule_of(row)


async def set_paused(connection: Connection, schedule_id: int, *, paused: bool) -> StoredSchedule:
    """Pause a schedule that is locked, or have it go on."""
    row = await connection.fetchrow(statement("pause_schedule"), schedule_id, paused)
    assert row is not None  # noqa: S101 - it is locked
    return schedule_of(row)


async def delete(connection: Connection, name: str, revisions: Collection[int] | None) -> bool:
    """Delete a schedule if it has one of these revisions (None: any); its fires and tasks stay."""
    wanted = None if revisions is None else sorted(revisions)
    return bool(await connection.fetch(statement("delete_schedule"), name, wanted))


async def move(connection: Connection, steps: Sequence[ScheduleStep], tz_version: str) -> bool:
    """Record how far locked schedules have come; False when one is not as it was read."""
    if not steps:
        return True
    moved = await connection.fetch(statement("move_schedules"), *_steps(steps, tz_version))
    return len(moved) == len(steps)


async def postpone(connection: Connection, ids: Collection[int], pause: timedelta) -> None:
    """Leave locked schedules for later that can't be fired now."""
    if ids:
        arguments = (list(ids), pause.total_seconds())
        await connection.execute(statement("postpone_schedules"), *arguments)


async def record(
    connection: Connection,
    fires: Sequence[Fire],
    steps: Sequence[ScheduleStep],
    tz_version: str,
) -> set[tuple[int, datetime]] | None:
    """Record what became of ticks, and how far locked schedules have come, by one statement.

    Returns the ticks that had no fire before; None when all had none, as nearly always.

    Raises:
        RuntimeError: a schedule is not as it was read.
    """
    row = await connection.fetchrow(
        statement("record_fires"), *_fires(fires), *_steps(steps, tz_version)
    )
    if row is None or row["schedules"] != len(steps):
        raise RuntimeError("a schedule has changed while it was locked")
    if row["fires"] == len(fires):
        return None
    return set(zip(row["ids"] or (), row["ticks"] or (), strict=True))


def _steps(steps: Sequence[ScheduleStep], tz_version: str) -> Sequence[Sequence[object]]:
    return columns(
        (
            step.schedule.id,
            step.schedule.revision,
            step.schedule.cursor_at,
            step.cursor_at,
            step.next_at,
            step.held_tick,
            step.last_task_id,
            tz_version,
        )
        for step in steps
    )


def _fires(fires: Sequence[Fire]) -> Sequence[Sequence[object]]:
    if not fires:
        return [[]] * _FIRE_COLUMNS
    return columns(
        (
            fire.schedule_id,
            fire.tick,
            fire.until_tick,
            fire.ticks,
            fire.cause,
            fire.outcome,
            fire.task_id,
            fire.cancelled_task_id,
            fire.problem,
        )
        for fire in fires
    )


async def store_fires(connection: Connection, fires: Sequence[Fire]) -> set[tuple[int, datetime]]:
    """Record fires; return those that are new by schedule and tick: the others must make no task."""
    if not fires:
        return set()
    stored = await connection.fetch(statement("store_fires"), *_fires(fires))
    return {(row["schedule_id"], row["tick"]) for row in stored}


async def end_held(connection: Connection, fires: Sequence[Fire]) -> set[tuple[int, datetime]]:
    """Record what became of held ticks; return those that were held until now."""
    if not fires:
        return set()
    rows = [
        (fire.schedule_id, fire.tick, fire.outcome, fire.task_id, fire.problem) for fire in fires
    ]
    ended = await connection.fetch(statement("end_held_fires"), *columns(rows))
    return {(row["schedule_id"], row["tick"]) for row in ended}


async def find_unended(connection: Connection, task_ids: Collection[UUID]) -> set[UUID]:
    """Return which of these tasks have not ended."""
    if not task_ids:
        return set()
    rows = await connection.fetch(statement("find_unended_tasks"), list(task_ids))
    return {row["id"] for row in rows}


async def next_tick_in_s(database: Database, *, soon_s: float) -> float | None:
    """Return in how many seconds there is next something to do, None when that is not soon."""
    found: float | None = await database.fetch_value("find_next_tick", soon_s)
    return found


async def fires(
    database: Database,
    schedule_id: int,
    *,
    before: datetime,
    limit: int,
    outcomes: Collection[FireOutcome] | None = None,
    most_read: int = MOST_FIRES_READ,
) -> FirePart:
    """Return what became of ticks before one, the latest first.

    For `outcomes` it looks at `most_read` fires: they may be rare among millions.
    """
    wanted = None if outcomes is None else sorted(outcomes)
    rows = await database.fetch("list_fires", schedule_id, before, limit + 1, wanted, most_read)
    found = [fire_of(row) for row in rows if row["tick"] is not None]
    if len(found) > limit:
        return FirePart(found[:limit], next_before=found[limit - 1].tick)
    return FirePart(found, next_before=rows[0]["bound"])


async def find_fires(
    connection: Connection, schedule_id: int, first: datetime, last: datetime
) -> list[Fire]:
    """Return the fires of a schedule from one tick to another, in order, with a stretch that has begun before."""
    rows = await connection.fetch(statement("find_fires"), schedule_id, first, last)
    return [fire_of(row) for row in rows]


async def tick_of_task(database: Database, task_id: UUID) -> TickOfTask | None:
    """Return the tick for which a task was made, None if it is no longer stored, or there was none."""
    rows = await database.fetch("find_scheduled_tick", task_id)
    if not rows:
        return None
    [row] = rows
    return TickOfTask(row["tick"], FireCause(row["cause"]), row["previous_tick"])


async def refill(connection: Connection, fires: Sequence[Fire]) -> set[tuple[int, datetime]]:
    """Record that ticks which made no task have made one after all; return those that had none."""
    if not fires:
        return set()
    rows = [(fire.schedule_id, fire.tick, fire.task_id) for fire in fires]
    filled = await connection.fetch(statement("refill_fires"), *columns(rows))
    return {(row["schedule_id"], row["tick"]) for row in filled}


async def shorten(connection: Connection, stretches: Sequence[Fire]) -> None:
    """Record that stretches of skipped ticks, which begin as before, have these ends and numbers of ticks."""
    short = [(one.schedule_id, one.tick, one.until_tick, one.ticks) for one in stretches]
    if short:
        await connection.execute(statement("shorten_stretches"), *columns(short))


async def revisions(connection: Connection, schedule_id: int) -> list[ScheduleRevision]:
    """Return the specs that a schedule had, in the order in which they held."""
    rows = await connection.fetch(statement("list_revisions"), schedule_id)
    return [ScheduleRevision(*row.values()) for row in rows]


async def queues(database: Database) -> list[str]:
    """Return the queues of all schedules."""
    return [row["queue"] for row in await database.fetch("list_schedule_queues")]


async def prune(database: Database, keep_days: float, limit: int) -> int:
    """Delete up to `limit` fires that are older; return how many."""
    return len(await database.fetch("prune_fires", keep_days, limit))


def _content(content: ScheduleContent) -> tuple[object, ...]:
    return content.spec, content.task, content.queue, content.type


def _holder(content: ScheduleContent) -> tuple[object, ...]:
    return content.managed_by, content.owner, [str(limit) for limit in content.owner_quotas]


def schedule_of(row: asyncpg.Record) -> StoredSchedule:
    """Return the schedule of a row."""
    return StoredSchedule(
        id=row["id"],
        name=row["name"],
        revision=row["revision"],
        content=ScheduleContent(
            spec=row["spec"],
            task=row["task"],
            queue=row["queue"],
            type=row["type"],
            managed_by=row["managed_by"],
            owner=row["owner"],
            owner_quotas=tuple(known_limits(row["owner_quotas"])),
        ),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        cursor_at=row["cursor_at"],
        next_at=row["next_at"],
        held_tick=row["held_tick"],
        last_task_id=row["last_task_id"],
        paused_at=row["paused_at"],
        tz_version=row["tz_version"],
        moment=row["moment"],
        postponed_since=row["postponed_since"],
    )


def fire_of(row: asyncpg.Record) -> Fire:
    """Return the fire of a row."""
    return Fire(
        schedule_id=row["schedule_id"],
        tick=row["tick"],
        until_tick=row["until_tick"],
        ticks=row["ticks"],
        cause=FireCause(row["cause"]),
        outcome=FireOutcome(row["outcome"]),
        task_id=row["task_id"],
        cancelled_task_id=row["cancelled_task_id"],
        problem=row["problem"],
        at=row["at"],
    )
