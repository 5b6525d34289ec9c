"""Publishes changes to the exchange that consumers bind their queues to. Its caller chooses the changes."""

from collections.abc import Sequence

from aio_pika.abc import AbstractChannel

from taskmill.amqp.batches import BatchPublisher, Confirm, Message, Sent
from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.names import EVENTS_EXCHANGE, event_key
from taskmill.amqp.topology import declare_exchange
from taskmill.domain.feed import Change
from taskmill.wire.feed import CLOUD_EVENT, cloud_event_json, event_type

__all__ = ["Confirm", "EventExchange", "Sent", "key_of"]


class EventExchange:
    """Its own connection to the broker, on which it publishes in order, with confirms.

    A message for which no queue is bound is returned.
    """

    def __init__(self, broker_url: str, *, source: str) -> None:
        self.link = BrokerLink(broker_url, name="events", opened=self._opened)
        self._publisher = BatchPublisher(
            self.link, exchange=EVENTS_EXCHANGE, content_type=CLOUD_EVENT
        )
        self._source = source

    async def deliver(self, changes: Sequence[Change]) -> Sent:
        """Publish changes in order, and return their confirms; those beyond the confirms were not sent."""
        return await self._publisher.publish(map(self._message, changes))

    def _message(self, change: Change) -> Message:
        return Message(
            routing_key=key_of(change),
            message_id=str(change.cursor),
            message_type=event_type(change),
            body=cloud_event_json(change, source=self._source),
        )

    async def _opened(self, channel: AbstractChannel) -> None:
        await declare_exchange(channel, EVENTS_EXCHANGE)


def key_of(change: Change) -> str:
    """Return the routing key of a change."""
    return event_key(change.event.status, change.queue)
