"""What Taskmill has at the broker: arguments and declarations. It consumes and publishes nothing."""

from collections.abc import Mapping
from typing import Final

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel
from pamqp.common import FieldValue

from taskmill.amqp.names import (
    CREATE_KEY,
    CREATE_QUEUE,
    EXCHANGE,
    HINT_TTL_S,
    HINTS,
    REJECTED_QUEUE,
    hint_queue,
)

__all__ = [
    "CREATE_KEY",
    "CREATE_QUEUE",
    "EXCHANGE",
    "HINTS",
    "HINT_TTL_S",
    "REJECTED_QUEUE",
    "create_arguments",
    "declare_exchange",
    "declare_hints",
    "declare_rejected",
    "hint_queue",
]

_HINT_QUEUE_IDLE_S: Final = 1800.0
_MOST_REJECTED: Final = 100_000
# From this version on a quorum queue drops a message after 20 deliveries unless told otherwise; 3.x has no
# limit of its own and is said to take -1 for 0.
_LIMITS_DELIVERIES_SINCE: Final = (4,)

_Arguments = Mapping[str, FieldValue]


async def declare_hints(channel: AbstractChannel, name: str) -> None:
    """Make a queue of hints unless it is there; relay and workers declare it alike.

    Replicated, so that the loss of a node loses no queue; unused for half an hour it goes away.
    """
    await channel.declare_queue(name, durable=True, arguments=dict(_HINT_ARGUMENTS))


_HINT_ARGUMENTS: Final[_Arguments] = {
    "x-queue-type": "quorum",
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


async def declare_rejected(channel: AbstractChannel) -> None:
    """Make the queue of refused messages, unless it is there; the oldest copies give way to new ones."""
    await channel.declare_queue(
        REJECTED_QUEUE,
        durable=True,
        arguments={"x-queue-type": "quorum", "x-max-length": _MOST_REJECTED},
    )
