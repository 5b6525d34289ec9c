"""Leases of workers that pull over HTTP: one for each claim, opened with it, closed after its last task."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from taskmill.domain.errors import TaskmillError
from taskmill.domain.lifecycle import AttemptFacts
from taskmill.domain.remote import LeaseRequest, RemoteLease, RenewedLease
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import Fence
from taskmill.storage import claims
from taskmill.storage.claims import Bucket, BucketStart, EndedAttempt, TakenTask
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAttempt:
    """An attempt as PostgreSQL knows it: what decides how it ends, and which worker runs it.

    `retry` is None for the service's policy; `ran_s` is how many seconds it has run.
    """

    fence: Fence
    queue: str
    type: str
    worker: str
    attempt: int
    max_attempts: int
    losses: int
    max_losses: int
    retry: RetryPolicy | None
    timeout: timedelta | None
    cancel_requested: bool
    ran_s: float

    def facts(self, policy: RetryPolicy) -> AttemptFacts:
        """Return what decides how it ends; `policy` is for tasks that bring none."""
        return AttemptFacts(
            attempt=self.attempt,
            max_attempts=self.max_attempts,
            losses=self.losses,
            max_losses=self.max_losses,
            retry=self.retry or policy,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseState:
    """Whether a lease has ended, and why."""

    is_closed: bool
    reason: str | None


# A commit takes milliseconds, and waiting for longer would hold up other claims.
_WAIT_BRIEFLY = "SET LOCAL lock_timeout = '50ms'"


class _NothingTaken(TaskmillError):
    """Other workers were quicker: the lease must not be stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseLimit:
    """How many bytes the payloads of one claim may have in total, and the most that each can have."""

    response_bytes: int = 32 * 2**20
    payload_bytes: int = 2**20

    def room(self, taken: Sequence[TakenTask]) -> int:
        """Return how many more tasks fit, however large their payloads are; the first one always does."""
        used = sum(len((one.task.payload or "").encode()) for one in taken)
        return max((self.response_bytes - used) // self.payload_bytes, 0 if taken else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A lease with what was claimed under it; `may_be_more`: its buckets may still have due tasks."""

    lease: RemoteLease
    taken: Sequence[TakenTask]
    may_be_more: bool


async def claim(
    database: Database,
    lease_id: UUID,
    wanted: LeaseRequest,
    buckets: Sequence[Bucket],
    limit: ResponseLimit = ResponseLimit(),
) -> Claimed | None:
    """Open a lease and claim due tasks of these buckets under it, in one transaction; None when there are none.

    Raises:
        Unavailable: the database is away; whether it has committed is unknown.
    """
    try:
        async with database.hot_transaction() as connection:
            await connection.execute(
                statement("open_remote_lease"),
                lease_id,
                wanted.worker,
                sorted(wanted.queues),
                sorted(wanted.types),
                wanted.limit,
                wanted.ttl_s,
            )
            taken, may_be_more = await _taken(connection, lease_id, wanted, buckets, limit)
            expires_at = await _record_taken(connection, lease_id, taken, wanted.ttl_s)
    except _NothingTaken:
        return None
    database.notify_committed()
    lease = RemoteLease(
        id=lease_id,
        worker=wanted.worker,
        expires_at=expires_at,
        ttl_s=wanted.ttl_s,
        tasks=[one.task for one in taken],
    )
    return Claimed(lease=lease, taken=taken, may_be_more=may_be_more)


async def _taken(
    connection: Connection,
    lease_id: UUID,
    wanted: LeaseRequest,
    buckets: Sequence[Bucket],
    limit: ResponseLimit,
) -> tuple[list[TakenTask], bool]:
    """Claim in steps that fit into the response, however large the tasks are: none has to be put back.

    Returns them in the order of `claims.in_order`: what became due between steps may be more urgent.
    """
    taken: list[TakenTask] = []
    while (step := min(wanted.limit - len(taken), limit.room(taken))) > 0:
        more = await claims.take_with(
            connection,
            lease_id=lease_id,
            worker=wanted.worker,
            buckets=[(bucket, BucketStart()) for bucket in buckets],
            limit=step,
        )
        taken += more
        if len(more) < step:
            return claims.in_order(taken), False
    return claims.in_order(taken), True


async def _record_taken(
    connection: Connection, lease_id: UUID, taken: Sequence[TakenTask], ttl_s: float
) -> datetime:
    """Record in the lease what it took, and return its end. Raises `_NothingTaken`, which rolls back."""
    if not taken:
        raise _NothingTaken
    ids = [one.task.id for one in taken]
    expires_at: datetime = await connection.fetchval(
        statement("record_remote_claim"), lease_id, ids, _first_timeout_s(taken), ttl_s
    )
    return expires_at


def _first_timeout_s(taken: Sequence[TakenTask]) -> float | None:
    return min(
        (one.task.timeout.total_seconds() for one in taken if one.task.timeout is not None),
        default=None,
    )


async def renew(
    database: Database, renewals: Mapping[UUID, float | None]
) -> dict[UUID, RenewedLease]:
    """Let leases live so many seconds from now (None: as many as before); closed ones are not in the result."""
    ids = sorted(renewals)
    rows = await database.fetch("renew_remote_leases", ids, [renewals[one] for one in ids])
    return {
        row["id"]: RenewedLease(
            id=row["id"],
            expires_at=row["expires_at"],
            ttl_s=row["ttl_s"],
            tasks=row["ids"] or (),
            cancel=row["cancel_requested_ids"] or (),
        )
        for row in rows
    }


async def settle(database: Database, lease_ids: Collection[UUID], reason: str) -> None:
    """Close the leases under which nothing runs any more; call it after the end of an attempt has committed."""
    await database.fetch("settle_remote_leases", sorted(lease_ids), reason)


async def add_tombstone(database: Database, lease_id: UUID) -> bool:
    """Keep a lease from being committed later; return False when it has just been committed.

    Raises:
        Unavailable: its transaction still runs, or the database is away; call again.
    """
    async with database.hot_transaction() as connection:
        await connection.execute(_WAIT_BRIEFLY)
        return await connection.fetchval(statement("add_lease_tombstone"), lease_id) is not None


async def find(database: Database, lease_id: UUID) -> LeaseState | None:
    """Return whether a lease has ended; None when there is none, or no longer."""
    rows = await database.fetch("find_remote_lease", lease_id)
    if not rows:
        return None
    return LeaseState(is_closed=rows[0]["is_closed"], reason=rows[0]["close_reason"])


async def find_attempts(
    database: Database, fences: Collection[Fence]
) -> dict[Fence, RemoteAttempt]:
    """Return the attempts whose fence holds."""
    rows = await database.fetch("find_remote_attempts", *_columns(fences))
    return {found.fence: found for found in map(_claim, rows)}


async def find_of_lease(database: Database, lease_id: UUID) -> list[RemoteAttempt]:
    """Return what runs under a lease."""
    return [_claim(row) for row in await database.fetch("find_attempts_of_remote_lease", lease_id)]


async def find_timed_out(database: Database, limit: int) -> list[RemoteAttempt]:
    """Return attempts that have run longer than their timeout."""
    return [_claim(row) for row in await database.fetch("find_timed_out_attempts", limit)]


async def find_own_end(database: Database, fence: Fence) -> EndedAttempt | None:
    """Return how the worker of an attempt has ended it; None when it has not."""
    rows = await database.fetch("find_own_ends", *_columns([fence]))
    return claims.ended_of(rows[0]) if rows else None


def _columns(fences: Collection[Fence]) -> tuple[list[object], ...]:
    return (
        [fence.task_id for fence in fences],
        [fence.lease_id for fence in fences],
        [fence.claim_no for fence in fences],
    )


def _claim(row: asyncpg.Record) -> RemoteAttempt:
    timeout_s = row["timeout_s"]
    return RemoteAttempt(
        fence=Fence(task_id=row["id"], lease_id=row["lease_id"], claim_no=row["claim_no"]),
        queue=row["queue"],
        type=row["type"],
        worker=row["worker"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        losses=row["losses"],
        max_losses=row["max_losses"],
        retry=claims.retry_policy(row["retry"]),
        timeout=None if timeout_s is None else timedelta(seconds=timeout_s),
        cancel_requested=row["cancel_requested"],
        ran_s=row["ran_s"],
    )
