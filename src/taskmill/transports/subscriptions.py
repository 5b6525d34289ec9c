"""A worker's consumers on its current channel, and the hints that have arrived and were not taken yet.

It acknowledges each hint on the channel that delivered it. It claims nothing, and does not decide which queues to
subscribe to or when to suspend.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from aio_pika.abc import AbstractChannel
from aiormq import spec
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel as DriverChannel

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.names import HintQueueType
from taskmill.amqp.topology import QueueRefused, declare_hints, decode_hint, discard_hints
from taskmill.observability import metrics
from taskmill.observability.logs import get_logger

log = get_logger(__name__)

# Hints prefetched for each queue: enough that the next claim never waits for the network.
_PREFETCH = 16
_CONSUME_S = 5.0
# How long to wait before declaring a refused queue again.
_REFUSED_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hint:
    tag: int
    task_ids: list[UUID]


class Subscriptions:
    """Consumers of hint queues; `changed` is called when hints arrive or a consumer is lost."""

    def __init__(self, changed: Callable[[], None], queue_type: HintQueueType) -> None:
        self._changed = changed
        self._queue_type = queue_type
        self._driver: DriverChannel | None = None
        self._shares: dict[str, float] = {}
        self._consumers: dict[str, str] = {}
        self._declared: set[str] = set()
        # When to retry queues that the broker refuses, by the event loop's clock.
        self._refused: dict[str, float] = {}
        self._arrived: deque[_Hint] = deque()
        self._taken_up_to = 0

    @property
    def has_arrived(self) -> bool:
        """Whether hints wait to be taken."""
        return bool(self._arrived)

    @property
    def are_complete(self) -> bool:
        """Whether all wanted queues are subscribed to, except for refused ones."""
        missing = self._shares.keys() - self._consumers.keys()
        return all(map(self._is_refused, missing))

    @property
    def has_refused(self) -> bool:
        """Whether the broker refuses a queue that is wanted."""
        return bool(self._refused)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is subscribed to and nothing waits to be taken."""
        return not self._consumers and not self._arrived

    def want(self, shares: Mapping[str, float]) -> None:
        """Subscribe to these queues at the next `refresh`; earlier ones stay wanted.

        A queue's share (over 0, up to 1) scales its prefetch. Hints are taken in the order of their arrival, so
        queues that are never empty are served in proportion to their shares.
        """
        self._shares.update(shares)

    async def open_on(self, channel: AbstractChannel) -> None:
        """Start over on a new channel."""
        self.lose()
        driver = cast("DriverChannel", await channel.get_underlay_channel())
        driver.on_consumer_cancel_callbacks.add(lambda _: self._changed())
        self._driver = driver
        self._changed()

    def lose(self) -> None:
        """Forget the channel and its hints: the broker delivers them again."""
        self._driver = None
        self._consumers.clear()
        self._declared.clear()
        self._arrived.clear()
        self._taken_up_to = 0

    async def refresh(self, link: BrokerLink) -> None:
        """Subscribe to wanted queues that have no consumer. A refused queue does not delay the others.

        Raises:
            BrokerAway: the connection was lost.
            AMQPError: the broker refuses the consumer.
            TimeoutError: it does not respond; the queue has been deleted.
        """
        driver = self._driver
        if driver is None:
            return
        for name in [n for n, tag in self._consumers.items() if tag not in driver.consumers]:
            # The broker has cancelled it, most likely because its queue was deleted.
            del self._consumers[name]
            self._declared.discard(name)
        for name in sorted(self._shares.keys() - self._consumers.keys()):
            if name not in self._declared and not await self._declare(name, link):
                continue
            consumed = await self._consume(driver, name, link)
            if consumed.consumer_tag is not None and driver is self._driver:
                self._consumers[name] = consumed.consumer_tag

    async def _declare(self, name: str, link: BrokerLink) -> bool:
        if self._is_refused(name):
            return False
        try:
            await declare_hints(link, name, self._queue_type)
        except QueueRefused as error:
            if name not in self._refused:
                log.warning("hints.refused", queue=name, trouble=error.trouble)
            self._refused[name] = asyncio.get_running_loop().time() + _REFUSED_S
            return False
        self._refused.pop(name, None)
        self._declared.add(name)
        return True

    def _is_refused(self, name: str) -> bool:
        return asyncio.get_running_loop().time() < self._refused.get(name, float("-inf"))

    async def _consume(
        self, driver: DriverChannel, name: str, link: BrokerLink
    ) -> spec.Basic.ConsumeOk:
        try:
            async with asyncio.timeout(_CONSUME_S):
                # It applies to consumers that start from now on.
                prefetch = max(round(_PREFETCH * self._shares[name]), 1)
                await driver.basic_qos(prefetch_count=prefetch)
                return await driver.basic_consume(name, self._consumer_on(driver))
        except TimeoutError:
            # RabbitMQ 4.0 breaks a queue when its node is killed within 1.5 s of the queue's declaration: it can
            # be declared, and consuming hangs for ever. The tasks of its hints are released again.
            log.warning("hints.discarded", queue=name)
            await discard_hints(link, name)
            raise

    async def suspend(self) -> None:
        """Stop consuming for now, and return hints that were not taken, so that others get them."""
        driver = self._driver
        if driver is None:
            return
        while self._consumers:
            _, tag = self._consumers.popitem()
            await driver.basic_cancel(tag)
        # One by one: earlier hints may have been taken, and their claim may be under way.
        while self._arrived and driver is self._driver:
            await driver.basic_nack(self._arrived.popleft().tag, requeue=True, wait=False)

    def take(self) -> list[UUID] | None:
        """Return the ids of the next hint, None if there is none."""
        if not self._arrived:
            return None
        hint = self._arrived.popleft()
        self._taken_up_to = hint.tag
        return hint.task_ids

    async def acknowledge(self) -> None:
        """Acknowledge all hints taken so far."""
        tag, self._taken_up_to = self._taken_up_to, 0
        if tag and self._driver is not None:
            await self._driver.basic_ack(tag, multiple=True, wait=False)

    def _consumer_on(
        self, driver: DriverChannel
    ) -> Callable[[DeliveredMessage], Coroutine[None, None, None]]:
        async def on_message(message: DeliveredMessage) -> None:
            if driver is self._driver:
                self._arrive(message)

        return on_message

    def _arrive(self, message: DeliveredMessage) -> None:
        tag = message.delivery_tag
        assert tag is not None  # noqa: S101 - the broker numbers every delivery
        try:
            task_ids = decode_hint(message.body)
        except ValueError as error:
            # It is acknowledged with its neighbours; the tasks that it meant are released again.
            log.warning("hint.unreadable", queue=message.routing_key, error=str(error)[:200])
            task_ids = []
        metrics.HINTS_RECEIVED.inc()
        if message.redelivered:
            metrics.HINTS_REDELIVERED.inc()
        self._arrived.append(_Hint(tag=tag, task_ids=task_ids))
        self._changed()
