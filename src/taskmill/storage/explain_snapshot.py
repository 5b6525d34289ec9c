"""Reads the facts that explain where a task is, all in the transaction of the caller."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import asyncpg
import orjson

from taskmill.domain.explain_snapshot import (
    ExplainSnapshot,
    HeldLease,
    LastEvent,
    OpenLease,
    QueuePosition,
)
from taskmill.domain.fires import FireCause, TaskTick
from taskmill.domain.lifecycle import ErrorInfo, EventType, Status
from taskmill.domain.system import BrokerState
from taskmill.storage.events import reason_of
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement

MOST_AHEAD = 10_000
_MOST_BUCKETS = 1_000
# Each costs a visit of its row: 2,000 took 0.8 ms, 8,000 took 3.1; counting 10,000 ahead took 3.5 (2026-11-25).
_MOST_RUNNING = 5_000
_MOST_LEASES = 1_000
# While somebody holds an old snapshot, dead rows at the heads of the buckets take time to skip.
_LIMIT_TIME = "SET LOCAL statement_timeout = '100ms'"


async def read(
    connection: Connection, task_id: UUID, *, broker: BrokerState
) -> ExplainSnapshot | None:
    """Return the facts about a task, without its position; None when there is no such task."""
    rows = await connection.fetch(statement("find_explain_snapshot"), task_id)
    if not rows:
        return None
    leases = await connection.fetch(statement("list_open_leases"), _MOST_LEASES)
    [row] = rows
    tick = await _tick(connection, task_id) if row["is_of_schedule"] else None
    timeout_s = row["timeout_s"]
    return ExplainSnapshot(
        now=row["now"],
        task_id=row["id"],
        status=Status(row["status"]),
        queue=row["queue"],
        type=row["type"],
        priority=row["priority"],
        run=row["run"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        losses=row["losses"],
        max_losses=row["max_losses"],
        claim_no=row["claim_no"],
        cancel_requested=row["cancel_requested"],
        run_at=row["run_at"],
        expires_at=row["expires_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        timeout=None if timeout_s is None else timedelta(seconds=timeout_s),
        error=_error(row["error"]),
        lease_id=row["lease_id"],
        lease=_held_lease(row),
        last=_last_event(row),
        is_enqueued=row["is_enqueued"],
        queue_paused_at=row["queue_paused_at"],
        leases=tuple(map(_open_lease, leases)),
        broker=broker,
        tick=tick,
    )


async def read_position(connection: Connection, snapshot: ExplainSnapshot) -> QueuePosition:
    """Count what takes slots and what goes first, as far as a short timeout allows.

    Call it last: after a timeout the transaction has failed.
    """
    await connection.execute(_LIMIT_TIME)
    running: Mapping[UUID, int] | None = None
    try:
        running = await _count_running(connection)
        return await _count_ahead(connection, snapshot, running)
    except asyncpg.QueryCanceledError:
        return QueuePosition(running=running)


async def _count_running(connection: Connection) -> Mapping[UUID, int] | None:
    """Count running tasks by lease; None when there are too many."""
    rows = await connection.fetch(statement("count_running"), _MOST_RUNNING)
    running = {row["lease_id"]: row["running"] for row in rows}
    return running if sum(running.values()) < _MOST_RUNNING else None


async def _count_ahead(
    connection: Connection, snapshot: ExplainSnapshot, running: Mapping[UUID, int] | None
) -> QueuePosition:
    types = snapshot.rival_types
    [row] = await connection.fetch(
        statement("count_ahead"),
        snapshot.queue,
        None if types is None else sorted(types),
        snapshot.priority,
        snapshot.run_at,
        snapshot.task_id,
        MOST_AHEAD,
        _MOST_BUCKETS,
    )
    ahead: int = row["ahead"]
    is_more = ahead == MOST_AHEAD or row["has_more_buckets"]
    return QueuePosition(running=running, ahead=ahead, is_more=is_more)


async def _tick(connection: Connection, task_id: UUID) -> TaskTick | None:
    """Return the tick for which a schedule made a task; None when that is no longer kept."""
    row = await connection.fetchrow(statement("find_task_tick"), task_id)
    if row is None:
        return None
    return TaskTick(
        schedule=row["schedule"],
        queue=row["queue"],
        tick=row["tick"],
        cause=FireCause(row["cause"]),
    )


def _held_lease(row: asyncpg.Record) -> HeldLease | None:
    if row["worker"] is None:
        return None
    return HeldLease(
        worker=row["worker"],
        renewed_at=row["renewed_at"],
        expires_at=row["lease_expires_at"],
        closed_at=row["closed_at"],
        close_reason=row["close_reason"],
    )


def _last_event(row: asyncpg.Record) -> LastEvent | None:
    if row["last_at"] is None:
        return None
    event_type = EventType(row["last_event"])
    return LastEvent(at=row["last_at"], event_type=event_type, reason=reason_of(row["last_reason"]))


def _open_lease(row: asyncpg.Record) -> OpenLease:
    return OpenLease(
        id=row["id"],
        worker=row["worker"],
        queues=frozenset(row["queues"]),
        types=frozenset(row["types"]),
        slots=row["slots"],
        running=row["running"],
        renewed_at=row["renewed_at"],
        expires_at=row["expires_at"],
        is_quiet=row["request"] is not None,
    )


def _error(stored: str | None) -> ErrorInfo | None:
    if stored is None:
        return None
    parts = orjson.loads(stored)
    return ErrorInfo(type=parts["type"], message=parts["message"])
