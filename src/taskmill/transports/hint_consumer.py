"""A worker's consumer of hints on its current channel. What a hint means is up to its owner.

All workers with the same queues and types share one queue at the broker, so each hint reaches one of them. The
consumer takes few at a time, and none while the worker has no free slot, so that others get them.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Final, cast

from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel as DriverChannel

from taskmill.amqp.connection import BROKER_ERRORS, BrokerLink, in_words
from taskmill.amqp.names import HintQueueType, hint_bindings, hint_queue_name
from taskmill.amqp.topology import QueueRefused, declare_hints, discard_hints
from taskmill.domain.errors import BrokerAway
from taskmill.observability import metrics
from taskmill.observability.logs import get_logger
from taskmill.runtime.waiting import first_of, wake_on
from taskmill.wire.hints import Hint, decode_hint

log = get_logger(__name__)

# Hints that are under way while the worker claims.
_PREFETCH: Final = 4
_CONSUME_S: Final = 5.0
# How often to declare everything again: somebody may delete the exchange or a binding without a word to us. A
# refused queue is tried as often.
_DECLARE_S: Final = 10.0
# A worker that has had no free slot for this long takes no hints.
_FULL_S: Final = 0.1


class HintConsumer:
    """A service that keeps a worker's consumer.

    `on_hint` is called with each hint that arrives, and returns whether the worker will claim because of it; it is
    acknowledged then. `on_loss` is called when the broker is lost.
    """

    name = "hints"

    def __init__(
        self,
        on_hint: Callable[[Hint], bool],
        on_loss: Callable[[], None],
        *,
        broker_url: str,
        queues: Collection[str],
        types: Collection[str],
        queue_type: HintQueueType,
    ) -> None:
        """Consume hints for these queues and types; empty for all."""
        self.queue = hint_queue_name(queues, types)
        self.link = BrokerLink(broker_url, name="worker", opened=self._opened, lost=self._lost)
        self._on_hint = on_hint
        self._on_loss = on_loss
        self._bindings = hint_bindings(queues, types)
        self._queue_type = queue_type
        self._driver: DriverChannel | None = None
        self._tag: str | None = None
        # Other consumers of the queue, as of the latest declaration.
        self._others = 0
        self._declared_at = float("-inf")
        self._last_delivery = 0
        self._is_refused = False
        self._full_since: float | None = None
        self._is_suspended = False
        self._changed = asyncio.Event()

    @property
    def is_consuming(self) -> bool:
        """Whether hints arrive."""
        return self._tag is not None

    @property
    def is_alone(self) -> bool:
        """Whether all hints of its queue arrive here; others that come are noticed within 10 s."""
        return self.is_consuming and self._others == 0

    async def run(self, stop: asyncio.Event) -> None:
        """Stay connected and consume until stopped."""
        async with asyncio.TaskGroup() as group, wake_on(stop, self._changed.set):
            group.create_task(self.link.run(stop))
            while not stop.is_set():
                self._changed.clear()
                await self._settle(stop)
                await first_of(self._changed, timeout_s=_DECLARE_S)

    async def acknowledge(self) -> None:
        """Acknowledge all hints that have arrived: the worker has free slots, and claims."""
        self._full_since = None
        if self._is_suspended:
            self._is_suspended = False
            self._changed.set()
        delivery, self._last_delivery = self._last_delivery, 0
        if delivery and self._driver is not None:
            try:
                await self._driver.basic_ack(delivery, multiple=True, wait=False)
            except BROKER_ERRORS as error:
                # They are delivered again, which does no harm.
                log.info("hint.unacknowledged", error=in_words(error))

    def suspend(self) -> None:
        """Leave hints to others, unless there is an `acknowledge` soon: the worker has no free slot."""
        if self._full_since is None:
            loop = asyncio.get_running_loop()
            self._full_since = loop.time()
            loop.call_later(_FULL_S, self._suspend, self._full_since)

    def _suspend(self, full_since: float) -> None:
        if self._full_since == full_since:
            self._is_suspended = True
            self._changed.set()

    async def _opened(self, channel: AbstractChannel) -> None:
        driver = cast("DriverChannel", await channel.get_underlay_channel())
        driver.on_consumer_cancel_callbacks.add(lambda _: self._changed.set())
        self._driver, self._tag, self._last_delivery = driver, None, 0
        self._declared_at = float("-inf")
        self._changed.set()

    def _lost(self) -> None:
        self._driver = self._tag = None
        self._last_delivery = 0
        self._on_loss()

    async def _settle(self, stop: asyncio.Event) -> None:
        """Consume, or stop consuming, as it should be."""
        driver = self._driver
        if driver is None:
            return
        try:
            if self._is_suspended:
                await self._cancel(driver)
            else:
                await self._consume(driver)
        except QueueRefused as error:
            if not self._is_refused:
                log.warning("hints.refused", queue=self.queue, trouble=error.trouble)
            self._is_refused = True
        except (BrokerAway, *BROKER_ERRORS) as error:
            if not stop.is_set():
                log.info("subscription.failed", queue=self.queue, error=in_words(error))
                self.link.reopen()

    async def _cancel(self, driver: DriverChannel) -> None:
        tag, self._tag = self._tag, None
        if tag is not None:
            async with asyncio.timeout(_CONSUME_S):
                await driver.basic_cancel(tag)
        delivery, self._last_delivery = self._last_delivery, 0
        if delivery:
            await driver.basic_nack(delivery, multiple=True, requeue=True, wait=False)

    async def _consume(self, driver: DriverChannel) -> None:
        if self._tag is not None and self._tag not in driver.consumers:
            # The broker has cancelled it, most likely because its queue was deleted.
            self._tag, self._declared_at = None, float("-inf")
        now = asyncio.get_running_loop().time()
        if now - self._declared_at >= _DECLARE_S:
            consumers = await declare_hints(self.link, self.queue, self._bindings, self._queue_type)
            self._others = consumers - self.is_consuming
            self._declared_at, self._is_refused = now, False
        if self._tag is not None:
            return
        try:
            async with asyncio.timeout(_CONSUME_S):
                await driver.basic_qos(prefetch_count=_PREFETCH)
                consumed = await driver.basic_consume(self.queue, self._consumer_on(driver))
        except TimeoutError:
            # RabbitMQ 4.0 breaks a queue when its node is killed within 1.5 s of the queue's declaration: it can
            # be declared, and consuming hangs for ever.
            log.warning("hints.discarded", queue=self.queue)
            await discard_hints(self.link, self.queue)
            raise
        if driver is self._driver:
            self._tag = consumed.consumer_tag

    def _consumer_on(
        self, driver: DriverChannel
    ) -> Callable[[DeliveredMessage], Coroutine[None, None, None]]:
        async def on_message(message: DeliveredMessage) -> None:
            tag = message.delivery_tag
            if driver is not self._driver or tag is None:
                return
            if self._is_wanted(message):
                self._last_delivery = tag
            else:
                # Nobody claims because of it. Unacknowledged, it would use up the prefetch.
                await driver.basic_ack(tag, wait=False)

        return on_message

    def _is_wanted(self, message: DeliveredMessage) -> bool:
        metrics.HINTS_RECEIVED.inc()
        if message.redelivered:
            metrics.HINTS_REDELIVERED.inc()
        try:
            hint = decode_hint(message.body)
        except ValueError as error:
            log.warning("hint.unreadable", queue=self.queue, error=str(error)[:200])
            return False
        return self._on_hint(hint)
