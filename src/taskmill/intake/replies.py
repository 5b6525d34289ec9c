"""Publishes copies of refused messages, and replies to producers that asked for one.

By then everything is committed. A copy or a reply that the broker does not take in time is given up and logged:
the rows are the truth, and later messages must not wait.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from taskmill.amqp.connection import BROKER_ERRORS, BrokerLink
from taskmill.amqp.publisher import Properties, Publisher
from taskmill.domain.errors import BrokerAway, Unroutable
from taskmill.intake.declaration import declare_rejected
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import MESSAGES_REPLIED

log = get_logger(__name__)

_TIMEOUT_S: Final = 5.0
_PAUSE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, or a copy of a refused message; a `mandatory` one must reach a queue."""

    routing_key: str
    body: bytes
    properties: Properties
    mandatory: bool = False


class ReplyPublisher:
    """Publishes on a connection of its own: an alarm at the broker blocks publishers, not consumers."""

    def __init__(self, url: str) -> None:
        self._link = BrokerLink(url, name="intake-replies")
        self._publisher = Publisher(self._link, timeout_s=_TIMEOUT_S)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the connection open until stopped."""
        await self._link.run(stop)

    async def send(self, replies: Sequence[Reply]) -> None:
        """Publish all at once, and return when the broker has confirmed them or the timeout has passed."""
        try:
            async with asyncio.timeout(_TIMEOUT_S), asyncio.TaskGroup() as group:
                for reply in replies:
                    group.create_task(self._send(reply))
        except TimeoutError:
            log.warning("replies.unsent", replies=len(replies), trouble=self._link.trouble)

    async def _send(self, reply: Reply) -> None:
        while True:
            try:
                await self._publish(reply)
            except BrokerAway:
                await asyncio.sleep(_PAUSE_S)
            except Unroutable:
                await self._declare_again()
            except Exception as error:  # noqa: BLE001 - it contains what a producer sent, and must not stop the others
                log.warning("replies.unsent", replies=1, trouble=repr(error))
                return
            else:
                return

    async def _declare_again(self) -> None:
        """Declare the queue of refused messages again, after somebody deleted it."""
        await asyncio.sleep(_PAUSE_S)
        with suppress(BrokerAway, *BROKER_ERRORS):
            await declare_rejected(self._link)

    async def _publish(self, reply: Reply) -> None:
        await self._publisher.publish(
            reply.body,
            routing_key=reply.routing_key,
            properties=reply.properties,
            mandatory=reply.mandatory,
        )
        if not reply.mandatory:
            MESSAGES_REPLIED.inc()
