"""Reads how many messages and consumers queues of the broker have. It declares and changes nothing."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from taskmill.amqp.connection import BROKER_ERRORS, addresses, connect, in_words
from taskmill.domain.errors import BrokerAway

_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """A queue, how many messages wait in it, and how many consumers it has."""

    name: str
    messages: int
    consumers: int


async def read_depths(url: str, names: Iterable[str]) -> list[Depth]:
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


async def _connected(url: str) -> AbstractConnection:
    """Connect to the first node that responds."""
    trouble = "no address"
    for address in addresses(url):
        try:
            return await connect(address, "taskmill depths")
        except BROKER_ERRORS as error:
            trouble = in_words(error)
    raise BrokerAway(trouble)


async def _depth(connection: AbstractConnection, name: str) -> Depth | None:
    """Read one queue on a channel of its own, which the broker closes if there is no such queue."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        queue = await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return None
    found = queue.declaration_result
    await channel.close()
    return Depth(name=name, messages=found.message_count or 0, consumers=found.consumer_count or 0)
