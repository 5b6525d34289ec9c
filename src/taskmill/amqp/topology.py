"""What Taskmill has at the broker: arguments and declarations. It consumes and publishes nothing."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, get_args
from uuid import UUID

import orjson
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelClosed, ChannelPreconditionFailed
from pamqp.common import FieldValue

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.names import (
    CREATE_KEY,
    CREATE_QUEUE,
    EVENTS_EXCHANGE,
    EXCHANGE,
    HINT_TTL_S,
    HINTS,
    REJECTED_QUEUE,
    HintQueueType,
    hint_queue_name,
)
from taskmill.domain.errors import BrokerAway

__all__ = [
    "CREATE_KEY",
    "CREATE_QUEUE",
    "EVENTS_EXCHANGE",
    "EXCHANGE",
    "HINTS",
    "HINT_TTL_S",
    "REJECTED_QUEUE",
    "HintQueueType",
    "QueueRefused",
    "create_arguments",
    "declare_events_exchange",
    "declare_exchange",
    "declare_hints",
    "declare_rejected",
    "discard_hints",
    "hint_queue_name",
]

_HINT_QUEUE_IDLE_S: Final = 1800.0
_MOST_REJECTED: Final = 100_000
# Nobody has to read them, and a message may be as large as the broker lets it: they must not fill its disk.
_MOST_REJECTED_BYTES: Final = 2**30
# Ours name 100 at most. A worker claims all of one hint before it takes the next.
_MOST_IDS_READ: Final = 1_000
# From this version on a quorum queue drops a message after 20 deliveries unless told otherwise; 3.x has no
# limit of its own and is said to take -1 for 0.
_LIMITS_DELIVERIES_SINCE: Final = (4,)

_Arguments = Mapping[str, FieldValue]


class QueueRefused(BrokerAway):
    """The broker refuses a queue: no rights, or the node that it is on is away. Others may be had all the same."""


async def declare_hints(link: BrokerLink, name: str, queue_type: HintQueueType = "classic") -> None:
    """Make a queue of hints unless it is there; unused for half an hour it goes away.

    One of the other type is used as it is, so that two who were told otherwise don't take it from each other. One
    that somebody has made in yet another way is made anew: hints are worth nothing by themselves.

    Raises:
        QueueRefused: the broker refuses it.
        BrokerAway: there is no connection, or it was lost.
    """
    try:
        for one in dict.fromkeys((queue_type, *_HINT_QUEUE_TYPES)):
            with suppress(ChannelPreconditionFailed):
                await _declare_hints(link, name, one)
                return
        await discard_hints(link, name)
        await _declare_hints(link, name, queue_type)
    except ChannelClosed as error:
        raise QueueRefused(f"it refuses the queue {name}: {error}") from error


async def discard_hints(link: BrokerLink, name: str) -> None:
    """Delete a queue of hints, whatever is in it. Raises `BrokerAway` as `declare_hints` does."""
    try:
        async with link.side_channel() as channel:
            await channel.queue_delete(name)
    except ChannelClosed as error:
        raise BrokerAway(f"it refuses to delete {name}: {error}") from error


async def _declare_hints(link: BrokerLink, name: str, queue_type: HintQueueType) -> None:
    arguments = {"x-queue-type": queue_type, **_HINT_ARGUMENTS}
    async with link.side_channel() as channel:
        await channel.declare_queue(name, durable=True, arguments=arguments)


def encode_hint(task_ids: Iterable[UUID]) -> bytes:
    """Return the body of a hint: a JSON array of task ids, as people read it on the management page."""
    return orjson.dumps([str(task_id) for task_id in task_ids])


def decode_hint(body: bytes) -> list[UUID]:
    """Read a hint's body. Raises `ValueError` when it is none, or names more than a thousand tasks."""
    told = orjson.loads(body)
    if not isinstance(told, list) or not all(isinstance(item, str) for item in told):
        raise ValueError("a hint is a JSON array of task ids")
    if len(told) > _MOST_IDS_READ:
        raise ValueError(f"a hint names no {len(told)} tasks")
    return [UUID(item) for item in told]


_HINT_QUEUE_TYPES: Final = get_args(HintQueueType)
_HINT_ARGUMENTS: Final[_Arguments] = {
    "x-message-ttl": int(HINT_TTL_S * 1000),
    "x-expires": int(_HINT_QUEUE_IDLE_S * 1000),
}


def create_arguments(server_version: tuple[int, ...]) -> dict[str, FieldValue]:
    """Return the arguments of the queue of creation messages: replicated, and nothing is ever dropped."""
    limit: dict[str, FieldValue] = {}
    if server_version >= _LIMITS_DELIVERIES_SINCE:
        limit["x-delivery-limit"] = -1
    return {"x-queue-type": "quorum", **limit}


async def declare_exchange(channel: AbstractChannel) -> None:
    """Make the exchange that producers publish to, unless it is there."""
    await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)


async def declare_events_exchange(channel: AbstractChannel) -> None:
    """Make the exchange that changes are published to, unless it is there."""
    await channel.declare_exchange(EVENTS_EXCHANGE, ExchangeType.TOPIC, durable=True)


async def declare_rejected(channel: AbstractChannel) -> None:
    """Make the queue of refused messages, unless it is there; the oldest copies give way to new ones."""
    await channel.declare_queue(REJECTED_QUEUE, durable=True, arguments=rejected_arguments())


def rejected_arguments() -> dict[str, FieldValue]:
    """Return the arguments of the queue of refused messages."""
    return {
        "x-queue-type": "quorum",
        "x-max-length": _MOST_REJECTED,
        "x-max-length-bytes": _MOST_REJECTED_BYTES,
    }
