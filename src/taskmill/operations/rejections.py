"""Refused messages: keeping them, looking at them, and sending them again."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from uuid import UUID

import asyncpg

from taskmill.domain.parts import Part
from taskmill.domain.rejection import RefusedMessage, Rejection, RejectionSummary
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import IdempotencyKey, TaskDraft
from taskmill.observability.logs import get_logger
from taskmill.operations.create import TaskCreation
from taskmill.runtime.ids import IdFactory
from taskmill.storage import rejections, tasks
from taskmill.storage.database import Database
from taskmill.storage.rejections import LAST_ID, NewRejection
from taskmill.wire.messages import MessageLimits, kept_message, message_draft

log = get_logger(__name__)

_TRIES = 3


class Rejections:
    """The refused messages of all doors; what is sent again is judged by `limits`, as a new one."""

    def __init__(
        self,
        database: Database,
        creation: TaskCreation,
        *,
        ids: IdFactory,
        limits: MessageLimits,
    ) -> None:
        self._database = database
        self._creation = creation
        self._ids = ids
        self._limits = limits

    def with_ids(self, messages: Iterable[RefusedMessage]) -> list[NewRejection]:
        """Give each message the id that its row gets, if it is not there yet."""
        return [
            NewRejection(id=self._ids(), message=message, body_hash=message.body_hash)
            for message in messages
        ]

    async def store(self, new: Sequence[NewRejection]) -> list[UUID]:
        """Keep refused messages in one transaction and return their rows' ids, in order.

        The same message, by its id and body, is kept once; that it came again is counted. Safe to
        repeat with the same `new` when an answer was lost: only the count may be too high then.

        Raises:
            Unavailable: the database is away; whether they are kept is unknown.
        """
        merged = _merged(new)
        own = {one.identity: one.id for one in merged if one.identity}
        rows = own | await self._store(merged)
        return [rows[one.identity] if one.identity else one.id for one in new]

    async def _store(self, new: Sequence[NewRejection]) -> dict[rejections.Identity, UUID]:
        """Store, and once more when a lost run of the same statement has committed meanwhile."""
        for _ in range(_TRIES - 1):
            try:
                return await rejections.store(self._database, new)
            except asyncpg.UniqueViolationError as error:
                log.info("creation.collided", error=repr(error))
        return await rejections.store(self._database, new)

    async def page(self, *, before: UUID | None, limit: int) -> Part[RejectionSummary]:
        """Return up to `limit` rejections, newest first, from `before` on or from the newest."""
        return await rejections.page(self._database, before=before or LAST_ID, limit=limit)

    async def get(self, rejection_id: UUID) -> Rejection:
        """Return a rejection with its body. Raises `RejectionNotFound`."""
        return await rejections.get(self._database, rejection_id)

    async def resend(self, rejection_id: UUID) -> CreatedTask:
        """Judge a refused message anew and make its task; one that has made it already gives it again.

        Raises:
            RejectionNotFound: there is no such rejection.
            TaskNotFound: it became a task, which is past its retention.
            TaskmillError: it is refused again, for the reason that this tells.
        """
        kept = await self.get(rejection_id)
        if kept.summary.task_id is not None:
            task = await tasks.get_one(self._database, kept.summary.task_id)
            return CreatedTask(task=task, replayed=True)
        created = await self._creation.create(self._draft(kept))
        await rejections.mark_resent(self._database, rejection_id, created.task.id)
        log.info("message.resent", rejection_id=str(rejection_id), task_id=str(created.task.id))
        return created

    def _draft(self, kept: Rejection) -> TaskDraft:
        summary = kept.summary
        message = RefusedMessage(
            source=summary.source,
            message_id=summary.message_id,
            body=kept.body,
            properties=summary.properties,
            status=summary.status,
            problem=summary.problem,
        )
        draft = message_draft(kept_message(message), self._limits)
        if draft.idempotency is None:
            # So that two who send it again at the same time make one task.
            draft.idempotency = IdempotencyKey(
                key=f"rejection:{summary.id}", request_hash=sha256(kept.body).digest()
            )
        return draft


def _merged(new: Iterable[NewRejection]) -> list[NewRejection]:
    """Leave out what came twice, and count it: one statement may touch a row only once."""
    first: dict[rejections.Identity, NewRejection] = {}
    merged = []
    for one in new:
        identity = one.identity
        if identity is not None and identity in first:
            first[identity].repeats += 1
            continue
        one.repeats = 0
        merged.append(one)
        if identity is not None:
            first[identity] = one
    return merged
