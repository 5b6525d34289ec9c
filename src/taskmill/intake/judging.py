"""What becomes of a batch of messages: tasks, rejections, and what is answered.

Nothing is acknowledged here. Everything is stored as often as it takes, always under the same ids, so
that a database that was away, or an answer that was lost, makes nothing twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar
from uuid import UUID

from aiormq.abc import DeliveredMessage

from taskmill.amqp.names import REJECTED_QUEUE
from taskmill.domain.errors import TaskmillError
from taskmill.domain.rejection import RefusedMessage
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import TaskDraft
from taskmill.intake.answers import Answer
from taskmill.intake.deliveries import (
    copy_properties,
    message_of,
    other_properties,
    reply_properties,
    wants_reply,
)
from taskmill.intake.traced import end_spans, start_spans
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import (
    BATCH_ITEMS,
    MESSAGES_CONSUMED,
    MESSAGES_CREATED,
    MESSAGES_REDELIVERED,
    MESSAGES_REJECTED,
    MESSAGES_REPLAYED,
)
from taskmill.operations.create import TaskCreation
from taskmill.operations.rejections import Rejections
from taskmill.wire.messages import (
    MessageLimits,
    created_reply,
    message_draft,
    refused_message,
    refused_reply,
)

if TYPE_CHECKING:
    from taskmill.observability.traces import Traces

log = get_logger(__name__)

Stored = TypeVar("Stored")


class Persist(Protocol):
    """Runs what it is given until it succeeds; what it raises itself ends everything."""

    async def __call__(self, store: Callable[[], Awaitable[Stored]]) -> Stored:
        """Return what `store` returned."""
        ...


class Judge:
    """Decides about messages, with `creation` and `rejections` to write down what it decided."""

    def __init__(
        self,
        creation: TaskCreation,
        rejections: Rejections,
        limits: MessageLimits,
        traces: "Traces | None" = None,
    ) -> None:
        self._creation = creation
        self._rejections = rejections
        self._limits = limits
        self._traces = traces
        # One batch is stored at a time, in the order in which they came: of two messages with one id the
        # first one counts. Another batch is read meanwhile.
        self._turn = asyncio.Lock()

    async def judge(self, messages: Sequence[DeliveredMessage], persist: Persist) -> list[Answer]:
        """Store a task or a rejection for each message and return what is to be answered."""
        _count(messages)
        drafts = [self._read(message) for message in messages]
        spans = start_spans(self._traces, messages, drafts) if self._traces else None
        async with self._turn:
            outcomes = await self._store(drafts, persist)
        if spans is not None:
            end_spans(spans, outcomes)
        answers: list[Answer] = []
        refused: list[tuple[DeliveredMessage, Exception]] = []
        replayed = 0
        for message, outcome in zip(messages, outcomes, strict=True):
            if not isinstance(outcome, CreatedTask):
                refused.append((message, outcome))
                continue
            replayed += outcome.replayed
            if wants_reply(message):
                answers.append(_reply(message, created_reply(outcome)))
        MESSAGES_REPLAYED.inc(replayed)
        MESSAGES_CREATED.inc(len(messages) - len(refused) - replayed)
        if refused:
            answers += await self._refuse(refused, persist)
        return answers

    def _read(self, message: DeliveredMessage) -> TaskDraft | Exception:
        try:
            return message_draft(message_of(message), self._limits)
        except TaskmillError as error:
            return error
        except Exception as error:
            # A fault of ours: the message is kept with it, and those behind it are not held up.
            log.exception("message.unreadable")
            return error

    async def _store(
        self, drafts: Sequence[TaskDraft | Exception], persist: Persist
    ) -> list[CreatedTask | Exception]:
        """Store the drafts and put the answers where they were."""
        new = self._creation.drawn(draft for draft in drafts if isinstance(draft, TaskDraft))
        if not new:
            return [draft for draft in drafts if isinstance(draft, Exception)]
        stored = iter(await persist(lambda: self._creation.store_each(new)))
        return [draft if isinstance(draft, Exception) else next(stored) for draft in drafts]

    async def _refuse(
        self, refused: Iterable[tuple[DeliveredMessage, Exception]], persist: Persist
    ) -> list[Answer]:
        """Keep the messages that were refused and return the copies and replies to be sent."""
        delivered = [message for message, _ in refused]
        kept = [_kept(message, error) for message, error in refused]
        new = self._rejections.drawn(kept)
        ids = await persist(lambda: self._rejections.store(new))
        answers: list[Answer] = []
        for message, refusal, rejection_id in zip(delivered, kept, ids, strict=True):
            _tell(refusal, rejection_id)
            copy = copy_properties(message, refusal, str(rejection_id))
            answers.append(Answer(REJECTED_QUEUE, message.body, copy, mandatory=True))
            if wants_reply(message):
                answers.append(_reply(message, refused_reply(refusal)))
        return answers


def _count(messages: Sequence[DeliveredMessage]) -> None:
    BATCH_ITEMS.observe(len(messages), ("intake",))
    MESSAGES_CONSUMED.inc(len(messages))
    MESSAGES_REDELIVERED.inc(sum(1 for message in messages if message.redelivered))


def _kept(message: DeliveredMessage, error: Exception) -> RefusedMessage:
    came = message_of(message)
    came.others = other_properties(message)
    return refused_message(came, error)


def _tell(refusal: RefusedMessage, rejection_id: UUID) -> None:
    MESSAGES_REJECTED.labels(str(refusal.status)).inc()
    log.info(
        "message.rejected",
        rejection_id=str(rejection_id),
        message_id=refusal.message_id,
        status=refusal.status,
        bytes=len(refusal.body),
    )


def _reply(message: DeliveredMessage, body: bytes) -> Answer:
    return Answer(message.header.properties.reply_to or "", body, reply_properties(message))
