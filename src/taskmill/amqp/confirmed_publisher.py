"""Publishes a list of messages, and retries each until the broker has confirmed it. It does not read them.

A message whose confirm was lost is published again: receivers must recognize duplicates by the message id.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from taskmill.amqp.connection import BrokerLink, user_of
from taskmill.amqp.publisher import Properties, Publisher
from taskmill.domain.errors import BrokerAway, Unroutable

_PERSISTENT = 2
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """A message, and its number in the sender's input, counted from 1."""

    number: int
    body: bytes
    message_id: str
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """A message that was not confirmed, and why; the broker may have it nevertheless."""

    number: int
    why: str


class ConfirmedPublisher:
    """Publishes to one exchange and key, up to `in_flight` messages at once.

    After each loss of the connection it waits up to `timeout_s` for the broker, and then gives everything up.
    """

    def __init__(
        self,
        url: str,
        *,
        exchange: str,
        routing_key: str,
        in_flight: int = 200,
        timeout_s: float = 10.0,
    ) -> None:
        self._link = BrokerLink(url, name="publish", opened=self._opened, lost=self._lost)
        self._publisher = Publisher(self._link)
        self._user = user_of(url)
        self._exchange = exchange
        self._routing_key = routing_key
        self._in_flight = in_flight
        self._timeout_s = timeout_s
        self._is_up = asyncio.Event()
        self._has_given_up = False

    async def deliver(
        self, messages: Iterable[SentMessage], *, delivered: Callable[[], None] = lambda: None
    ) -> list[Undelivered]:
        """Publish all; returns the unconfirmed ones, in order. `delivered` is called for each of the others.

        Raises:
            BrokerAway: it could not be reached at the start.
        """
        failures: list[Undelivered] = []
        waiting, stop = iter(messages), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run(stop))
            is_there, trouble = await self._is_back(), self._link.trouble
            if is_there:
                async with asyncio.TaskGroup() as workers:
                    for _ in range(self._in_flight):
                        workers.create_task(self._publish_from(waiting, failures, delivered))
            stop.set()
        if not is_there:
            raise BrokerAway(trouble or "it did not answer")
        return sorted(failures, key=lambda failure: failure.number)

    async def _publish_from(
        self,
        waiting: Iterator[SentMessage],
        failures: list[Undelivered],
        delivered: Callable[[], None],
    ) -> None:
        for message in waiting:
            why = await self._publish(message)
            if why is None:
                delivered()
            else:
                failures.append(Undelivered(number=message.number, why=why))

    async def _publish(self, message: SentMessage) -> str | None:
        """Publish one message; returns None once it is confirmed, else why it is not."""
        properties = Properties(
            delivery_mode=_PERSISTENT,
            content_type=message.content_type,
            message_id=message.message_id,
            user_id=self._user,
        )
        trouble = "the broker is away"
        for _ in range(_TRIES):
            if not await self._is_back():
                return self._link.trouble or trouble
            channel = self._link.driver
            try:
                await self._publisher.publish(
                    message.body,
                    exchange=self._exchange,
                    routing_key=self._routing_key,
                    properties=properties,
                )
            except BrokerAway as error:
                trouble = error.trouble
                if self._link.driver is channel:
                    # The link has not noticed yet that this channel is broken: it must not be used again.
                    self._is_up.clear()
                    self._link.reopen()
            except Unroutable as error:
                return str(error)
            else:
                return None
        return trouble

    async def _is_back(self) -> bool:
        """Wait for the broker; False if it has been away for too long."""
        if self._is_up.is_set() or self._has_given_up:
            return not self._has_given_up
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._is_up.wait()
        except TimeoutError:
            self._has_given_up = True
        return not self._has_given_up

    async def _opened(self, _: object) -> None:
        self._is_up.set()

    def _lost(self) -> None:
        self._is_up.clear()
