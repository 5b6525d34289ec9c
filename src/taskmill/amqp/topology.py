"""Declares Taskmill's exchanges and queues at the broker. It consumes and publishes nothing."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, get_args

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelClosed, ChannelPreconditionFailed
from pamqp.common import FieldValue

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.names import EXCHANGE, HINT_TTL_S, HINTS, REJECTED_QUEUE, HintQueueType
from taskmill.domain.errors import BrokerAway

_HINT_QUEUE_IDLE_S: Final = 1800.0
_MOST_REJECTED: Final = 100_000
# Nobody has to consume them, and messages may be as large as the broker allows: they must not fill its disk.
_MOST_REJECTED_BYTES: Final = 2**30
# Workers with free slots take them at once; others need none.
_MOST_HINTS: Final = 1_000
# From this version on a quorum queue drops a message after 20 deliveries by default; 3.x has no default limit, and
# reportedly treats -1 as 0.
_LIMITS_DELIVERIES_SINCE: Final = (4,)

_Arguments = Mapping[str, FieldValue]


class QueueRefused(BrokerAway):
    """The broker refuses a queue: no permission, or its node is away. Other queues may still work."""


async def declare_hints(
    link: BrokerLink, name: str, bindings: Iterable[str], queue_type: HintQueueType = "classic"
) -> int:
    """Declare a queue of hints with its bindings, as far as they are missing; return how many consumers it has.

    The broker deletes it after half an hour without use, and drops the oldest of more than a thousand hints.
    A queue of the other type is used as it is, so that processes with different settings don't delete each
    other's. A queue with any other arguments is deleted and declared again: hints can be lost without harm.

    Raises:
        QueueRefused: the broker refuses it.
        BrokerAway: there is no connection, or it was lost.
    """
    try:
        for one in dict.fromkeys((queue_type, *_HINT_QUEUE_TYPES)):
            with suppress(ChannelPreconditionFailed):
                return await _declare_hints(link, name, bindings, one)
        await discard_hints(link, name)
        return await _declare_hints(link, name, bindings, queue_type)
    except ChannelClosed as error:
        raise QueueRefused(f"it refuses the queue {name}: {error}") from error


async def discard_hints(link: BrokerLink, name: str) -> None:
    """Delete a queue of hints with its contents. Raises `BrokerAway` as `declare_hints` does."""
    try:
        async with link.side_channel() as channel:
            await channel.queue_delete(name)
    except ChannelClosed as error:
        raise BrokerAway(f"it refuses to delete {name}: {error}") from error


async def _declare_hints(
    link: BrokerLink, name: str, bindings: Iterable[str], queue_type: HintQueueType
) -> int:
    arguments = _hint_arguments(queue_type)
    async with link.side_channel() as channel:
        await declare_exchange(channel, HINTS)
        queue = await channel.declare_queue(name, durable=True, arguments=arguments)
        for key in bindings:
            await queue.bind(HINTS, key)
    return queue.declaration_result.consumer_count or 0


_HINT_QUEUE_TYPES: Final = get_args(HintQueueType)
_HINT_ARGUMENTS: Final[_Arguments] = {
    "x-message-ttl": int(HINT_TTL_S * 1000),
    "x-expires": int(_HINT_QUEUE_IDLE_S * 1000),
    "x-max-length": _MOST_HINTS,
}


def hint_arguments() -> list[dict[str, FieldValue]]:
    """Return the arguments that a queue of hints may have: a queue of either type is used as it is."""
    return [_hint_arguments(one) for one in _HINT_QUEUE_TYPES]


def _hint_arguments(queue_type: HintQueueType) -> dict[str, FieldValue]:
    return {"x-queue-type": queue_type, **_HINT_ARGUMENTS}


def create_arguments(server_version: tuple[int, ...]) -> dict[str, FieldValue]:
    """Return the arguments of the queue of creation messages: it is replicated, and never drops a message."""
    limit: dict[str, FieldValue] = {}
    if server_version >= _LIMITS_DELIVERIES_SINCE:
        limit["x-delivery-limit"] = -1
    return {"x-queue-type": "quorum", **limit}


async def declare_exchange(channel: AbstractChannel, name: str = EXCHANGE) -> None:
    """Declare an exchange: of messages by producers, of hints, or of changes."""
    await channel.declare_exchange(name, ExchangeType.TOPIC, durable=True)


async def declare_rejected(channel: AbstractChannel) -> None:
    """Declare the queue of refused messages; when it is full the oldest copies are dropped."""
    await channel.declare_queue(REJECTED_QUEUE, durable=True, arguments=rejected_arguments())


def rejected_arguments() -> dict[str, FieldValue]:
    """Return the arguments of the queue of refused messages."""
    return {
        "x-queue-type": "quorum",
        "x-max-length": _MOST_REJECTED,
        "x-max-length-bytes": _MOST_REJECTED_BYTES,
    }
