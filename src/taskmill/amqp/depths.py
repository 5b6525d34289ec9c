"""Reads how many messages and consumers queues of the broker have. It declares and changes nothing."""

import asyncio
from collections.abc import Iterable

from aio_pika.abc import AbstractConnection, AbstractQueue
from aiormq.exceptions import ChannelNotFoundEntity

from taskmill.amqp.connection import (
    BROKER_ERRORS,
    BrokerLink,
    addresses,
    connect,
    in_words,
    limited_on_channels,
)
from taskmill.domain.errors import BrokerAway
from taskmill.domain.system import BrokerQueue

_TIMEOUT_S = 5.0
# A page shows more than this, and has less time in all.
_LINKED_S = 1.0


async def read_depths(url: str, names: Iterable[str]) -> list[BrokerQueue]:
    """Return the depths of those queues that exist, in the order of `names`.

    Raises:
        BrokerAway: it can't be reached, or went away meanwhile.
    """
    connection = await _connected(url)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            found = [await _depth(connection, name) for name in names]
    except BROKER_ERRORS as error:
        raise BrokerAway(in_words(error)) from error
    finally:
        await connection.close()
    return [depth for depth in found if depth is not None]


async def read_linked(link: BrokerLink, names: Iterable[str]) -> list[BrokerQueue] | None:
    """Do the same over an open connection; None when the broker is away, or does not answer in time."""
    try:
        async with limited_on_channels(_LINKED_S):
            found = [await _linked(link, name) for name in names]
    except (BrokerAway, *BROKER_ERRORS):
        return None
    return [queue for queue in found if queue is not None]


async def _linked(link: BrokerLink, name: str) -> BrokerQueue | None:
    try:
        async with link.side_channel() as channel:
            queue = await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return None
    return _queue(name, queue)


async def _connected(url: str) -> AbstractConnection:
    """Connect to the first node that responds."""
    trouble = "no address"
    for address in addresses(url):
        try:
            return await connect(address, "taskmill depths")
        except BROKER_ERRORS as error:
            trouble = in_words(error)
    raise BrokerAway(trouble)


async def _depth(connection: AbstractConnection, name: str) -> BrokerQueue | None:
    """Read one queue on a channel of its own, which the broker closes if there is no such queue."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        queue = await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return None
    await channel.close()
    return _queue(name, queue)


def _queue(name: str, queue: AbstractQueue) -> BrokerQueue:
    found = queue.declaration_result
    return BrokerQueue(
        name=name, messages=found.message_count or 0, consumers=found.consumer_count or 0
    )
