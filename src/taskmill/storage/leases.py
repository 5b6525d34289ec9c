"""Leases: a worker's right to run what it claimed, for as long as it says that it lives."""

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
from taskmill.version import version

log = get_logger(__name__)

MOST_LOST = 1000
"""Of so many tasks it is remembered that a lost worker ran them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCard:
    """What a worker tells of itself. Empty `queues` means all; `types` may hold `*`."""

    name: str
    queues: Collection[str]
    types: Collection[str]
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """A lease that holds on, and what its worker is asked to do; a quiet one maybe to end once it is empty."""

    asked_to: WorkerRequest | None
    stop_when_empty: bool


async def open_lease(
    connection: Connection,
    lease_id: UUID,
    card: WorkerCard,
    *,
    ttl_s: float,
    asked_to: WorkerRequest | None = None,
    stop_when_empty: bool = False,
) -> None:
    """Begin a lease of `ttl_s` seconds; what the worker was asked to do under an earlier one holds on."""
    await connection.execute(
        statement("open_lease"),
        lease_id,
        card.name,
        sorted(card.queues),
        sorted(card.types),
        card.slots,
        ttl_s,
        asked_to,
        version(),
        stop_when_empty,
    )


async def renew_lease(
    connection: Connection, lease_id: UUID, *, ttl_s: float, running: int
) -> Renewed | None:
    """Let the lease run `ttl_s` seconds from now; None when it was closed, and so is lost."""
    row = await connection.fetchrow(statement("renew_lease"), lease_id, ttl_s, running)
    if row is None:
        return None
    asked = row["asked_to"]
    return Renewed(
        asked_to=None if asked is None else WorkerRequest(asked),
        stop_when_empty=row["stop_when_empty"],
    )


async def find_asked(
    connection: Connection, lease_id: UUID, *, timeout_s: float
) -> list[tuple[UUID, int]]:
    """Return (task id, claim number) of what runs under the lease and was asked to stop.

    Raises:
        TimeoutError: there was no answer in time; the connection is still good.
    """
    rows = await connection.fetch(statement("find_asked_claims"), lease_id, timeout=timeout_s)
    return [(row["id"], row["claim_no"]) for row in rows]


async def close_lease(database: Database, lease_id: UUID, reason: str) -> None:
    """End a lease for good; closing it twice does nothing."""
    await database.fetch("close_lease", lease_id, reason)


async def note_lost(database: Database, lost: Collection[Fence]) -> None:
    """Remember what ran under closed leases, with these; doing it again changes nothing."""
    leases, tasks = [one.lease_id for one in lost], [one.task_id for one in lost]
    await database.fetch("note_lost_tasks", leases, tasks, MOST_LOST)


async def find_lost(database: Database, lease_id: UUID) -> list[UUID]:
    """Return the ids of what ran under a lease when its worker was lost, `MOST_LOST` at most, the oldest first."""
    return [row["task_id"] for row in await database.fetch("find_lost_tasks", lease_id)]


async def close_expired(database: Database) -> list[UUID]:
    """End every lease that ran out, and return their ids once that is committed."""
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
