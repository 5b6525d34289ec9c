"""Delivers changes to the exchange that consumers bind their queues to. Which changes, it is told."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.names import EVENTS_EXCHANGE, event_key
from taskmill.amqp.publisher import Properties, Publisher
from taskmill.amqp.topology import declare_events_exchange
from taskmill.domain.errors import BrokerAway
from taskmill.domain.feed import Change
from taskmill.wire.feed import CLOUD_EVENT, cloud_event_json, event_type

_PERSISTENT = 2
# So many messages may await their confirms.
_WINDOW = 64


@dataclass(slots=True)
class _Delivery:
    """A run of changes under way: which of them the broker has, and what went wrong first."""

    confirmed: list[bool]
    trouble: BrokerAway | None = None

    @property
    def begun(self) -> int:
        """How many from the first on are confirmed without a gap."""
        return self.confirmed.index(False) if False in self.confirmed else len(self.confirmed)


class EventExchange:
    """A connection of its own to the broker, and publishing on it in order, with confirms.

    A message that no queue is bound for is dropped by the broker; that is no error.
    """

    def __init__(self, broker_url: str, *, source: str) -> None:
        self.link = BrokerLink(broker_url, name="events", opened=self._opened)
        self._publisher = Publisher(self.link)
        self._source = source

    async def deliver(self, changes: Sequence[Change]) -> tuple[int, BrokerAway | None]:
        """Publish changes in order; return how many from the first on the broker has, and why not all."""
        delivery = _Delivery([False] * len(changes))
        window = asyncio.Semaphore(_WINDOW)
        async with asyncio.TaskGroup() as group:
            for number, change in enumerate(changes):
                await window.acquire()
                if delivery.trouble is not None:
                    break
                group.create_task(self._send(change, number, delivery, window))
        return delivery.begun, delivery.trouble

    async def _send(
        self, change: Change, number: int, delivery: _Delivery, window: asyncio.Semaphore
    ) -> None:
        try:
            await self._publisher.publish(
                cloud_event_json(change, source=self._source),
                exchange=EVENTS_EXCHANGE,
                routing_key=event_key(change.event.status, change.queue),
                properties=Properties(
                    delivery_mode=_PERSISTENT,
                    content_type=CLOUD_EVENT,
                    message_id=str(change.cursor),
                    message_type=event_type(change),
                ),
                mandatory=False,
            )
            delivery.confirmed[number] = True
        except BrokerAway as error:
            delivery.trouble = delivery.trouble or error
        finally:
            window.release()

    async def _opened(self, channel: AbstractChannel) -> None:
        await declare_events_exchange(channel)
