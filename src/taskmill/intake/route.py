"""Keeps the exchange, the queues and the binding of creation messages in place while the intake runs.

If the exchange or the binding is deleted, the consumer gets no error: only producers notice that nobody takes
their messages. So both are declared again and again, which changes nothing while they exist.
"""

import asyncio
from typing import Final

from taskmill.amqp.connection import BROKER_ERRORS, BrokerLink, in_words
from taskmill.amqp.names import CREATE_QUEUE
from taskmill.domain.errors import BrokerAway
from taskmill.intake.declaration import repair_route
from taskmill.observability.logs import get_logger
from taskmill.runtime.periodic import pause

log = get_logger(__name__)

_CHECK_S: Final = 2.0
_TIMEOUT_S: Final = 5.0


class Route:
    """Maintains the route from the exchange to the queue, and the queue of refused messages."""

    def __init__(self, link: BrokerLink) -> None:
        self._link = link
        self.trouble: str | None = None

    async def maintain(self, stop: asyncio.Event) -> None:
        """Check every two seconds until stopped."""
        while not stop.is_set():
            await pause(stop, _CHECK_S)
            if self._link.is_up and not stop.is_set():
                await self._check()

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                was_repaired = await repair_route(self._link)
        except (BrokerAway, *BROKER_ERRORS) as error:
            if self.trouble is None:
                log.warning("intake.unreachable", queue=CREATE_QUEUE, trouble=in_words(error))
            self.trouble = in_words(error)
            return
        if was_repaired:
            log.warning("intake.restored", queue=CREATE_QUEUE)
        self.trouble = None
