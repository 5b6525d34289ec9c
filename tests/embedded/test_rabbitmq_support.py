"""The tests' own support for RabbitMQ works."""

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from tests.support.polling import wait_until
from tests.support.rabbitmq import BrokerServer, Management, VirtualHosts


async def declare(url: str, *names: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for name in names:
            await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})


async def keep(_: AbstractIncomingMessage) -> None:
    """Do nothing with a message."""


async def test_each_test_gets_an_empty_virtual_host(
    broker_server: VirtualHosts, broker_url: str, broker_management: Management
) -> None:
    assert broker_management.queues() == {}
    await declare(broker_url, "mine")
    assert list(broker_management.queues()) == ["mine"]
    other = broker_server.create()
    assert broker_server.management(other).queues() == {}
    broker_server.drop(other)
    with pytest.raises(aio_pika.exceptions.AMQPError):
        await aio_pika.connect(other)


async def test_queues_consumers_and_connections_can_be_seen_and_ended(
    broker_url: str, broker_management: Management
) -> None:
    await declare(broker_url, "first", "second")
    broker_management.delete_queue("first")
    assert list(broker_management.queues()) == ["second"]
    connection = await aio_pika.connect(broker_url)
    channel = await connection.channel()
    queue = await channel.get_queue("second")
    await queue.consume(keep)
    wait_until(lambda: len(broker_management.consumers()) == 1, "one consumer is listed")
    wait_until(lambda: len(broker_management.connections()) == 1, "one connection is listed")
    assert broker_management.close_connections() == 1
    wait_until(lambda: broker_management.consumers() == [], "no consumer is listed")
    await connection.close()


async def test_a_broker_of_ones_own_can_be_killed_and_wiped(private_broker: BrokerServer) -> None:
    url = private_broker.url
    await declare(url, "kept")
    private_broker.kill()
    private_broker.start()
    assert private_broker.url == url
    assert list(private_broker.management().queues()) == ["kept"]
    private_broker.wipe()
    private_broker.start()
    assert private_broker.url == url
    assert private_broker.management().queues() == {}
