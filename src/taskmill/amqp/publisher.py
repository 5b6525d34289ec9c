"""Publishes with confirms. It never retries: callers know whether that is harmless."""

import asyncio

from aiormq import spec
from aiormq.exceptions import DeliveryError, PublishError

from taskmill.amqp.connection import BROKER_ERRORS, BrokerLink
from taskmill.domain.errors import BrokerAway, Unroutable

Properties = spec.Basic.Properties

_PERSISTENT = 2


class Publisher:
    """Publishes over a link. Concurrent messages share one batch on the wire, and each has its own confirm."""

    def __init__(self, link: BrokerLink, *, timeout_s: float = 5.0) -> None:
        self._link = link
        self._timeout_s = timeout_s

    async def publish(
        self,
        body: bytes,
        *,
        routing_key: str,
        exchange: str = "",
        properties: Properties | None = None,
        mandatory: bool = True,
    ) -> None:
        """Publish a message and return when the broker has confirmed it.

        The properties are sent as given (aio-pika's own messages would add priority 0). They must not be shared
        with other messages: the driver adds an id if there is none, and recognizes a returned message by it.

        Raises:
            Unroutable: no queue is bound for it (`mandatory` only); the broker has dropped it.
            BrokerAway: there is no connection, or no confirm arrived in time; the broker may have it.
        """
        channel = self._link.driver
        if channel is None:
            raise BrokerAway(self._link.trouble or "the connection was lost")
        try:
            async with asyncio.timeout(self._timeout_s):
                await channel.basic_publish(
                    body,
                    exchange=exchange,
                    routing_key=routing_key,
                    properties=properties or Properties(delivery_mode=_PERSISTENT),
                    mandatory=mandatory,
                )
        except PublishError as error:
            raise Unroutable(exchange, routing_key) from error
        except DeliveryError as error:
            raise BrokerAway(
                "it refused a message: a queue that is bound for it may be full"
            ) from error
        except BROKER_ERRORS as error:
            raise BrokerAway(str(error) or type(error).__name__) from error
