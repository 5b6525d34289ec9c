"""Examines the broker for the doctor: alarms, and whether the queues are as the program declares them.

It stores nothing: a queue is only declared when it is there, and the message that it publishes fits no queue.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from aio_pika import Message
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from aiormq.exceptions import ChannelAccessRefused, PublishError
from pamqp.common import FieldValue

from taskmill.amqp.connection import (
    BROKER_ERRORS,
    addresses,
    connect,
    in_words,
    server_version,
    vhost_of,
)
from taskmill.amqp.names import CREATE_QUEUE, REJECTED_QUEUE
from taskmill.amqp.topology import create_arguments, hint_arguments, rejected_arguments
from taskmill.domain.doctor_snapshot import BrokerFacts, QueueTrouble

_CONNECT_S: Final = 1.0
_QUEUES_S: Final = 1.0
_CONFIRM_S: Final = 0.8
_READY_S: Final = 0.05
_CLOSE_S: Final = 0.2
# No queue has this name, so that the broker returns the message.
_NOBODYS_KEY: Final = "taskmill.doctor"

_Arguments = Mapping[str, FieldValue]


async def examine(url: str, hint_queues: Iterable[str] = ()) -> BrokerFacts:
    """Return what the broker shows, within about 2 s; it raises nothing when the broker is away."""
    try:
        connection = await _connected(url)
    except BROKER_ERRORS as error:
        return BrokerFacts(trouble=in_words(error))
    try:
        facts = await _examined(connection, hint_queues)
        return replace(facts, vhost=vhost_of(url))
    except BROKER_ERRORS as error:
        return BrokerFacts(trouble=in_words(error))
    finally:
        # One that is blocked responds to nothing.
        with suppress(*BROKER_ERRORS):
            async with asyncio.timeout(_CLOSE_S):
                await connection.close()


async def _connected(url: str) -> AbstractConnection:
    """Connect to the first node that responds."""
    async with asyncio.timeout(_CONNECT_S):
        *others, last = addresses(url)
        for address in others:
            with suppress(*BROKER_ERRORS):
                return await connect(address, "taskmill doctor")
        return await connect(last, "taskmill doctor")


async def _examined(connection: AbstractConnection, hint_queues: Iterable[str]) -> BrokerFacts:
    version = server_version(connection)
    facts = BrokerFacts(version=".".join(map(str, version)) or None)
    wanted: dict[str, Sequence[_Arguments]] = {
        CREATE_QUEUE: [create_arguments(version)],
        REJECTED_QUEUE: [rejected_arguments()],
        **{name: hint_arguments() for name in hint_queues},
    }
    troubles, unseen = [], []
    async with asyncio.timeout(_QUEUES_S):
        for name, allowed in wanted.items():
            try:
                if trouble := await _trouble_of(connection, name, allowed):
                    troubles.append(QueueTrouble(name=name, trouble=trouble))
            except ChannelAccessRefused:
                unseen.append(name)
    # Last: a connection that is blocked is of no more use.
    is_blocked = await _is_blocked(connection)
    return replace(facts, queues=troubles, unseen_queues=unseen, is_blocked=is_blocked)


async def _trouble_of(
    connection: AbstractConnection, name: str, allowed: Iterable[_Arguments]
) -> str | None:
    """Return what the broker has against all of the allowed arguments; None for a queue that fits or is not there.

    A refusal closes the channel, so each try has its own.
    """
    trouble = None
    try:
        async with connection.channel() as channel:
            await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return None
    for arguments in allowed:
        try:
            async with connection.channel() as channel:
                await channel.declare_queue(name, durable=True, arguments=dict(arguments))
        except ChannelPreconditionFailed as error:
            trouble = trouble or in_words(error)
        else:
            return None
    return trouble


async def _is_blocked(connection: AbstractConnection) -> bool | None:
    """Return whether the broker blocks this connection from publishing, as it does when it has an alarm.

    It does so when something is published, and then reads nothing more of the connection. None where this user may
    not publish, or that is not known.
    """
    try:
        async with asyncio.timeout(_CONFIRM_S):
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            with suppress(PublishError):  # it comes back, as it should
                message = Message(b"", expiration=0)
                await channel.default_exchange.publish(message, _NOBODYS_KEY, mandatory=True)
            await connection.channel()
    except ChannelAccessRefused:
        return None
    except TimeoutError:
        return None if await _is_ready(connection) else True
    return False


async def _is_ready(connection: AbstractConnection) -> bool:
    """Return whether the driver knows of no alarm: if there is one, it waits for its end."""
    if connection.transport is None:
        return True
    try:
        async with asyncio.timeout(_READY_S):
            await connection.transport.connection.ready()
    except TimeoutError:
        return False
    return True
