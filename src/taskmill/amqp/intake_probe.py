"""Checks from outside whether the intake of creation messages works: its exchange, its queue, and its consumers.

Passive declarations report that and create nothing. The binding between the two can't be queried; the intake
itself keeps it in place.
"""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final

from aiormq.exceptions import ChannelNotFoundEntity

from taskmill.amqp.connection import BROKER_ERRORS, BrokerLink, in_words, limited_on_channels
from taskmill.amqp.depths import read_linked
from taskmill.amqp.names import CREATE_QUEUE, EXCHANGE
from taskmill.domain.errors import BrokerAway
from taskmill.domain.system import BrokerQueue, IntakePresence, IntakeState
from taskmill.runtime.ttl_cache import TtlCache

_TIMEOUT_S: Final = 2.0
# At most this often, however many callers there are.
_MIN_INTERVAL_S: Final = 0.5
# For this long after the broker has come up an intake that was not seen yet counts as starting.
_STARTING_S: Final = 30.0


class IntakeProbe:
    """Probes the intake, which may run in any process, over the caller's connection."""

    def __init__(self, link: BrokerLink, *, is_broker_starting: Callable[[], bool]) -> None:
        self._link = link
        self._is_broker_starting = is_broker_starting
        self._troubles: TtlCache[str | None] = TtlCache()
        self._was_ok_at = float("-inf")
        self._broker_came_at: float | None = None

    async def state(self) -> IntakeState:
        """Return the present state; raises nothing."""
        trouble = await self._troubles.get(None, self._probe, ttl_s=_MIN_INTERVAL_S)
        if trouble is None:
            self._was_ok_at = perf_counter()
            return IntakeState(presence=IntakePresence.OK)
        if self._is_starting():
            return IntakeState(presence=IntakePresence.STARTING)
        return IntakeState(presence=IntakePresence.AWAY, trouble=trouble)

    async def queues(self, names: Sequence[str]) -> Sequence[BrokerQueue] | None:
        """Return those of some queues that the broker has, None when it is away; raises nothing."""
        return await read_linked(self._link, names)

    def _is_starting(self) -> bool:
        if self._was_ok_at > float("-inf"):
            return False
        if self._broker_came_at is None:  # or the broker has come up since the probe
            return self._link.is_up or self._is_broker_starting()
        return perf_counter() - self._broker_came_at < _STARTING_S

    async def _probe(self) -> str | None:
        """Return why nobody consumes messages, None if somebody does."""
        if not self._link.is_up:
            return "RabbitMQ is away"
        self._broker_came_at = self._broker_came_at or perf_counter()
        try:
            async with limited_on_channels(_TIMEOUT_S), self._link.side_channel() as channel:
                await channel.get_exchange(EXCHANGE, ensure=True)
                queue = await channel.declare_queue(CREATE_QUEUE, passive=True)
        except ChannelNotFoundEntity as error:
            return in_words(error)
        except (BrokerAway, *BROKER_ERRORS) as error:
            return in_words(error)
        if not queue.declaration_result.consumer_count:
            return f"nobody takes the messages of {CREATE_QUEUE}"
        return None
