"""Three embedded nodes as one cluster."""

from pathlib import Path

import aio_pika
import pytest

from taskmill.amqp.connection import addresses
from tests.support.polling import wait_until
from tests.support.rabbitmq import processes_of
from tests.support.rabbitmq_cluster import BrokerCluster

pytestmark = pytest.mark.slow


async def test_a_killed_node_takes_nothing_with_it_and_comes_back(tmp_path: Path) -> None:
    with BrokerCluster(tmp_path) as cluster:
        first, second, _ = addresses(cluster.url)
        async with await aio_pika.connect(first) as connection:
            channel = await connection.channel()
            await channel.declare_queue(
                "kept",
                durable=True,
                arguments={"x-queue-type": "quorum", "x-quorum-initial-group-size": 3},
            )
            await channel.default_exchange.publish(aio_pika.Message(b"one"), routing_key="kept")
            cluster.kill(0)
        async with await aio_pika.connect(second) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("kept", passive=True)
            async with queue.iterator(timeout=15) as messages:
                async for message in messages:
                    assert message.body == b"one"
                    await message.ack()
                    break
        cluster.restart(0)
        wait_until(cluster.nodes[0].is_ready, "the node is back", timeout_s=60)
    wait_until(lambda: not processes_of(tmp_path / "one@localhost"), "all ended", timeout_s=3)
