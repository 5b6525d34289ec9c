"""The service that consumes creation messages from RabbitMQ, in batches, and settles them.

A message is acknowledged when its task, or its rejection, is committed, and only on the channel that delivered it.
While the database is away, messages stay here unacknowledged until it is back or the channel is gone. Nothing is
ever requeued, since a queue may drop messages that are delivered too often. What becomes of a message is decided
in `validating`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar, cast

from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as DriverChannel
from aiormq.channel import Channel

from taskmill.amqp.connection import BROKER_ERRORS, BrokerLink
from taskmill.amqp.names import CREATE_QUEUE
from taskmill.domain.errors import BrokerAway, Unavailable
from taskmill.domain.system import IntakePresence, IntakeState
from taskmill.intake.declaration import declare_intake, declare_rejected
from taskmill.intake.inbox import Inbox, MessageBatch
from taskmill.intake.replies import ReplyPublisher
from taskmill.intake.route import Route
from taskmill.intake.validating import Abandoned, FaultPersists, Validator
from taskmill.observability.logs import get_logger
from taskmill.operations.create import TaskCreation
from taskmill.operations.producer_keys import ProducerKeys
from taskmill.operations.rejections import Rejections
from taskmill.outbound.warnings import Warnings
from taskmill.runtime.periodic import pause
from taskmill.storage import faults
from taskmill.wire.messages import MessageLimits

if TYPE_CHECKING:
    from taskmill.observability.traces import Traces

log = get_logger(__name__)

Stored = TypeVar("Stored")

# Two batches are in flight: while one is stored the next one is read.
_CONSUMERS: Final = 2
_PREFETCH: Final = 1000
_MOST_BYTES: Final = 128 * 1024 * 1024
_WATCH_S: Final = 0.5
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_DRAIN_S: Final = 5.0
_CANCEL_S: Final = 2.0
_CONSUME_S: Final = 10.0
# After this many internal errors in a row messages are settled one by one, to find the one that causes them.
_MOST_FAULTS: Final = 3


class Intake:
    """Creates tasks from the messages of `taskmill.tasks.create`."""

    name = "intake"

    def __init__(
        self,
        url: str,
        *,
        creation: TaskCreation,
        rejections: Rejections,
        limits: MessageLimits,
        warning_of: Warnings,
        most_bytes: int = _MOST_BYTES,
        producers: ProducerKeys | None = None,
        traces: "Traces | None" = None,
    ) -> None:
        self.link = BrokerLink(url, name="intake", opened=self._open, lost=self._forget)
        self._route = Route(self.link)
        self._replies = ReplyPublisher(url)
        self._validator = Validator(
            creation, rejections, limits, traces, warning_of=warning_of, producers=producers
        )
        self._most_bytes = most_bytes
        self._prefetch = _PREFETCH
        self._inbox: Inbox | None = None
        self._arrived = asyncio.Event()
        self._is_ending = False
        # Faults of ours in a row, with no batch settled in between.
        self._faults = 0

    def state(self) -> IntakeState:
        """Return whether creation messages are consumed, and why not."""
        trouble = self.link.trouble or self._route.trouble
        if trouble is None:
            return IntakeState(presence=IntakePresence.OK)
        if not self.link.was_up and not self.link.has_tried:
            return IntakeState(presence=IntakePresence.STARTING)
        return IntakeState(presence=IntakePresence.AWAY, trouble=trouble)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume messages until stopped; those that have arrived are still settled, except in an outage."""
        closed = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.link.run(closed))
            group.create_task(self._replies.run(closed))
            group.create_task(self._route.maintain(stop))
            consumers = [group.create_task(self._work()) for _ in range(_CONSUMERS)]
            await self._watch(stop)
            await self._cancel()
            self._is_ending = True
            self._arrived.set()
            await asyncio.wait(consumers, timeout=_DRAIN_S)
            self._forget()
            closed.set()
        log.info("intake.stopped")

    async def _open(self, channel: AbstractChannel) -> None:
        """Declare and consume on a new channel."""
        if self._is_ending:
            return
        try:
            await declare_intake(self.link)
            await declare_rejected(self.link)
        except BrokerAway as error:
            raise ConnectionError(error.trouble) from error
        driver = await channel.get_underlay_channel()
        await driver.basic_qos(prefetch_count=self._prefetch)
        driver.on_consumer_cancel_callbacks.add(self._on_cancelled)
        self._inbox = inbox = Inbox(
            driver,
            arrived=self._arrived.set,
            spoiled=self._on_spoiled,
            most_bytes=self._most_bytes,
        )
        try:
            async with asyncio.timeout(_CONSUME_S):
                await driver.basic_consume(CREATE_QUEUE, inbox.put)
        except TimeoutError as error:
            self._forget()
            raise ConnectionError(f"the queue {CREATE_QUEUE} lets nobody consume") from error
        except BaseException:
            self._forget()
            raise
        self._route.trouble = None
        log.info("intake.started", queue=CREATE_QUEUE, prefetch=self._prefetch)

    def _forget(self) -> None:
        """Drop what the last channel has delivered: the broker delivers it again."""
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None

    def _on_cancelled(self, _: object) -> None:
        log.warning("intake.cancelled", queue=CREATE_QUEUE)
        self.link.reopen()

    def _on_spoiled(self, inbox: Inbox) -> None:
        """Reconnect once all batches in flight are settled, with a smaller prefetch if messages were too large.

        The broker's prefetch limits the number of messages, not their size.
        """
        if inbox.bytes_held > self._most_bytes:
            fitting = (inbox.messages_held + 1) * self._most_bytes // (2 * inbox.bytes_held)
            self._prefetch = max(min(fitting, self._prefetch // 2), 1)
        log.warning("intake.overflowed", bytes=inbox.bytes_held, prefetch=self._prefetch)
        if inbox.is_idle:
            self.link.reopen()

    async def _watch(self, stop: asyncio.Event) -> None:
        """Check until stopped whether the channel still has its consumer."""
        while not stop.is_set():
            inbox = self._inbox
            if self.link.is_up and inbox is not None and _has_no_consumer(inbox.channel):
                log.warning("intake.cancelled", queue=CREATE_QUEUE)
                self.link.reopen()
            await pause(stop, _WATCH_S)

    async def _cancel(self) -> None:
        """Cancel the consumer."""
        if self._inbox is None:
            return
        channel = self._inbox.channel
        with suppress(*BROKER_ERRORS):
            async with asyncio.timeout(_CANCEL_S):
                for consumer_tag in _consumer_tags(channel):
                    await channel.basic_cancel(consumer_tag)

    async def _work(self) -> None:
        """Settle one batch after the other."""
        while (batch := await self._next()) is not None:
            try:
                await self._settle(batch)
            except Abandoned:
                continue
            except Exception:
                # An internal error: the broker delivers these again, and other roles of the process go on.
                self._faults += 1
                log.exception("intake.failed", messages=len(batch.messages))
                self.link.reopen()

    async def _next(self) -> MessageBatch | None:
        """Wait for the next batch; None when there will be no more."""
        while True:
            if self._inbox is not None and (batch := self._inbox.take()) is not None:
                return batch
            if self._is_ending:
                return None
            self._arrived.clear()
            await self._arrived.wait()

    async def _settle(self, batch: MessageBatch) -> None:
        async def persist(
            store: Callable[[], Awaitable[Stored]], *, tries: int | None = None
        ) -> Stored:
            return await self._persist(batch, store, tries)

        if self._faults < _MOST_FAULTS:
            replies = await self._validator.validate(batch.messages, persist)
        else:  # one of these messages, or of the next, causes the faults: each is settled alone
            replies = [
                reply
                for message in batch.messages
                for reply in await self._validator.validate_alone(message, persist)
            ]
        self._faults = 0
        if replies:
            await self._replies.send(replies)
        inbox = batch.inbox
        await inbox.settle(batch)
        if inbox.is_spoiled and inbox.is_idle and not inbox.gone.is_set():
            self.link.reopen()

    async def _persist(
        self, batch: MessageBatch, store: Callable[[], Awaitable[Stored]], tries: int | None
    ) -> Stored:
        """Retry `store` while the channel is open; errors that are no outage are retried `tries` times at most."""
        gone = batch.inbox.gone
        failures = in_a_row = 0
        while not gone.is_set():
            try:
                return await store()
            except Exception as error:  # whatever it is, these messages must not be lost
                failures += 1
                in_a_row = 0 if _is_outage(error) else in_a_row + 1
                log.warning(
                    "intake.delayed",
                    messages=len(batch.messages),
                    failures=failures,
                    error=repr(error.__cause__ or error),
                )
                if in_a_row == tries:
                    raise FaultPersists(error) from error
            await pause(gone, min(_FIRST_PAUSE_S * 2 ** min(failures, 8), _LONGEST_PAUSE_S))
        raise Abandoned


def _consumer_tags(channel: DriverChannel) -> list[str]:
    return list(cast("Channel", channel).consumers)


def _is_outage(error: Exception) -> bool:
    """Whether the error is temporary: the database is away or overloaded, or two transactions collided."""
    return isinstance(error, Unavailable) or faults.is_outage(error) or faults.is_collision(error)


def _has_no_consumer(channel: DriverChannel) -> bool:
    return channel.is_closed or not _consumer_tags(channel)
