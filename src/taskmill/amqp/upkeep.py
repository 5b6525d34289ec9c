"""Keeps an exchange in place, even while nothing is published to it.

If somebody deletes it, the publisher notices that only with its next message; until then consumers can't bind
queues to it.
"""

import asyncio
from typing import Final

from aiormq.exceptions import ChannelNotFoundEntity

from taskmill.amqp.connection import BROKER_ERRORS, BrokerLink, in_words
from taskmill.amqp.topology import declare_exchange
from taskmill.domain.errors import BrokerAway
from taskmill.observability.logs import get_logger
from taskmill.runtime.periodic import pause

log = get_logger(__name__)

_CHECK_S: Final = 3.0
_TIMEOUT_S: Final = 5.0


class ExchangeUpkeep:
    """A service that checks over the caller's link whether an exchange exists, and declares it again if not."""

    name = "exchange-upkeep"

    def __init__(self, link: BrokerLink, exchange: str) -> None:
        self._link = link
        self._exchange = exchange

    async def run(self, stop: asyncio.Event) -> None:
        """Check every few seconds until stopped."""
        while not stop.is_set():
            await pause(stop, _CHECK_S)
            if self._link.is_up and not stop.is_set():
                await self._check()

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if await self._is_there():
                    return
                async with self._link.side_channel() as channel:
                    await declare_exchange(channel, self._exchange)
        except (BrokerAway, *BROKER_ERRORS) as error:
            log.info("exchange.unrestored", name=self._exchange, trouble=in_words(error))
            return
        log.warning("exchange.restored", name=self._exchange)

    async def _is_there(self) -> bool:
        try:
            async with self._link.side_channel() as channel:
                await channel.get_exchange(self._exchange, ensure=True)
        except ChannelNotFoundEntity:
            return False
        return True
