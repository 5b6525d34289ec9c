"""The messages that one channel has delivered, and which of them are settled.

An inbox ends with its channel: the broker delivers again what was not acknowledged by then. It knows no task and
no database.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from aiormq.abc import AbstractChannel, DeliveredMessage

from taskmill.amqp.connection import BROKER_ERRORS

_MOST_MESSAGES = 500
_MOST_BYTES = 8 * 1024 * 1024


class MessageBatch:
    """Messages that share a commit, in the order of their arrival."""

    __slots__ = ("inbox", "is_settled", "messages")

    def __init__(self, inbox: "Inbox", messages: list[DeliveredMessage]) -> None:
        self.inbox = inbox
        self.messages = messages
        self.is_settled = False


class Inbox:
    """Collects the messages of one channel and acknowledges them, in order, once they are settled.

    `arrived` is called for each message. `spoiled` is called once when the channel must be replaced: more than
    `most_bytes` are held, or a message arrived out of order. From then on no message is accepted, but batches in
    flight can still be settled.
    """

    def __init__(
        self,
        channel: AbstractChannel,
        *,
        arrived: Callable[[], None],
        spoiled: Callable[["Inbox"], None],
        most_bytes: int,
    ) -> None:
        self.channel = channel
        self.gone = asyncio.Event()
        self.is_spoiled = False
        self.bytes_held = 0
        self._arrived = arrived
        self._spoiled = spoiled
        self._most_bytes = most_bytes
        self._waiting: deque[DeliveredMessage] = deque()
        self._in_flight: deque[MessageBatch] = deque()
        self._last_tag = 0

    @property
    def messages_held(self) -> int:
        """How many messages are held and not acknowledged yet."""
        return len(self._waiting) + sum(len(batch.messages) for batch in self._in_flight)

    @property
    def is_idle(self) -> bool:
        """Whether no batch is in flight."""
        return not self._in_flight

    async def put(self, message: DeliveredMessage) -> None:
        """Accept a message: the consumer's callback, which the driver runs in a task for each message."""
        if self.is_spoiled or self.gone.is_set():
            return
        tag = message.delivery_tag or 0
        in_order = tag == self._last_tag + 1
        self._last_tag = tag
        self.bytes_held += len(message.body)
        # An acknowledgement covers all earlier messages: out of order it would cover some that are not stored.
        if not in_order or (self.bytes_held > self._most_bytes and self.messages_held):
            self.is_spoiled = True
            self._spoiled(self)
            self._waiting.clear()
            return
        self._waiting.append(message)
        self._arrived()

    def take(self) -> MessageBatch | None:
        """Take the next messages that may share a commit, None if none wait."""
        messages: list[DeliveredMessage] = []
        weight = 0
        while self._waiting and len(messages) < _MOST_MESSAGES:
            weight += len(self._waiting[0].body)
            if messages and weight > _MOST_BYTES:
                break
            messages.append(self._waiting.popleft())
        if not messages:
            return None
        batch = MessageBatch(self, messages)
        self._in_flight.append(batch)
        return batch

    async def settle(self, batch: MessageBatch) -> None:
        """Acknowledge the batch once all earlier batches are settled, too."""
        batch.is_settled = True
        last: DeliveredMessage | None = None
        while self._in_flight and self._in_flight[0].is_settled:
            settled = self._in_flight.popleft().messages
            self.bytes_held -= sum(len(message.body) for message in settled)
            last = settled[-1]
        if last is not None and last.delivery_tag and not self.gone.is_set():
            with suppress(
                *BROKER_ERRORS
            ):  # the channel was just lost: the broker delivers them again
                await self.channel.basic_ack(last.delivery_tag, multiple=True, wait=False)

    def close(self) -> None:
        """Forget everything: the channel is gone, or the intake has stopped."""
        self.gone.set()
        self._waiting.clear()
        self._in_flight.clear()
        self.bytes_held = 0
