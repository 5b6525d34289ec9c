"""Turns a batch of messages into tasks, rejections and replies.

Nothing is acknowledged here. Storing is retried as often as necessary, always with the same ids, so that an outage
or a lost response of the database creates nothing twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from uuid import UUID

from aiormq.abc import DeliveredMessage

from taskmill.amqp.names import REJECTED_QUEUE
from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.errors import TaskmillError
from taskmill.domain.grants import Scope
from taskmill.domain.rejection import RefusedMessage
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import TaskDraft
from taskmill.intake.deliveries import (
    copy_properties,
    message_of,
    other_properties,
    reply_properties,
    user_of,
    wants_reply,
)
from taskmill.intake.message_spans import end_spans, start_spans
from taskmill.intake.replies import Reply
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import (
    BATCH_ITEMS,
    MESSAGES_CONSUMED,
    MESSAGES_CREATED,
    MESSAGES_REDELIVERED,
    MESSAGES_REJECTED,
    MESSAGES_REPLAYED,
)
from taskmill.operations.authorisation import authorise_draft, permitted_limits
from taskmill.operations.create import TaskCreation
from taskmill.operations.producer_keys import ProducerKeys
from taskmill.operations.rejections import Rejections
from taskmill.outbound.warnings import Warnings
from taskmill.storage.tasks import NewTask
from taskmill.wire.masking import masked, secrets_of
from taskmill.wire.messages import (
    CreationMessage,
    MessageLimits,
    bare_refusal,
    created_reply,
    message_draft,
    queue_of,
    refused_message,
    refused_reply,
)

if TYPE_CHECKING:
    from taskmill.observability.traces import Traces

log = get_logger(__name__)

Stored = TypeVar("Stored")

# After this many failures while the database works, the next try would fail, too.
_TRIES: Final = 5


class Abandoned(Exception):
    """The channel that delivered these messages is gone: the broker delivers them again."""


class FaultPersists(Exception):
    """Storing failed again and again, and not because of an outage; `error` is the last error."""

    def __init__(self, error: Exception) -> None:
        super().__init__(repr(error))
        self.error = error


class Persist(Protocol):
    """Runs a function until it succeeds."""

    async def __call__(
        self, store: Callable[[], Awaitable[Stored]], *, tries: int | None = None
    ) -> Stored:
        """Return what `store` returned. It is retried for ever during an outage, else `tries` times.

        Raises:
            Abandoned: the channel is gone.
            FaultPersists: `store` failed `tries` times in a row without an outage; never if `tries` is None.
        """
        ...


class Validator:
    """Validates messages, and stores tasks with `creation` and refused messages with `rejections`.

    `warning_of` returns a warning if nothing will be delivered to a callback's address. With `producers`, a
    message's producer needs an API key that grants what the message asks for.
    """

    def __init__(
        self,
        creation: TaskCreation,
        rejections: Rejections,
        limits: MessageLimits,
        traces: "Traces | None" = None,
        *,
        warning_of: Warnings,
        producers: ProducerKeys | None = None,
    ) -> None:
        self._creation = creation
        self._rejections = rejections
        self._limits = limits
        self._traces = traces
        self._warning_of = warning_of
        self._producers = producers
        # Batches are stored one at a time, in the order of their arrival: of two messages with the same id the
        # first one counts. Meanwhile another batch is read.
        self._store_lock = asyncio.Lock()

    async def validate(self, messages: Sequence[DeliveredMessage], persist: Persist) -> list[Reply]:
        """Store a task or a rejection for each message, and return the replies to send."""
        _count(messages)
        if self._producers is not None:
            # No message is to blame when that fails, so none is refused for it: all wait.
            await persist(self._producers.refresh)
        drafts = [self._read(message) for message in messages]
        spans = start_spans(self._traces, messages, drafts) if self._traces else None
        async with self._store_lock:
            outcomes = await self._store(drafts, persist)
        if spans is not None:
            end_spans(spans, outcomes)
        replies: list[Reply] = []
        refused: list[tuple[DeliveredMessage, Exception]] = []
        replayed = 0
        for message, outcome in zip(messages, outcomes, strict=True):
            if not isinstance(outcome, CreatedTask):
                refused.append((message, outcome))
                continue
            replayed += outcome.replayed
            replies += _built(partial(self._reply_created, message, outcome))
        MESSAGES_REPLAYED.inc(replayed)
        MESSAGES_CREATED.inc(len(messages) - len(refused) - replayed)
        if refused:
            replies += await self._refuse(refused, persist)
        return replies

    def _read(self, message: DeliveredMessage) -> TaskDraft | Exception:
        try:
            key = None if self._producers is None else self._producers.key_of(user_of(message))
            draft = message_draft(message_of(message), self._limits_for(key))
            authorise_draft(key, draft)
        except TaskmillError as error:
            return error
        except Exception as error:
            # An internal error: it is stored with the rejection, and does not hold up later messages.
            log.exception("message.unreadable")
            return error
        return draft

    def _limits_for(self, key: ApiKey | None) -> MessageLimits:
        """Return the limits of a message whose producer has this key."""
        limits = permitted_limits(key, self._limits.input)
        return self._limits if limits is self._limits.input else replace(self._limits, input=limits)

    def _reply_created(self, message: DeliveredMessage, created: CreatedTask) -> Reply | None:
        if not wants_reply(message):
            return None
        warning = self._warning_of(created.task.callback_url)
        # Nobody knows who reads the reply.
        task = masked(created.task, secrets_of(created.task.type, self._limits.input.contracts))
        reply = created_reply(task, replayed=created.replayed, warning=warning)
        return _reply(message, reply)

    async def validate_alone(self, message: DeliveredMessage, persist: Persist) -> list[Reply]:
        """Do what `validate` does for one message; if that raises, the message is stored as a rejection.

        Raises `Abandoned`.
        """
        try:
            return await self.validate([message], persist)
        except Abandoned:
            raise
        except Exception as error:
            log.exception("message.undecidable")
            return await self._refuse([(message, error)], persist)

    async def _store(
        self, drafts: Sequence[TaskDraft | Exception], persist: Persist
    ) -> list[CreatedTask | Exception]:
        """Store the drafts, and return the results in their order."""
        identified = [self._with_id(draft) for draft in drafts]
        new = [one for one in identified if isinstance(one, NewTask)]
        stored = iter(await self._store_each(new, persist, tries=_TRIES) if new else ())
        return [one if isinstance(one, Exception) else next(stored) for one in identified]

    def _with_id(self, draft: TaskDraft | Exception) -> NewTask | Exception:
        if isinstance(draft, Exception):
            return draft
        try:
            [new] = self._creation.with_ids([draft])
        except Exception as error:
            log.exception("message.undecidable")
            return error
        return new

    async def _store_each(
        self, new: Sequence[NewTask], persist: Persist, *, tries: int
    ) -> Sequence[CreatedTask | Exception]:
        """Store all; one that can't be stored because of a fault in Taskmill is found by bisection, and returned.

        A single draft is refused only if the database accepts other writes, which is tested: else all would be.
        """
        while True:
            try:
                return await persist(lambda: self._creation.store_each(new), tries=tries)
            except FaultPersists as fault:
                if len(new) > 1:
                    break
                if await self._creation.writability.probe() is None:
                    log.exception("message.unstorable", exc_info=fault.error)
                    return [fault.error]
                tries = _TRIES
        middle = len(new) // 2
        first = await self._store_each(new[:middle], persist, tries=1)
        return [*first, *await self._store_each(new[middle:], persist, tries=1)]

    async def _refuse(
        self, refused: Sequence[tuple[DeliveredMessage, Exception]], persist: Persist
    ) -> list[Reply]:
        """Store refused messages as rejections, and return the copies and replies to send."""
        refusals = [self._refusal(message, error) for message, error in refused]
        ids = await self._store_rejections(refusals, persist)
        replies: list[Reply] = []
        for (message, _), refusal, rejection_id in zip(refused, refusals, ids, strict=True):
            _report(refusal, rejection_id)
            replies += _built(partial(_copy, message, refusal, rejection_id))
            replies += _built(partial(_reply_refused, message, refusal))
        return replies

    def _refusal(self, message: DeliveredMessage, error: Exception) -> RefusedMessage:
        try:
            came = message_of(message)
            came.others = other_properties(message)
            return refused_message(came, error, self._queue_of(message, came))
        except Exception:
            log.exception("message.undecidable")
            return bare_refusal(message.body, error)

    def _queue_of(self, message: DeliveredMessage, came: CreationMessage) -> str | None:
        """Return the queue that a refused message is for, None where its producer may create nothing in it."""
        queue = queue_of(came, self._limits)
        if queue is None or self._producers is None:
            return queue
        try:
            key = self._producers.key_of(user_of(message))
        except NotAuthenticated:
            return None
        return queue if key is None or key.permits_queue(Scope.TASKS_CREATE, queue) else None

    async def _store_rejections(
        self, refusals: Sequence[RefusedMessage], persist: Persist
    ) -> list[UUID]:
        """Store rejections. One that meets an internal error is stored with its body alone."""
        new = self._rejections.with_ids(refusals)
        try:
            return await persist(lambda: self._rejections.store(new), tries=_TRIES)
        except FaultPersists as fault:
            if len(refusals) == 1:
                log.exception("message.unstorable", exc_info=fault.error)
                bare = self._rejections.with_ids([bare_refusal(refusals[0].body, fault.error)])
                return await persist(lambda: self._rejections.store(bare))
        middle = len(refusals) // 2
        return [
            *await self._store_rejections(refusals[:middle], persist),
            *await self._store_rejections(refusals[middle:], persist),
        ]


def _count(messages: Sequence[DeliveredMessage]) -> None:
    BATCH_ITEMS.observe(len(messages), ("intake",))
    MESSAGES_CONSUMED.inc(len(messages))
    MESSAGES_REDELIVERED.inc(sum(1 for message in messages if message.redelivered))


def _report(refusal: RefusedMessage, rejection_id: UUID) -> None:
    MESSAGES_REJECTED.labels(str(refusal.status)).inc()
    log.info(
        "message.rejected",
        rejection_id=str(rejection_id),
        message_id=refusal.message_id,
        status=refusal.status,
        bytes=len(refusal.body),
    )


def _built(make: Callable[[], Reply | None]) -> list[Reply]:
    """Build a reply, if one is wanted. Everything is stored by then, so an internal error is only logged."""
    try:
        reply = make()
    except Exception as error:  # noqa: BLE001 - see above
        log.warning("replies.unsent", replies=1, trouble=repr(error))
        return []
    return [] if reply is None else [reply]


def _copy(message: DeliveredMessage, refusal: RefusedMessage, rejection_id: UUID) -> Reply:
    properties = copy_properties(message, refusal, str(rejection_id))
    return Reply(REJECTED_QUEUE, message.body, properties, mandatory=True)


def _reply_refused(message: DeliveredMessage, refusal: RefusedMessage) -> Reply | None:
    return _reply(message, refused_reply(refusal)) if wants_reply(message) else None


def _reply(message: DeliveredMessage, body: bytes) -> Reply:
    return Reply(message.header.properties.reply_to or "", body, reply_properties(message))
