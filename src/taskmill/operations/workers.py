"""Workers: listed, and asked to take no more tasks or to stop.

Who may see some queues only sees workers that serve one of them.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

import asyncpg

from taskmill.domain.attention_snapshot import LostWorker
from taskmill.domain.errors import InvalidInput, WorkerGone, WorkerNotFound
from taskmill.domain.system import Liveness, WorkerRequest, WorkerState
from taskmill.operations.authorisation import missing
from taskmill.operations.visibility import current_visibility, visible_queues
from taskmill.storage import attention, leases, queues
from taskmill.storage.database import Database

_MOST_WORKERS: Final = 1000


async def list_workers(database: Database, *, only: UUID | None = None) -> list[WorkerState]:
    """Return the live workers, and those that ended in the last hour, newest first; then remote leases.

    With `only`, return just that one, also if it was lost in the last day. For who may see some queues only, they
    are those that serve one of these, with what they run of them; of one that serves others, too, only types are
    shown that these queues have.
    """
    visible = await visible_queues(database)
    rows = await database.fetch(
        "list_leases", _MOST_WORKERS, only, None if visible is None else sorted(visible)
    )
    workers = [_worker(row) for row in rows]
    if (visibility := current_visibility()) is None or visible is None:
        return workers
    limited = [one.limited_to(visibility) for one in await _lost_in(database, visible, workers)]
    if not any(one.is_shared for one in limited):
        return limited
    types = await queues.types_in(database, visible)
    return [one.with_types_of(types) if one.is_shared else one for one in limited]


async def lost_workers(database: Database) -> list[LostWorker]:
    """Return the workers that were lost in the last day, the latest first, with what was taken back from each.

    For who may see some queues only, they are those that served one of these, with the lost tasks of them.
    """
    visible = await visible_queues(database)
    found = await attention.lost_workers(database, None if visible is None else sorted(visible))
    if visible is None:
        return found
    lost = await leases.count_lost(database, [one.id for one in found if one.tasks], visible)
    return [replace(one, tasks=lost.get(one.id, 0)) for one in found]


async def set_worker_request(
    database: Database, lease_id: UUID, request: WorkerRequest | None, *, when_empty: bool = False
) -> WorkerState:
    """Record a request for a worker, or (None) remove it; the worker reads it when it renews its lease.

    One that is to stop `when_empty` is quiet until it runs nothing more.

    Raises:
        WorkerNotFound: no worker has this id, or none that may be seen.
        ScopeMissing: it serves other queues as well.
        WorkerGone: it has ended.
        InvalidInput: it pulls over HTTP, and takes no requests.
    """
    await _require_all_of(database, lease_id)
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


async def _require_all_of(database: Database, lease_id: UUID) -> None:
    """Check that all queues of a worker may be seen: what it is asked to do concerns each of them."""
    if (visibility := current_visibility()) is None:
        return
    found = await list_workers(database, only=lease_id)
    if not found:
        raise WorkerNotFound(lease_id)
    if found[0].is_shared:
        raise missing(visibility.scopes[-1], None)


async def _lost_in(
    database: Database, queues: Collection[str], workers: Sequence[WorkerState]
) -> list[WorkerState]:
    """Return workers with the number of tasks that they have lost of some queues."""
    lost = [one.id for one in workers if one.lost_tasks]
    found = await leases.count_lost(database, lost, queues) if lost else {}
    return [replace(one, lost_tasks=found.get(one.id, 0)) for one in workers]


def _worker(row: asyncpg.Record) -> WorkerState:
    return WorkerState(
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


def _liveness(*, closed: bool, expired: bool) -> Liveness:
    if closed:
        return Liveness.CLOSED
    return Liveness.EXPIRED if expired else Liveness.ALIVE
