"""Stores refused messages, reads and prunes them. It does not know why they are refused."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from taskmill.domain import identity
from taskmill.domain.errors import RejectionNotFound
from taskmill.domain.parts import PAGE_BYTES, Part
from taskmill.domain.rejection import RefusedMessage, Rejection, RejectionSummary
from taskmill.storage.database import Database
from taskmill.storage.statements import columns, part

LAST_ID = UUID(int=2**128 - 1)

Identity = tuple[str, bytes]


@dataclass(slots=True, kw_only=True)
class NewRejection:
    """A refused message with the id of its row; `repeats`: how many more copies of it arrived."""

    id: UUID
    message: RefusedMessage
    body_hash: bytes
    repeats: int = 0

    @property
    def identity(self) -> Identity | None:
        """Equal for copies of one message; None for a message without an id."""
        message_id = self.message.message_id
        return None if message_id is None else (message_id, self.body_hash)


async def store(database: Database, new: Iterable[NewRejection]) -> dict[Identity, UUID]:
    """Store messages in one statement; return the row ids of those with a message id.

    A message that is stored already counts as redelivered and keeps its row. No identity may come twice. Running
    it again with the same ids makes no second row, and leaves them out of the result.
    """
    ordered = sorted(new, key=lambda one: one.identity or ("", one.body_hash))
    rows = await database.fetch("store_rejections", *columns(map(_row, ordered)))
    return {
        (row["message_id"], row["body_hash"]): row["id"]
        for row in rows
        if row["message_id"] is not None
    }


def _row(new: NewRejection) -> tuple[object, ...]:
    """Return what `store_rejections` takes of a message, in its order."""
    message = new.message
    return (
        new.id,
        identity.created_at(new.id),
        message.source,
        message.message_id,
        message.body,
        new.body_hash,
        message.properties,
        message.status,
        message.problem,
        new.repeats,
        message.queue,
    )


async def page(
    database: Database, *, before: UUID, limit: int, visible: Collection[str] | None = None
) -> Part[RejectionSummary]:
    """Return up to `limit` rejections with ids before `before`, newest first.

    Only those of `visible` queues, None for all of them.
    """
    arguments = (before, limit + 1, PAGE_BYTES)
    rows = (
        await database.fetch("list_rejections", *arguments)
        if visible is None
        else await database.fetch("list_queue_rejections", *arguments, sorted(visible))
    )
    return part(rows, limit, _summary)


async def get(database: Database, rejection_id: UUID) -> Rejection:
    """Return a rejection with its body. Raises `RejectionNotFound`."""
    rows = await database.fetch("get_rejection", rejection_id)
    if not rows:
        raise RejectionNotFound(rejection_id)
    return Rejection(summary=_summary(rows[0]), body=rows[0]["body"])


async def mark_resent(database: Database, rejection_id: UUID, task_id: UUID) -> None:
    """Record the task that a rejection became; only the first one is stored."""
    await database.fetch("mark_rejection_resent", rejection_id, task_id)


async def prune(database: Database, before: datetime, limit: int) -> int:
    """Delete up to `limit` rejections from before a time; return how many."""
    first_retained = identity.lower_bound(before)
    return len(await database.fetch("prune_rejections", first_retained, limit))


def _summary(row: asyncpg.Record) -> RejectionSummary:
    return RejectionSummary(
        id=row["id"],
        created_at=row["created_at"],
        source=row["source"],
        message_id=row["message_id"],
        body_bytes=row["body_bytes"],
        properties=row["headers"],
        status=row["status"],
        problem=row["problem"],
        redeliveries=row["redeliveries"],
        resent_at=row["resent_at"],
        task_id=row["task_id"],
        queue=row["queue"],
    )
