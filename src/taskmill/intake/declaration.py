"""Declares the exchange and the queues of the intake, and accepts existing ones as they are.

If one exists with other arguments, there were reasons for that; a consumer that insisted on its own would never
start.
"""

from collections.abc import Awaitable, Callable

from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from taskmill.amqp import topology
from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.names import CREATE_KEY, CREATE_QUEUE, EXCHANGE, REJECTED_QUEUE
from taskmill.observability.logs import get_logger

log = get_logger(__name__)


async def declare_intake(link: BrokerLink) -> None:
    """Declare what producers publish to: the exchange, the queue of creation messages, their binding.

    Raises:
        BrokerAway: there is no connection, or it was lost meanwhile.
        ChannelClosed: the broker refuses, for another reason than different arguments.
    """
    await _declare_unless_different(link, EXCHANGE, topology.declare_exchange)
    arguments = topology.create_arguments(link.server_version)

    async def declare_queue(channel: AbstractChannel) -> None:
        await channel.declare_queue(CREATE_QUEUE, durable=True, arguments=arguments)

    await _declare_unless_different(link, CREATE_QUEUE, declare_queue)
    async with link.side_channel() as channel:
        queue = await channel.declare_queue(CREATE_QUEUE, passive=True)
        await queue.bind(EXCHANGE, CREATE_KEY)


async def declare_rejected(link: BrokerLink) -> None:
    """Declare the queue of refused messages. Raises as `declare_intake` does."""
    await _declare_unless_different(link, REJECTED_QUEUE, topology.declare_rejected)


async def repair_route(link: BrokerLink) -> bool:
    """Bind the queue of creation messages again, and declare what is missing; return whether anything was.

    A missing binding is not counted: the broker does not report it. Raises as `declare_intake` does.
    """
    try:
        async with link.side_channel() as channel:
            queue = await channel.get_queue(CREATE_QUEUE, ensure=False)
            await queue.bind(EXCHANGE, CREATE_KEY)
            await channel.declare_queue(REJECTED_QUEUE, passive=True)
    except ChannelNotFoundEntity:
        await declare_intake(link)
        await declare_rejected(link)
        return True
    return False


async def _declare_unless_different(
    link: BrokerLink, name: str, declare: Callable[[AbstractChannel], Awaitable[object]]
) -> None:
    """Declare on a channel of its own, which the broker closes if the arguments differ."""
    try:
        async with link.side_channel() as channel:
            await declare(channel)
    except ChannelPreconditionFailed as error:
        log.warning("broker.differs", name=name, detail=str(error))
