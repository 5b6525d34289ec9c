"""An intake whose database, broker, channel or queue goes away: every message is settled once, none is lost."""

import asyncio

import aio_pika
import orjson
import pytest

from taskmill.amqp.names import CREATE_KEY, CREATE_QUEUE, EXCHANGE, REJECTED_QUEUE
from taskmill.intake.amqp import _consumer_tags
from taskmill.intake.inbox import Inbox
from tests.support.api import LogLines
from tests.support.intake import (
    Producer,
    another_database,
    assert_all_acknowledged,
    counted,
    producing,
    taking_in,
    until_counted,
    until_it_consumes,
)
from tests.support.polling import eventually
from tests.support.proxy import a_network
from tests.support.rabbitmq import BrokerServer, Management
from tests.support.safety import assert_safe
from tests.support.stage import Stage


def messages(count: int, *, bad_every: int = 0) -> list[aio_pika.Message]:
    """Messages with ids, some of them bad."""
    return [
        aio_pika.Message(
            b"rubbish" if bad_every and n % bad_every == 0 else orjson.dumps({"name": f"task {n}"}),
            message_id=f"id {n}",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        for n in range(count)
    ]


async def test_messages_wait_out_an_outage_of_the_database(
    stage: Stage, broker_url: str, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.operations.create._TIMEOUT_S", 0.2)
    async with (
        producing(broker_url) as producer,
        a_network(stage.url) as (network, url),
        another_database(url) as database,
    ):
        async with taking_in(stage, broker_url, database=database) as intake:
            await producer.send({"name": "before"}, message_id="before")
            await until_counted(stage, 1, 0)
            network.refuse(refuses=True)
            network.break_all()
            await producer.send_all(messages(50, bad_every=5))

            async def waits() -> bool:
                return len(log_lines.named("intake.delayed")) > 2

            await eventually(waits, "the intake tries again")
            assert await counted(stage) == (1, 0)
            assert intake.link.is_up, "messages stay where they are"
            network.refuse(refuses=False)
            await until_counted(stage, 41, 10)
        await assert_all_acknowledged(producer)
        assert await producer.depth(REJECTED_QUEUE) == 10
    redelivered = await stage.sql.fetchval("SELECT sum(redeliveries) FROM taskmill.rejection")
    assert redelivered == 0
    await assert_safe(stage.sql)


async def test_a_lost_response_makes_no_second_task_even_without_an_id(
    stage: Stage, broker_url: str
) -> None:
    async with (
        producing(broker_url) as producer,
        a_network(stage.url) as (network, url),
        another_database(url) as database,
    ):
        async with taking_in(stage, broker_url, database=database):
            network.lose_response_to("INSERT INTO taskmill.task (")
            await producer.send({"name": "a"})
            await network.cut.wait()
            await until_counted(stage, 1, 0)
            network.lose_response_to("INSERT INTO taskmill.rejection")
            await producer.send(b"rubbish")
            await network.cut.wait()
            await producer.rejected(1)
        await assert_all_acknowledged(producer)
    assert await counted(stage) == (1, 1)
    await assert_safe(stage.sql)


async def test_an_intake_that_stops_during_an_outage_leaves_the_messages_to_the_broker(
    stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    monkeypatch.setattr("taskmill.operations.create._TIMEOUT_S", 0.2)
    monkeypatch.setattr("taskmill.intake.amqp._DRAIN_S", 0.3)
    async with producing(broker_url) as producer:
        async with (
            a_network(stage.url) as (network, url),
            another_database(url) as database,
            taking_in(stage, broker_url, database=database),
        ):
            network.refuse(refuses=True)
            network.break_all()
            await producer.send_all(messages(20))

            async def waits() -> bool:
                return bool(log_lines.named("intake.delayed"))

            await eventually(waits, "the intake tries again")

        async def back() -> bool:
            return await producer.depth() == 20

        await eventually(back, "the messages are in the queue again")
        assert await counted(stage) == (0, 0)
        async with taking_in(stage, broker_url):
            await until_counted(stage, 20, 0)
        await assert_all_acknowledged(producer)


async def test_what_was_committed_and_not_acknowledged_is_settled_again_without_a_trace(
    stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def loses(self: Inbox, batch: object) -> None:
        """A process that dies between its commit and its acknowledgement."""

    async with producing(broker_url) as producer:
        with monkeypatch.context() as patched:
            patched.setattr(Inbox, "settle", loses)
            async with taking_in(stage, broker_url):
                await producer.send_all(messages(30, bad_every=3))
                await until_counted(stage, 20, 10)
        async with taking_in(stage, broker_url):

            async def again() -> bool:
                counts = "SELECT count(*) FROM taskmill.rejection WHERE redeliveries = 1"
                return bool(await stage.sql.fetchval(counts) == 10)

            await eventually(again, "all came again")
        await assert_all_acknowledged(producer)
        assert await counted(stage) == (20, 10)
    await assert_safe(stage.sql)


async def test_a_deleted_queue_is_created_again_and_consumed(
    stage: Stage, broker_url: str, broker_management: Management
) -> None:
    async with producing(broker_url) as producer:
        async with taking_in(stage, broker_url):
            await asyncio.to_thread(broker_management.delete_queue, CREATE_QUEUE)
            await _publish_until_taken(producer)
            await until_counted(stage, 1, 0)
        await assert_all_acknowledged(producer)


async def _publish_until_taken(producer: Producer) -> None:
    """Publish as soon as there is a queue again; until then the broker returns it."""

    async def published() -> bool:
        try:
            await producer.send({"name": "a"}, message_id="a")
        except aio_pika.exceptions.DeliveryError:
            return False
        return True

    await eventually(published, "the queue is there again", timeout_s=5)


async def test_a_deleted_queue_of_refused_messages_is_created_again(
    stage: Stage, broker_url: str, broker_management: Management
) -> None:
    async with producing(broker_url) as producer, taking_in(stage, broker_url):
        await asyncio.to_thread(broker_management.delete_queue, REJECTED_QUEUE)
        await producer.send(b"rubbish")
        await until_counted(stage, 0, 1)

        async def copied() -> bool:
            names = await asyncio.to_thread(broker_management.queues)
            return REJECTED_QUEUE in names and await producer.depth(REJECTED_QUEUE) == 1

        await eventually(copied, "the copy is there")


async def test_a_consumer_that_vanished_is_noticed(stage: Stage, broker_url: str) -> None:
    async with producing(broker_url) as producer:
        async with taking_in(stage, broker_url) as intake:
            driver = intake.link.driver
            assert driver is not None
            for tag in _consumer_tags(driver):
                await driver.basic_cancel(tag)
            await producer.send({"name": "a"})
            await until_counted(stage, 1, 0)
            assert intake.link.driver is not driver
        await assert_all_acknowledged(producer)


async def test_connections_that_an_operator_closes_come_back(
    stage: Stage, broker_url: str, broker_management: Management
) -> None:
    async with taking_in(stage, broker_url) as intake:

        async def closed() -> bool:
            return await asyncio.to_thread(broker_management.close_connections) > 0

        await eventually(closed, "connections are listed")
        await until_it_consumes(intake)
        async with producing(broker_url) as producer:
            await producer.send({"name": "a"})
            await producer.send(b"rubbish")
            await until_counted(stage, 1, 1)
            await producer.rejected(1)


async def test_an_existing_queue_is_consumed_as_it_is_and_drops_nothing_in_an_outage(
    stage: Stage, broker_url: str, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.operations.create._TIMEOUT_S", 0.2)
    async with (
        producing(broker_url) as producer,
        a_network(stage.url) as (network, url),
        another_database(url) as database,
    ):
        exchange = await producer.channel.declare_exchange(EXCHANGE, "direct", durable=True)
        queue = await producer.channel.declare_queue(
            CREATE_QUEUE,
            durable=True,
            arguments={"x-queue-type": "quorum", "x-delivery-limit": 1},
        )
        await queue.bind(exchange, CREATE_KEY)
        await producer.channel.declare_queue(REJECTED_QUEUE, durable=True)
        network.refuse(refuses=True)
        async with taking_in(stage, broker_url, database=database):
            await producer.send_all(messages(20, bad_every=4))

            async def waits() -> bool:
                return len(log_lines.named("intake.delayed")) > 3

            await eventually(waits, "the intake tries again")
            network.refuse(refuses=False)
            await until_counted(stage, 15, 5)
            await producer.rejected(5)
        await assert_all_acknowledged(producer)
    names = {line["name"] for line in log_lines.named("broker.differs")}
    assert names == {EXCHANGE, CREATE_QUEUE, REJECTED_QUEUE}


async def test_a_broker_that_is_killed_in_the_middle_loses_and_doubles_nothing(
    stage: Stage, private_broker: BrokerServer
) -> None:
    url = private_broker.url
    async with taking_in(stage, url) as intake:
        async with producing(url) as producer:
            for _ in range(4):
                await producer.send_all(messages(1000, bad_every=50))

        async def begun() -> bool:
            return (await counted(stage))[0] > 0

        await eventually(begun, "some are settled")
        await asyncio.to_thread(private_broker.kill)
        await asyncio.to_thread(private_broker.start)
        await until_it_consumes(intake)
        await until_counted(stage, 980, 20)
        async with producing(url) as producer:
            await producer.send({"name": "after"}, message_id="after")
            await until_counted(stage, 981, 20)
    async with producing(url) as producer:
        await assert_all_acknowledged(producer)
    await assert_safe(stage.sql)
