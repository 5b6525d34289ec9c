"""Writes new tasks and reads stored ones, many at a time."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg

from taskmill.domain.errors import TaskNotFound
from taskmill.domain.lifecycle import Status
from taskmill.domain.task import Progress, Task, TaskDraft
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.statements import columns, statement
from taskmill.storage.waiting_shares import WaitingShare
from taskmill.wire.retry import policy_json

if TYPE_CHECKING:
    from sqlalchemy import RowMapping


OWNED: Final = "api_key:"
"""What the scopes of idempotency keys begin with that belong to an API key, before its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A draft with what the service adds to it. `key_expires_at` is for drafts with a key.

    `share` is what it takes of its owner's quotas while it waits; None where there is no such quota.
    """

    id: UUID
    created_at: datetime
    run_at: datetime
    draft: TaskDraft
    key_expires_at: datetime
    share: WaitingShare | None = None

    @property
    def scoped_key(self) -> tuple[str, str] | None:
        """The scope of the task's idempotency key, and the key; None when it has none."""
        key = self.draft.idempotency
        return (key_scope(self.draft), key.key) if key else None


def key_scope(draft: TaskDraft) -> str:
    """Return the scope of a draft's idempotency key: the API key that sent it, else the entry point."""
    owner = draft.idempotency.owner if draft.idempotency else None
    return draft.source if owner is None else f"{OWNED}{owner}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """The task that an idempotency key stands for, the request that made it, and whether it is still valid."""

    task_id: UUID
    request_hash: bytes
    is_valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFacts:
    """What PostgreSQL added to a new task."""

    number: int
    updated_at: datetime


async def insert(
    connection: Connection,
    new: Iterable[NewTask],
    *,
    notifies: bool = False,
    timeout_s: float | None = None,
) -> dict[UUID, StoredFacts]:
    """Store the tasks in one statement; return what PostgreSQL added to those it created.

    `timeout_s` replaces the usual timeout. `notifies`: the commit notifies those who wait for tasks; for a single
    task only.

    A task that is missing from the result was created by an earlier call with the same id, or its key is taken; of
    those with the same key only the first is created.
    """
    ordered = _ordered(new)
    shares = _shares(ordered)
    text = statement("create_tasks", for_one=notifies, for_owned=bool(shares))
    rows = await connection.fetch(text, *columns(map(_row, ordered)), *shares, timeout=timeout_s)
    return {
        row["id"]: StoredFacts(number=row["number"], updated_at=row["updated_at"]) for row in rows
    }


def _ordered(new: Iterable[NewTask]) -> list[NewTask]:
    """Return all without a key, then the first of each, sorted by key so that two batches can't deadlock."""
    ordered: list[NewTask] = []
    keyed: dict[tuple[str, str], NewTask] = {}
    for task in new:
        if (key := task.scoped_key) is None:
            ordered.append(task)
        else:
            keyed.setdefault(key, task)
    return [*ordered, *(keyed[key] for key in sorted(keyed))] if keyed else ordered


def _shares(new: Sequence[NewTask]) -> Sequence[Sequence[object]]:
    """Return ids in order, and the owner and bytes of each; nothing if no task has an owner."""
    if all(task.share is None for task in new):
        return ()
    return columns(
        (task.id, task.share and task.share.owner, task.share and task.share.bytes)
        for task in sorted(new, key=_id_of)
    )


def _id_of(task: NewTask) -> UUID:
    return task.id


def _row(task: NewTask) -> tuple[object, ...]:
    """Return what `create_tasks` takes of a task, in its order."""
    draft = task.draft
    key = draft.idempotency
    return (
        task.id,
        draft.name,
        draft.description,
        draft.type,
        draft.payload,
        draft.queue,
        draft.priority,
        task.run_at,
        task.created_at,
        draft.max_attempts,
        draft.max_losses,
        None if draft.retry is None else policy_json(draft.retry),
        None if draft.timeout is None else draft.timeout.total_seconds(),
        draft.expires_at,
        draft.labels,
        draft.source,
        draft.traceparent,
        key.key if key else None,
        key.request_hash if key else None,
        task.key_expires_at if key else None,
        draft.open_policy or None,
        key_scope(draft) if key and key.owner else None,
        draft.payload_secrets,
    )


async def find_keys(
    connection: Connection, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], HeldKey]:
    """Return who holds each of these (scope, key) pairs; free ones are left out."""
    if not keys:
        return {}
    ordered = sorted(keys)
    rows = await connection.fetch(
        statement("find_keys"), [scope for scope, _ in ordered], [key for _, key in ordered]
    )
    return {
        (row["scope"], row["key"]): HeldKey(
            task_id=row["task_id"],
            request_hash=row["request_hash"],
            is_valid=row["is_valid"],
        )
        for row in rows
    }


async def find_earlier_keys(connection: Connection, new: Iterable[NewTask]) -> dict[UUID, UUID]:
    """Return the tasks of keys that are held in the scope of their entry point only, by the ids of `new`."""
    wanted = [
        (one.id, key_scope(one.draft), one.draft.source, key.key, key.request_hash)
        for one in new
        if (key := one.draft.idempotency) is not None
    ]
    rows = await connection.fetch(statement("find_earlier_keys"), *columns(wanted))
    return {row["id"]: row["task_id"] for row in rows}


async def find_live_keys(
    connection: Connection, keys: Collection[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Return which of these (scope, key) pairs are held, once all transactions that insert any have ended.

    To wait as an insert would, it inserts and rolls back: never call it within a transaction.
    """
    ordered = sorted(keys)
    pairs = [scope for scope, _ in ordered], [key for _, key in ordered]
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(statement("await_keys"), *pairs)
    except asyncpg.PostgresError:
        await transaction.rollback()
        raise
    await transaction.rollback()
    rows = await connection.fetch(statement("find_live_keys"), *pairs)
    return {(row["scope"], row["key"]) for row in rows}


async def wait_for_standby(connection: Connection) -> None:
    """Make sure that everything visible has also reached a synchronous standby.

    Within a transaction, its commit does that.
    """
    await connection.execute(statement("wait_for_standby"))


async def get(database: Database, ids: Collection[UUID]) -> dict[UUID, Task]:
    """Return the tasks that exist among `ids`, all from one snapshot."""
    rows = await database.fetch("get_tasks", list(ids), for_one=len(ids) == 1)
    return {row["id"]: from_row(row) for row in rows}


async def get_with(connection: Connection, ids: Collection[UUID]) -> dict[UUID, Task]:
    """Do what `get` does, on a connection of the caller."""
    rows = await connection.fetch(statement("get_tasks"), list(ids))
    return {row["id"]: from_row(row) for row in rows}


async def get_one(database: Database, task_id: UUID) -> Task:
    """Return the task. Raises `TaskNotFound`."""
    found = (await get(database, (task_id,))).get(task_id)
    if found is None:
        raise TaskNotFound(task_id)
    return found


async def payload_secrets(database: Database, task_id: UUID) -> str | None:
    """Return what a task names as secret in its payload, as a JSON array of pointers."""
    found: str | None = await database.fetch_value("find_payload_secrets", task_id)
    return found


async def traceparent(database: Database, task_id: UUID) -> str | None:
    """Return the context of the trace within which a task was created; None if there was none."""
    found: str | None = await database.fetch_value("find_traceparent", task_id)
    return found


def from_row(row: "asyncpg.Record | RowMapping") -> Task:
    """Make a task of a row of `get_tasks`."""
    return Task(
        id=row["id"],
        number=row["number"],
        name=row["name"],
        description=row["description"],
        type=row["type"],
        payload=row["payload"],
        queue=row["queue"],
        priority=row["priority"],
        status=Status(row["status"]),
        run=row["run"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        losses=row["losses"],
        max_losses=row["max_losses"],
        cancel_requested=row["cancel_requested"],
        run_at=row["run_at"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        updated_at=row["updated_at"],
        result=row["result"],
        error=row["error"],
        labels=row["labels"],
        source=row["source"],
        version=row["version"],
        claim_no=row["claim_no"],
        retry=row["retry"],
        timeout=None if row["timeout_s"] is None else timedelta(seconds=row["timeout_s"]),
        expires_at=row["expires_at"],
        callback_url=row["callback_url"],
        payload_secrets=row["payload_secrets"],
        progress=None if row["progress_serial"] is None else _progress(row),
    )


def _progress(row: "asyncpg.Record | RowMapping") -> Progress:
    return Progress(
        share=row["progress_share"],
        message=row["progress_message"],
        at=row["progress_at"],
        serial=row["progress_serial"],
    )
