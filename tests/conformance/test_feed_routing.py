"""A queue gets everything from its binding on, however often it is bound; without queues little is published."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import aio_pika
import pytest
from aio_pika.abc import AbstractQueue

from taskmill.amqp.events import EventExchange
from taskmill.amqp.names import EVENTS_EXCHANGE
from taskmill.domain.lifecycle import ErrorInfo, Permanent
from taskmill.observability.metrics import FEED_PUBLISHED, FEED_RETURNED
from taskmill.relay.feed import FeedDelivery
from tests.support.builders import a_draft
from tests.support.feed import a_numbering, all_numbered
from tests.support.feed_delivery import (
    Consumer,
    a_consumer,
    a_delivery,
    lease_taken,
)
from tests.support.polling import eventually
from tests.support.rabbitmq import Management
from tests.support.stage import Stage

FAILED_MAIL = "task.failed.mail.#"
PERMANENT = Permanent(error=ErrorInfo(type="X", message="x"))


@pytest.fixture(autouse=True)
async def _quick(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr("taskmill.relay.feed._TAKE_LEASE_S", 0.1)
    monkeypatch.setattr("taskmill.relay.feed._FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr("taskmill.relay.feed._SCAN_S", 0.2)
    async with a_numbering(stage.database):
        yield


@dataclass
class Mail:
    """Fails tasks of the queue `mail`, one after the other; `failed` has the ids of those that have failed."""

    stage: Stage
    failed: list[str]

    async def fail_one(self) -> None:
        lease_id = await self.stage.open_lease()
        taken = await self.stage.running(lease_id, queue="mail")
        await self.stage.end(taken, lease_id, PERMANENT)
        self.failed.append(str(taken.task.id))

    async def fail_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.fail_one()


def a_relay(stage: Stage, broker_url: str, holder: UUID) -> FeedDelivery:
    """A delivery with a fixed holder: when it is restarted it takes its own lease without waiting."""
    exchange = EventExchange(broker_url, source="/test")
    return FeedDelivery(stage.database, exchange, holder=holder, clock=stage.clock)


@asynccontextmanager
async def cut_off_at_the_end(relay: FeedDelivery) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(relay.run(asyncio.Event()))
        yield
        running.cancel()


@asynccontextmanager
async def a_durable_queue(broker_url: str) -> AsyncIterator[AbstractQueue]:
    """A queue that is not bound yet."""
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange(EVENTS_EXCHANGE, "topic", durable=True)
        yield await channel.declare_queue("mail-failures", durable=True)


async def taken(queue: AbstractQueue, consumer: Consumer) -> list[str]:
    """Take what is in the queue, and return all tasks that were received so far."""
    while (message := await queue.get(fail=False)) is not None:
        consumer.messages.append(message)
        await message.ack()
    return [task_id for task_id, _ in consumer.unique_changes]


async def is_passed(stage: Stage) -> bool:
    seen = await stage.sql.fetchrow(
        "SELECT position, ordinal FROM taskmill.feed_delivery WHERE follower = 'rabbitmq'"
    )
    last = await stage.sql.fetchrow(
        "SELECT position, cardinality(task_ids) FROM taskmill.change_batch "
        "WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1"
    )
    return bool(seen and last and tuple(seen) >= tuple(last))


async def all_passed(stage: Stage) -> None:
    """Wait until the delivery has reached the end of the feed."""
    await all_numbered(stage)
    await eventually(lambda: is_passed(stage), "the delivery to reach the end")


async def quiet(stage: Stage, delivery: FeedDelivery, queue: str = "mail") -> None:
    """Make the delivery find out that no queue is bound."""

    async def probe() -> bool:
        return not delivery._is_bound

    await stage.created(queue=queue)
    await eventually(probe, "the delivery to find no binding")
    await all_passed(stage)


def published() -> tuple[float, float]:
    """How many changes were taken by queues, and how many were returned, in this process so far."""
    return FEED_PUBLISHED._value.get(), FEED_RETURNED._value.get()


async def test_nothing_but_one_change_of_each_key_is_published_while_no_queue_is_bound(
    stage: Stage, broker_url: str
) -> None:
    async with a_delivery(stage, broker_url) as delivery:
        await lease_taken(stage)
        await quiet(stage, delivery)
        _, before = published()
        for _ in range(5):
            await stage.creation.create_all([a_draft(queue=f"q{n % 3}") for n in range(300)])
        await all_passed(stage)
        returned = published()[1]
    assert 3 <= returned - before <= 5 * 3, "one of each key and scan"


async def test_a_queue_that_is_bound_while_idle_gets_all_from_then_on_and_nothing_while_unbound(
    stage: Stage, broker_url: str
) -> None:
    mail, consumer = Mail(stage, []), Consumer()
    async with a_delivery(stage, broker_url) as delivery, a_durable_queue(broker_url) as queue:
        await lease_taken(stage)
        await quiet(stage, delivery)
        for _ in range(3):
            await mail.fail_one()
            await all_passed(stage)
            await queue.bind(EVENTS_EXCHANGE, FAILED_MAIL)
            bound_at = len(mail.failed)
            for _ in range(3):
                await mail.fail_one()
            expected = mail.failed[bound_at:]

            async def has_all(expected: list[str] = expected) -> bool:
                return (await taken(queue, consumer))[-3:] == expected

            await eventually(has_all, "what failed since the binding, in order")
            await queue.unbind(EVENTS_EXCHANGE, FAILED_MAIL)
    ids = [message.message_id for message in consumer.messages]
    assert len(ids) == len(set(ids)) == 9


async def test_a_queue_that_is_bound_under_load_gets_all_from_then_on(
    stage: Stage, broker_url: str
) -> None:
    mail, consumer, stop = Mail(stage, []), Consumer(), asyncio.Event()

    async def others() -> None:
        while not stop.is_set():
            await stage.creation.create_all([a_draft(queue="other") for _ in range(50)])

    async def has_failed(count: int) -> None:
        async def probe() -> bool:
            return len(mail.failed) >= count

        await eventually(probe, "tasks to fail", timeout_s=60)

    async with (
        a_delivery(stage, broker_url),
        a_durable_queue(broker_url) as queue,
        asyncio.TaskGroup() as group,
    ):
        await lease_taken(stage)
        group.create_task(others())
        group.create_task(mail.fail_until(stop))
        for number in range(6):
            await has_failed(len(mail.failed) + number)
            await queue.bind(EVENTS_EXCHANGE, FAILED_MAIL)
            since = len(mail.failed) + 1  # the one under way may have failed before
            await has_failed(since + 4)
            expected = set(mail.failed[since:])

            async def has_all(expected: set[str] = expected) -> bool:
                return expected <= set(await taken(queue, consumer))

            await eventually(has_all, "all that failed since the binding", timeout_s=60)
            await queue.unbind(EVENTS_EXCHANGE, FAILED_MAIL)
        stop.set()


async def test_a_queue_that_is_bound_for_all_gets_the_rest_of_the_batch(
    stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan that finds it publishes only one change of each key; all others follow, and none twice."""
    async with a_delivery(stage, broker_url) as delivery:
        await lease_taken(stage)
        await quiet(stage, delivery)
        monkeypatch.setattr("taskmill.relay.feed._SCAN_S", 3.0)
        await stage.created(queue="mail")
        await all_passed(stage)
        async with a_consumer(broker_url) as consumer:
            made = await stage.creation.create_all([a_draft(queue="mail") for _ in range(20)])
            for one in made[:10]:
                await stage.service.cancel(one.task.id)
            await consumer.has(30)
    ids = {(str(one.task.id), 1) for one in made} | {(str(one.task.id), 2) for one in made[:10]}
    assert set(consumer.unique_changes) == ids
    assert len(consumer.messages) == 30


async def test_what_is_bound_for_long_gets_all_in_order_though_others_are_returned(
    stage: Stage, broker_url: str
) -> None:
    async with (
        a_consumer(broker_url, "task.*.mail") as consumer,
        a_delivery(stage, broker_url) as d,
    ):
        await lease_taken(stage)
        task = await stage.created(queue="mail")
        await stage.service.cancel(task.id)
        await consumer.has(2)
        for number in range(1, 6):
            await quiet(stage, d, queue="other")
            made = await stage.creation.create_all([a_draft(queue="mail") for _ in range(5)])
            for one in made:
                await stage.created(queue="other")
                await stage.service.cancel(one.task.id)
            await consumer.has(2 + number * 10)
    cursors = [tuple(map(int, str(one.message_id).split("."))) for one in consumer.messages]
    assert cursors == sorted(set(cursors))


async def test_a_queue_that_is_bound_beside_others_gets_all_from_then_on(
    stage: Stage, broker_url: str
) -> None:
    """Its key is known to be returned, while others are taken: of its changes one in each page is tried."""
    async with a_consumer(broker_url, "task.new.a") as others, a_delivery(stage, broker_url):
        await lease_taken(stage)
        await stage.creation.create_all([a_draft(queue=queue) for queue in "abab"])
        await others.has(2)
        await all_passed(stage)
        before = published()
        await stage.creation.create_all([a_draft(queue=queue) for queue in "ab" * 50])
        await all_passed(stage)
        assert published() == (before[0] + 50, before[1] + 1)
        async with a_consumer(broker_url, "task.new.b") as consumer:
            made = await stage.creation.create_all([a_draft(queue=queue) for queue in "ab" * 50])
            await consumer.has(50)
    assert [task_id for task_id, _ in consumer.unique_changes] == [
        str(one.task.id) for one in made[1::2]
    ]


async def test_an_alternate_exchange_takes_all(
    stage: Stage, broker_url: str, broker_management: Management
) -> None:
    policy = f"/policies/{broker_management._vhost}/alternate"
    async with a_delivery(stage, broker_url) as delivery:
        await lease_taken(stage)
        await quiet(stage, delivery)
        async with await aio_pika.connect(broker_url) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange("others", "fanout", durable=True)
            queue = await channel.declare_queue("others", durable=True)
            await queue.bind(exchange)
            definition = {"alternate-exchange": "others"}
            body = {"pattern": f"^{EVENTS_EXCHANGE}$", "definition": definition}
            await asyncio.to_thread(broker_management.call, "PUT", policy, body)
            consumer = Consumer()
            made = await stage.creation.create_all([a_draft() for _ in range(30)])
            for one in made:
                await stage.service.cancel(one.task.id)

            async def has_all() -> bool:
                return len(await taken(queue, consumer)) == 60

            await eventually(has_all, "all changes at the alternate exchange")
            _, returned = published()
            await stage.creation.create_all([a_draft() for _ in range(30)])
            await all_passed(stage)
            assert published()[1] == returned, "nothing is returned"
            await asyncio.to_thread(broker_management.call, "DELETE", policy)
        await quiet(stage, delivery)


async def test_a_relay_that_dies_anywhere_loses_nothing_of_a_bound_queue(
    stage: Stage, broker_url: str
) -> None:
    """Relays are cancelled at random moments, while a queue is bound, unbound and bound again."""
    chance, holder = random.Random(20), stage.ids()  # noqa: S311 - repeatable
    consumer, expected = Consumer(), set[str]()
    async with a_durable_queue(broker_url) as queue:
        for number in range(40):
            if number % 8 == 4:
                await queue.bind(EVENTS_EXCHANGE, "#")
            elif number % 8 == 0:
                await queue.unbind(EVENTS_EXCHANGE, "#")
            made = await stage.creation.create_all(
                [a_draft() for _ in range(chance.randint(1, 40))]
            )
            if number % 8 >= 4:
                expected |= {str(one.task.id) for one in made}
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(chance.uniform(0.05, 0.4)):
                    await a_relay(stage, broker_url, holder).run(asyncio.Event())
            if number % 8 == 7:
                async with cut_off_at_the_end(a_relay(stage, broker_url, holder)):
                    await all_passed(stage)
                    await taken(queue, consumer)
        assert expected <= set(await taken(queue, consumer))
