"""The state of the whole system: workers, counts, readiness."""

from collections.abc import Collection
from uuid import UUID

import asyncpg

from taskmill.domain.activity import ActivityRequest
from taskmill.domain.errors import (
    ConfigurationError,
    InvalidInput,
    TaskmillError,
    WorkerGone,
    WorkerNotFound,
)
from taskmill.domain.system import Liveness, Readiness, Stats, WorkerRequest, WorkerState
from taskmill.operations.broker import NO_BROKER, BrokerWatch
from taskmill.operations.writability import Writability
from taskmill.storage import counts, faults, migrate, minutes
from taskmill.storage.database import Database

_MOST_WORKERS = 1000
_UNWRITABLE = "it answers, but takes no writes"


async def list_workers(database: Database, *, only: UUID | None = None) -> list[WorkerState]:
    """Return the live workers, and those that ended in the last hour, newest first; then remote leases.

    With `only`, return just that one.
    """
    return [
        WorkerState(
            id=row["id"],
            name=row["worker"],
            queues=row["queues"],
            types=row["types"],
            slots=row["slots"],
            running=row["running"],
            started_at=row["started_at"],
            renewed_at=row["renewed_at"],
            expires_at=row["expires_at"],
            closed_at=row["closed_at"],
            close_reason=row["close_reason"],
            request=None if row["request"] is None else WorkerRequest(row["request"]),
            remote=row["remote"],
            version=row["version"],
            stop_when_empty=row["stop_when_empty"],
            lost_tasks=row["lost_tasks"],
            state=_liveness(closed=row["closed_at"] is not None, expired=row["expired"]),
        )
        for row in await database.fetch("list_leases", _MOST_WORKERS, only)
    ]


async def set_worker_request(
    database: Database, lease_id: UUID, request: WorkerRequest | None, *, when_empty: bool = False
) -> WorkerState:
    """Record a request for a worker, or (None) remove it; the worker reads it when it renews its lease.

    One that is to stop `when_empty` is quiet until it runs nothing more.

    Raises:
        WorkerNotFound: no worker has this id.
        WorkerGone: it has ended.
        InvalidInput: it pulls over HTTP, and takes no requests.
    """
    wanted = WorkerRequest.QUIET if when_empty else request
    [result] = await database.fetch("set_worker_request", lease_id, wanted, when_empty)
    if not result["is_known"]:
        raise WorkerNotFound(lease_id)
    if result["is_remote"]:
        raise InvalidInput.at("path:id", "a worker process", "a claim of one that pulls over HTTP")
    if not result["is_open"]:
        raise WorkerGone(lease_id)
    [worker] = await list_workers(database, only=lease_id)
    return worker


def _liveness(*, closed: bool, expired: bool) -> Liveness:
    if closed:
        return Liveness.CLOSED
    return Liveness.EXPIRED if expired else Liveness.ALIVE


async def stats(
    database: Database,
    broker: BrokerWatch,
    request: ActivityRequest | None = None,
    visible: Collection[str] | None = None,
) -> Stats:
    """Return the counts of tasks by queue and status, the capacity of the live workers, and the broker's state.

    With a request, also what happened lately. With `visible`, only of these queues: workers that serve one of
    them, and what they run of these.
    """
    names = None if visible is None else sorted(visible)
    [capacity] = await database.fetch("sum_capacity", names)
    counted = await counts.by_queue(database)
    return Stats(
        queues=counted
        if visible is None
        else {queue: of_it for queue, of_it in counted.items() if queue in visible},
        workers_alive=capacity["workers"],
        slots=capacity["slots"],
        running=capacity["running"],
        broker=broker.state(),
        activity=None if request is None else await minutes.read(database, request, visible),
    )


async def readiness(
    database: Database, broker: BrokerWatch = NO_BROKER, writability: Writability | None = None
) -> Readiness:
    """Check the database's schema, whether it accepts writes if that is in doubt, and the broker.

    Any trouble is returned, not raised.
    """
    try:
        async with database.hot() as connection:
            applied = await migrate.applied(connection)
    except (TaskmillError, asyncpg.PostgresError) as error:
        return Readiness(
            parts={"database": str(error), "schema": None},
            broker=broker.state(),
            intake=await broker.intake_state(),
            cause=faults.in_words(error.__cause__ or error),
        )
    schema, cause = _schema_trouble(applied), None
    if writability is not None and schema is None:
        cause = await writability.trouble()
    return Readiness(
        parts={"database": None if cause is None else _UNWRITABLE, "schema": schema},
        broker=broker.state(),
        intake=await broker.intake_state(),
        cause=cause,
    )


async def check_schema(database: Database) -> None:
    """Raise `ConfigurationError` unless the database has the schema that this program needs."""
    async with database.hot() as connection:
        trouble = _schema_trouble(await migrate.applied(connection))
    if trouble is not None:
        raise ConfigurationError(trouble)


def _schema_trouble(applied: str | None) -> str | None:
    needed = migrate.head()
    if applied is not None and applied >= needed:
        return None
    return migrate.too_old(applied) or (
        f"the schema is {applied or 'missing'}, this program needs {needed}: run `taskmill migrate`"
    )
