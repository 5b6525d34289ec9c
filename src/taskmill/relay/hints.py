"""Publishes hints about waiting tasks. It knows their format and their queues, not which tasks are due."""

import asyncio
from collections.abc import Iterator, Sequence
from uuid import UUID

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.names import HintQueueType, hint_queue_name
from taskmill.amqp.publisher import Properties, Publisher
from taskmill.amqp.topology import declare_hints, encode_hint
from taskmill.domain.errors import BrokerAway, Unroutable
from taskmill.observability import metrics
from taskmill.storage.releases import HintQueue

# A worker should get its share in several hints, so that others get theirs, and one hint should fill no more than
# a quarter of its slots.
_HINTS_PER_WORKER = 4
_MOST_IDS = 100
_TRANSIENT = 1


def _properties() -> Properties:
    """Return the properties of one hint; the driver adds an id to them.

    A hint is not persistent: after a restart of the broker the relay releases all tasks again.
    """
    return Properties(delivery_mode=_TRANSIENT, content_type="application/json")


def split(task_ids: Sequence[UUID], *, workers: int, slots: int) -> Iterator[Sequence[UUID]]:
    """Split ids into hints: of one id each when few tasks wait, of up to 100 when many do."""
    share = -(-len(task_ids) // (_HINTS_PER_WORKER * max(workers, 1)))
    room = slots // (_HINTS_PER_WORKER * max(workers, 1))
    size = max(1, min(share, room, _MOST_IDS))
    for start in range(0, len(task_ids), size):
        yield task_ids[start : start + size]


class HintPublisher:
    """Publishes hints, and declares their queues when they are missing."""

    def __init__(self, link: BrokerLink, queue_type: HintQueueType) -> None:
        self._link = link
        self._queue_type = queue_type
        self._publisher = Publisher(link)
        self._known: set[str] = set()
        self._declaring = asyncio.Lock()

    def forget_queues(self) -> None:
        """Declare every queue again before its next use."""
        self._known.clear()

    async def publish(self, hint_queue: HintQueue, task_ids: Sequence[UUID]) -> None:
        """Publish a hint about tasks to a hint queue, and return when the broker has confirmed it.

        Raises:
            BrokerAway: the hint was not published, or it is unknown whether it was.
        """
        name = hint_queue_name(hint_queue.queue, hint_queue.type)
        body = encode_hint(task_ids)
        try:
            await self._declare(name)
            await self._send(body, name)
        except Unroutable:
            metrics.HINTS_RETURNED.inc()
            self._known.discard(name)
            await self._send_again(body, name)
        except BrokerAway:
            metrics.HINTS_FAILED.inc()
            raise

    async def _send(self, body: bytes, name: str) -> None:
        metrics.HINTS_PUBLISHED.inc()
        await self._publisher.publish(body, routing_key=name, properties=_properties())
        metrics.HINTS_CONFIRMED.inc()

    async def _send_again(self, body: bytes, name: str) -> None:
        """Send a returned hint again, after declaring its queue."""
        try:
            await self._declare(name)
            await self._send(body, name)
        except BrokerAway:
            metrics.HINTS_FAILED.inc()
            raise
        except Unroutable as error:
            metrics.HINTS_FAILED.inc()
            raise BrokerAway(str(error)) from error

    async def _declare(self, name: str) -> None:
        if name in self._known:
            return
        async with self._declaring:
            if name not in self._known:
                await declare_hints(self._link, name, self._queue_type)
                self._known.add(name)
