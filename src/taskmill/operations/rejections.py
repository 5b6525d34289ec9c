"""Refused messages: storing, reading, and sending them again."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.domain.errors import RejectionNotFound
from taskmill.domain.parts import Part
from taskmill.domain.rejection import (
    RefusedMessage,
    Rejection,
    RejectionFilter,
    RejectionSummary,
    reason_of,
)
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import IdempotencyKey, TaskDraft
from taskmill.observability.logs import get_logger
from taskmill.operations.audit import AuditLog
from taskmill.operations.authorisation import authorise_draft, missing, permitted_limits
from taskmill.operations.create import TaskCreation
from taskmill.operations.producer_keys import ProducerKeys
from taskmill.operations.visibility import current_visibility, visible_queues
from taskmill.runtime.ids import IdFactory
from taskmill.runtime.offload import caller
from taskmill.storage import rejections, tasks
from taskmill.storage.database import Database
from taskmill.storage.rejections import LAST_ID, NewRejection
from taskmill.wire.messages import (
    CreationMessage,
    MessageLimits,
    edited_message,
    message_draft,
    stored_message,
)

log = get_logger(__name__)

_TRIES = 3
_MOST_READ: Final = 1000
_MOST_REASONS: Final = 8


class FoundRejections(NamedTuple):
    """Refused messages, newest first; how many open ones have which reason, the most frequent first.

    `next_before` is from where on there may be more, None at the end.
    """

    messages: Sequence[RejectionSummary]
    reasons: Sequence[tuple[str, int]]
    next_before: UUID | None


class Rejections:
    """The refused messages of all entry points. `limits` are for messages that are sent again.

    With `producers`, such a message needs the API key of its producer, as if that had sent it now; without one it
    needs what it asks for from the key of whoever sends it again.
    """

    def __init__(
        self,
        database: Database,
        creation: TaskCreation,
        *,
        ids: IdFactory,
        limits: MessageLimits,
        producers: ProducerKeys | None = None,
    ) -> None:
        self._producers = producers
        self._audit = AuditLog(database)
        self._database = database
        self._creation = creation
        self._ids = ids
        self._limits = limits

    def with_ids(self, messages: Iterable[RefusedMessage]) -> list[NewRejection]:
        """Give each message the id of its row, for the case that it is new."""
        return [
            NewRejection(id=self._ids(), message=message, body_hash=message.body_hash)
            for message in messages
        ]

    async def store(self, new: Sequence[NewRejection]) -> list[UUID]:
        """Store refused messages in one transaction and return their rows' ids, in order.

        The same message, by its id and body, is stored once; its repeats are counted. Safe to repeat with the same
        `new` when the result was lost: only the count may be too high then.

        Raises:
            Unavailable: the database is away; whether they are stored is unknown.
        """
        merged = _merged(new)
        own = {one.identity: one.id for one in merged if one.identity}
        rows = own | await self._store(merged)
        return [rows[one.identity] if one.identity else one.id for one in new]

    async def _store(self, new: Sequence[NewRejection]) -> dict[rejections.Identity, UUID]:
        """Store, and again when an earlier run of the same statement has committed meanwhile."""
        for _ in range(_TRIES - 1):
            try:
                return await rejections.store(self._database, new)
            except asyncpg.UniqueViolationError as error:
                log.info("creation.collided", error=repr(error))
        return await rejections.store(self._database, new)

    async def page(self, *, before: UUID | None, limit: int) -> Part[RejectionSummary]:
        """Return up to `limit` rejections, newest first, from `before` on or from the newest."""
        visible = await visible_queues(self._database)
        return await rejections.page(
            self._database, before=before or LAST_ID, limit=limit, visible=visible
        )

    async def search(
        self, wanted: RejectionFilter, *, before: UUID | None, limit: int
    ) -> FoundRejections:
        """Return up to `limit` that a filter admits among the next 1,000, and the reasons of these 1,000.

        Raises `Unavailable`.
        """
        page = await self.page(before=before, limit=_MOST_READ)
        found = [(one, reason_of(orjson.loads(one.problem))) for one in page]
        shown = [one for one, reason in found if wanted.admits(one, reason)]
        of_all = replace(wanted, reason=None, is_open=True)
        reasons = Counter(reason for one, reason in found if of_all.admits(one, reason))
        next_before = page[-1].id if page.has_more else None
        if len(shown) > limit:
            next_before = shown[limit - 1].id
        return FoundRejections(shown[:limit], reasons.most_common(_MOST_REASONS), next_before)

    async def get(self, rejection_id: UUID) -> Rejection:
        """Return a rejection with its body. Raises `RejectionNotFound`."""
        found = await rejections.get(self._database, rejection_id)
        _require_visible(rejection_id, found.summary.queue)
        return found

    async def resend(self, rejection_id: UUID) -> CreatedTask:
        """Validate a refused message again and create its task; if that exists already, return it.

        Raises:
            RejectionNotFound: there is no such rejection.
            TaskNotFound: it became a task that is past its retention.
            ScopeMissing: the key that it needs does not grant what it asks for.
            TaskmillError: it is refused again; the error is the reason.
        """
        target = Target(TargetType.REJECTION, str(rejection_id))
        async with self._audit.record(AuditAction.REJECTION_RESEND, target) as outcome:
            rejection = await self.get(rejection_id)
            created = await self._existing(rejection)
            if created is None:
                message = stored_message(_refused(rejection))
                draft = _draft(rejection_id, message, self._limits)
                # The contract of its type may have another default by now.
                _require_visible(rejection_id, draft.queue)
                authorise_draft(await self._key_for(rejection.summary), draft)
                created = await self._create(rejection_id, draft)
            outcome["task_id"] = created.task.id
        return created

    async def resend_edited(
        self, rejection_id: UUID, body: bytes, key: ApiKey | None
    ) -> CreatedTask:
        """Create the task of a refused message with another body, as asked for by a key; else as `resend`."""
        target = Target(TargetType.REJECTION, str(rejection_id))
        details = {"edited": True}
        async with self._audit.record(
            AuditAction.REJECTION_RESEND, target, details=details
        ) as outcome:
            rejection = await self.get(rejection_id)
            created = await self._existing(rejection)
            if created is None:
                limits = replace(self._limits, input=permitted_limits(key, self._limits.input))
                message = edited_message(_refused(rejection), body, limits)
                draft = _draft(rejection_id, message, limits)
                _require_reach(draft.queue)
                authorise_draft(key, draft)
                await self._keep_from_repeats(rejection.summary, draft)
                created = await self._create(rejection_id, draft)
            outcome["task_id"] = created.task.id
        return created

    async def _existing(self, rejection: Rejection) -> CreatedTask | None:
        """Return the task that a message has become."""
        summary = rejection.summary
        if summary.task_id is None:
            return None
        task = await tasks.get_one(self._database, summary.task_id)
        _require_visible(summary.id, task.queue)
        return CreatedTask(task=task, replayed=True)

    async def _create(self, rejection_id: UUID, draft: TaskDraft) -> CreatedTask:
        created = await self._creation.create(draft)
        await rejections.mark_resent(self._database, rejection_id, created.task.id)
        log.info("message.resent", rejection_id=str(rejection_id), task_id=str(created.task.id))
        return created

    async def _keep_from_repeats(self, summary: RejectionSummary, draft: TaskDraft) -> None:
        """Make the idempotency key the producer's: neither its repeat nor a `resend` makes a second task."""
        try:
            producer = await self._key_for(summary)
        except NotAuthenticated:
            return
        if draft.idempotency is not None:
            owner = None if producer is None else producer.draft.name
            draft.idempotency = replace(draft.idempotency, owner=owner)

    async def _key_for(self, summary: RejectionSummary) -> ApiKey | None:
        """Return the key that has to grant what a message asks for; None where none is required."""
        if self._producers is None:
            return None
        await self._producers.refresh()
        try:
            return self._producers.key_of(orjson.loads(summary.properties).get("user_id"))
        except NotAuthenticated:
            current = caller.get()
            if current is None or current.key is None:
                raise
            return current.key


def _draft(rejection_id: UUID, message: CreationMessage, limits: MessageLimits) -> TaskDraft:
    draft = message_draft(message, limits)
    if draft.idempotency is None:
        # So that two requests that send it again at the same time create one task.
        draft.idempotency = IdempotencyKey(
            key=f"rejection:{rejection_id}", request_hash=sha256(message.body).digest()
        )
    return draft


def _refused(rejection: Rejection) -> RefusedMessage:
    summary = rejection.summary
    return RefusedMessage(
        source=summary.source,
        message_id=summary.message_id,
        body=rejection.body,
        properties=summary.properties,
        status=summary.status,
        problem=summary.problem,
    )


def _require_visible(rejection_id: UUID, queue: str | None) -> None:
    """Check that this context may see a message for a queue. Raises `RejectionNotFound`."""
    visibility = current_visibility()
    if visibility is not None and (queue is None or not visibility.shows(queue)):
        raise RejectionNotFound(rejection_id)


def _require_reach(queue: str) -> None:
    """Check that this context may see a queue that an edited message names. Raises `ScopeMissing`."""
    visibility = current_visibility()
    if visibility is not None and not visibility.shows(queue):
        raise missing(visibility.scopes[-1], queue)


def _merged(new: Iterable[NewRejection]) -> list[NewRejection]:
    """Leave out repeats, and count them: one statement may touch a row only once."""
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
