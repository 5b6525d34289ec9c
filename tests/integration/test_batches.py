"""Messages that are published in one piece: each gets the broker's own confirm, whatever goes wrong on the way."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue
from pamqp.commands import Basic
from pamqp.common import FieldTable
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from taskmill.amqp.batches import BatchPublisher, Confirm, Message, _Batch, _header_frame
from taskmill.amqp.connection import BrokerLink
from tests.support.links import an_open_link
from tests.support.polling import eventually
from tests.support.rabbitmq import BrokerServer

EXCHANGE = "batches"


@pytest.fixture
async def channel(broker_url: str) -> AsyncIterator[AbstractChannel]:
    """A channel beside the publisher's own."""
    async with await aio_pika.connect(broker_url) as connection:
        yield await connection.channel()


@pytest.fixture
async def exchange(channel: AbstractChannel) -> AbstractExchange:
    return await channel.declare_exchange(EXCHANGE, "topic", durable=True)


async def a_queue(
    channel: AbstractChannel,
    exchange: AbstractExchange,
    key: str,
    arguments: FieldTable | None = None,
) -> AbstractQueue:
    queue = await channel.declare_queue(durable=True, arguments=arguments)
    await queue.bind(exchange, key)
    return queue


async def drained(queue: AbstractQueue) -> list[aio_pika.abc.AbstractIncomingMessage]:
    found = []
    while (message := await queue.get(fail=False)) is not None:
        await message.ack()
        found.append(message)
    return found


def a_publisher(link: BrokerLink, *, timeout_s: float = 5.0) -> BatchPublisher:
    return BatchPublisher(link, exchange=EXCHANGE, content_type="text/x", timeout_s=timeout_s)


def some(count: int, key: str = "a", *, size: int = 10, begin: int = 0) -> list[Message]:
    return [
        Message(key, f"{key}.{number}", "a.kind", bytes([number % 251]) * size)
        for number in range(begin, begin + count)
    ]


async def test_all_arrive_in_order_as_they_were_sent(
    channel: AbstractChannel, exchange: AbstractExchange, broker_url: str
) -> None:
    queue = await a_queue(channel, exchange, "#")
    async with an_open_link(broker_url) as link:
        publisher = a_publisher(link)
        for begin in (0, 700):
            sent = await publisher.publish(some(700, begin=begin))
            assert sent == ([Confirm.ACKED] * 700, None)
        assert await publisher.publish([]) == ([], None)
    found = await drained(queue)
    assert [one.message_id for one in found] == [f"a.{number}" for number in range(1400)]
    first = found[0]
    assert (first.routing_key, first.type, first.content_type) == ("a", "a.kind", "text/x")
    assert first.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert all(one.body == bytes([n % 251]) * 10 for n, one in enumerate(found))


async def test_large_and_empty_bodies_arrive_whole(
    channel: AbstractChannel, exchange: AbstractExchange, broker_url: str
) -> None:
    queue = await a_queue(channel, exchange, "#")
    sizes = [0, 1, 131_063, 131_064, 131_065, 131_072, 1_000_000]
    async with an_open_link(broker_url) as link:
        messages = [some(1, size=size, begin=n)[0] for n, size in enumerate(sizes)]
        sent = await a_publisher(link).publish(messages)
    assert sent.confirms == [Confirm.ACKED] * len(sizes)
    assert [message.body for message in await drained(queue)] == [m.body for m in messages]


async def test_what_no_queue_is_bound_for_is_returned(
    channel: AbstractChannel, exchange: AbstractExchange, broker_url: str
) -> None:
    queue = await a_queue(channel, exchange, "b")
    messages = [one for pair in zip(some(300), some(300, "b"), strict=True) for one in pair]
    messages += some(1, "c", size=300_000)
    async with an_open_link(broker_url) as link:
        publisher = a_publisher(link)
        sent = await publisher.publish(messages)
        assert sent.confirms == [Confirm.RETURNED, Confirm.ACKED] * 300 + [Confirm.RETURNED]
        # The same ids again: no earlier confirm is taken for theirs.
        await queue.bind(exchange, "a")
        assert (await publisher.publish(some(300))).confirms == [Confirm.ACKED] * 300


async def test_a_full_queue_raises_an_error_and_the_channel_goes_on(
    channel: AbstractChannel, exchange: AbstractExchange, broker_url: str
) -> None:
    full: FieldTable = {"x-max-length": 1, "x-overflow": "reject-publish"}
    queue = await a_queue(channel, exchange, "a", full)
    async with an_open_link(broker_url) as link:
        publisher, driver = a_publisher(link), link.driver
        sent = await publisher.publish(some(100) + some(5, "b"))
        assert sent.trouble is not None
        assert "a queue that is bound for it may be full" in sent.trouble.trouble
        assert sent.confirms[0] is Confirm.ACKED
        assert Confirm.NACKED in sent.confirms[:100]
        assert sent.confirms[100:] == [Confirm.RETURNED] * 5
        await queue.purge()
        assert (await publisher.publish(some(1))).trouble is None
        assert link.driver is driver


async def test_a_missing_exchange_raises_an_error_and_the_link_opens_again(
    channel: AbstractChannel, exchange: AbstractExchange, broker_url: str
) -> None:
    queue = await a_queue(channel, exchange, "#")
    async with an_open_link(broker_url) as link:
        publisher, driver = a_publisher(link), link.driver
        await publisher.publish(some(3))
        await exchange.delete()
        sent = await publisher.publish(some(300))
        assert sent.trouble is not None
        assert "NOT_FOUND" in sent.trouble.trouble
        assert Confirm.ACKED not in sent.confirms

        async def is_back() -> bool:
            return link.is_up and link.driver is not driver

        await eventually(is_back, "the link to be opened again")
        await channel.declare_exchange(EXCHANGE, "topic", durable=True)
        await queue.bind(EXCHANGE, "#")
        assert (await publisher.publish(some(3))).confirms == [Confirm.ACKED] * 3


async def test_only_what_was_confirmed_counts_when_the_broker_dies(
    private_broker: BrokerServer,
) -> None:
    url = private_broker.url
    async with an_open_link(url) as link:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            made = await channel.declare_exchange(EXCHANGE, "topic", durable=True)
            queue = await a_queue(channel, made, "#")
        publisher = a_publisher(link)
        async with asyncio.TaskGroup() as group:
            publishing = group.create_task(publisher.publish(some(20_000, size=500)))

            async def is_under_way() -> bool:
                batch = publisher._channel and publisher._channel._batch
                return bool(batch and Confirm.ACKED in batch.confirms) or publishing.done()

            await eventually(is_under_way, "the first confirm")
            await asyncio.to_thread(private_broker.kill, settled=False)
        sent = publishing.result()
    assert sent.trouble is not None
    assert Confirm.RETURNED not in sent.confirms
    private_broker.spawn()
    await asyncio.to_thread(private_broker.wait)
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        arrived = {one.message_id for one in await drained(await channel.get_queue(queue.name))}
    acked = {f"a.{n}" for n, one in enumerate(sent.confirms) if one is Confirm.ACKED}
    assert acked
    assert acked <= arrived


async def test_a_broker_that_confirms_nothing_is_disconnected(private_broker: BrokerServer) -> None:
    async with await aio_pika.connect(private_broker.url) as connection:
        await (await connection.channel()).declare_exchange(EXCHANGE, "topic", durable=True)
        async with an_open_link(private_broker.url) as link:
            publisher, driver = a_publisher(link, timeout_s=0.5), link.driver
            assert (await publisher.publish(some(1))).confirms == [Confirm.RETURNED]
            private_broker.freeze()
            sent = await publisher.publish(some(200))
            private_broker.thaw()
            assert sent.trouble is not None
            assert sent.confirms == [None] * 200

            async def is_back() -> bool:
                return link.is_up and link.driver is not driver

            await eventually(is_back, "the link to be opened again", timeout_s=60)
            assert (await publisher.publish(some(1))).confirms == [Confirm.RETURNED]


def a_batch(count: int, first_tag: int = 1) -> _Batch:
    batch = _Batch(first_tag, asyncio.get_running_loop().create_future())
    batch.expect([str(number) for number in range(count)])
    batch.close()
    return batch


async def test_confirms_are_counted_in_whatever_order_they_come() -> None:
    batch = a_batch(6, first_tag=11)
    batch.mark_returned("3")
    batch.settle(13, Confirm.ACKED, multiple=False)
    batch.settle(12, Confirm.NACKED, multiple=True)
    batch.settle(12, Confirm.ACKED, multiple=True)
    assert not batch.done.done()
    assert batch.unconfirmed == 3
    batch.settle(16, Confirm.ACKED, multiple=False)
    batch.settle(15, Confirm.ACKED, multiple=True)
    assert batch.done.done()
    nacked, acked = Confirm.NACKED, Confirm.ACKED
    assert batch.confirms == [nacked, nacked, acked, Confirm.RETURNED, acked, acked]


async def test_confirms_of_others_are_no_confirms() -> None:
    batch = a_batch(2, first_tag=11)
    for tag in (0, 1, 10):
        batch.settle(tag, Confirm.ACKED, multiple=False)
        batch.settle(tag, Confirm.ACKED, multiple=True)
    batch.mark_returned(None)
    batch.mark_returned("x")
    assert batch.confirms == [None, None]
    batch.settle(99, Confirm.ACKED, multiple=True)
    assert batch.confirms == [Confirm.ACKED, Confirm.ACKED]


def test_a_header_is_the_one_of_the_library() -> None:
    message = Message("key", "17.4", "taskmill.task.failed", b"x" * 700)
    properties = Basic.Properties(
        content_type="text/x", delivery_mode=2, message_id="17.4", message_type=message.message_type
    )
    expected = marshal(ContentHeader(body_size=700, properties=properties), 3)
    assert _header_frame(3, "text/x", message) == expected
