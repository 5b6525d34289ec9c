"""Leases: a worker's right to run what it claimed, as long as it renews the lease."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from taskmill.domain.system import WorkerRequest
from taskmill.domain.task import Fence
from taskmill.observability.logs import get_logger
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement
from taskmill.version import VERSION

log = get_logger(__name__)

MOST_LOST = 1000
"""The most tasks of a lost worker whose ids are recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProfile:
    """What a worker reports about itself. Empty `queues` means all; `types` may hold `*`."""

    name: str
    queues: Collection[str]
    types: Collection[str]
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """A renewed lease, and what its worker is asked to do; `stop_when_empty` is for a quiet worker."""

    request: WorkerRequest | None
    stop_when_empty: bool


async def open_lease(
    connection: Connection,
    lease_id: UUID,
    card: WorkerProfile,
    *,
    ttl_s: float,
    request: WorkerRequest | None = None,
    stop_when_empty: bool = False,
) -> None:
    """Open a lease of `ttl_s` seconds; what the worker was asked to do under an earlier one carries over."""
    await connection.execute(
        statement("open_lease"),
        lease_id,
        card.name,
        sorted(card.queues),
        sorted(card.types),
        card.slots,
        ttl_s,
        request,
        VERSION,
        stop_when_empty,
    )


async def renew_lease(
    connection: Connection, lease_id: UUID, *, ttl_s: float, running: int
) -> Renewed | None:
    """Let the lease live `ttl_s` seconds from now; None when it was closed, and so is lost."""
    row = await connection.fetchrow(statement("renew_lease"), lease_id, ttl_s, running)
    if row is None:
        return None
    requested = row["request"]
    return Renewed(
        request=None if requested is None else WorkerRequest(requested),
        stop_when_empty=row["stop_when_empty"],
    )


async def find_cancel_requested(
    connection: Connection, lease_id: UUID, *, timeout_s: float
) -> list[tuple[UUID, int]]:
    """Return (task id, claim number) of what runs under the lease and was asked to stop.

    Raises:
        TimeoutError: no result in time; the connection is still usable.
    """
    rows = await connection.fetch(statement("find_cancel_requested"), lease_id, timeout=timeout_s)
    return [(row["id"], row["claim_no"]) for row in rows]


async def close_lease(database: Database, lease_id: UUID, reason: str) -> None:
    """End a lease for good; closing it twice does nothing."""
    await database.fetch("close_lease", lease_id, reason)


async def record_lost(database: Database, lost: Collection[Fence]) -> None:
    """Record in closed leases which tasks ran under them; repeating it changes nothing."""
    leases, tasks = [one.lease_id for one in lost], [one.task_id for one in lost]
    await database.fetch("record_lost_tasks", leases, tasks, MOST_LOST)


async def find_lost(database: Database, lease_id: UUID) -> list[UUID]:
    """Return the ids of the tasks that a lost worker ran under a lease, oldest first, `MOST_LOST` at most."""
    return [row["task_id"] for row in await database.fetch("find_lost_tasks", lease_id)]


async def count_lost(
    database: Database, lease_ids: Collection[UUID], queues: Collection[str]
) -> dict[UUID, int]:
    """Return how many tasks of lost workers are in some queues, by lease; those without any are left out."""
    rows = await database.fetch("count_lost_tasks", list(lease_ids), sorted(queues))
    return {row["id"]: row["tasks"] for row in rows}


async def close_expired(database: Database) -> list[UUID]:
    """Close every lease that ran out; return their ids once that is committed."""
    rows = await database.fetch("close_expired_leases")
    for row in rows:
        expired_at: datetime = row["expires_at"]
        log.warning(
            "lease.expired",
            lease_id=str(row["id"]),
            worker=row["worker"],
            expired_at=expired_at.isoformat(),
        )
    return [row["id"] for row in rows]
