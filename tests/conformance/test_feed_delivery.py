"""The feed at the broker: each change at least once and in order, whatever happens to broker and relays."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from uuid import UUID

import aio_pika
import pytest

from taskmill.amqp.events import EventExchange, Sent
from taskmill.amqp.names import EVENTS_EXCHANGE
from taskmill.domain.feed import Change
from taskmill.wire.feed import CLOUD_EVENT, CloudEventView
from tests.support.api import LogLines
from tests.support.builders import a_draft
from tests.support.dispatching import Recorder
from tests.support.feed import a_numbering, all_numbered
from tests.support.feed_delivery import (
    HOLDER,
    Consumer,
    a_consumer,
    a_delivery,
    assert_complete,
    lease_taken,
    read_history,
)
from tests.support.polling import eventually
from tests.support.proxy import a_network
from tests.support.rabbitmq import BrokerServer, Management
from tests.support.role_database import RoleDatabase
from tests.support.stage import SETTINGS, Stage
from tests.support.workers import a_worker


@pytest.fixture(autouse=True)
async def _quick(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr("taskmill.relay.feed._TAKE_LEASE_S", 0.1)
    monkeypatch.setattr("taskmill.relay.feed._FIRST_PAUSE_S", 0.1)
    async with a_numbering(stage.database):
        yield


async def test_a_message_is_a_cloud_event_with_the_key_of_its_status_and_queue(
    stage: Stage, broker_url: str
) -> None:
    async with (
        a_consumer(broker_url) as all_of_them,
        a_consumer(broker_url, "task.cancelled.mail.#") as some,
        a_delivery(stage, broker_url),
    ):
        await lease_taken(stage)
        task = await stage.created(queue="mail.send", labels='{"team": "finance"}')
        await stage.created(queue="reports")
        await stage.service.cancel(task.id)
        await all_of_them.has(3)
        await some.has(1)
    [message] = some.messages
    assert message.routing_key == "task.cancelled.mail.send"
    assert message.content_type == CLOUD_EVENT
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    event = CloudEventView.model_validate_json(message.body)
    assert event.id == message.message_id == event.data.cursor
    assert (event.source, event.type) == ("/test", "taskmill.task.cancelled")
    assert message.type == event.type
    assert event.subject == event.data.task_id == task.id
    assert event.time == event.data.at
    assert event.data.labels == {"team": "finance"}
    keys = [message.routing_key for message in all_of_them.messages]
    assert keys == ["task.new.mail.send", "task.new.reports", "task.cancelled.mail.send"]


async def test_a_fresh_install_begins_at_the_present(stage: Stage, broker_url: str) -> None:
    await stage.created()
    await all_numbered(stage)
    async with a_consumer(broker_url) as consumer, a_delivery(stage, broker_url):
        await lease_taken(stage)
        task = await stage.created()
        await consumer.has(1)
    assert consumer.unique_changes == [(str(task.id), 1)]


async def test_it_goes_on_where_it_stopped(stage: Stage, broker_url: str) -> None:
    async with a_consumer(broker_url) as consumer:
        for _ in range(3):
            async with a_delivery(stage, broker_url):
                await lease_taken(stage)
                await stage.creation.create_all([a_draft() for _ in range(10)])
            await stage.creation.create_all([a_draft() for _ in range(10)])
        async with a_delivery(stage, broker_url):
            await consumer.has(60)
    assert len(consumer.messages) == 60, "a stop in order doubles nothing"
    assert_complete(consumer.unique_changes, await read_history(stage))


async def test_several_relays_deliver_as_one(stage: Stage, broker_url: str) -> None:
    recorder = Recorder()
    async with a_consumer(broker_url) as consumer, AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(a_delivery(stage, broker_url))
        await lease_taken(stage)
        async with a_worker(stage, {"*": recorder.quick}):
            for _ in range(20):
                await stage.creation.create_all([a_draft() for _ in range(10)])
            await recorder.has_begun(200)
        await consumer.has(600)
    assert len(consumer.messages) == 600, "one at a time"
    assert_complete(consumer.unique_changes, await read_history(stage))


async def test_another_relay_takes_over_from_one_that_died(
    stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.relay.feed._HOLD_S", 1.0)
    async with a_network(stage.url) as (network, through), a_consumer(broker_url) as consumer:
        doomed = RoleDatabase(through, SETTINGS)
        async with a_delivery(stage, broker_url, doomed):
            await lease_taken(stage)
            await stage.creation.create_all([a_draft() for _ in range(10)])
            await consumer.has(10)
            first: UUID = await stage.sql.fetchval(HOLDER)
            # For the database it is dead: nothing that it sends arrives.
            network.refuse(refuses=True)
            network.break_all()
            async with a_delivery(stage, broker_url):
                await stage.creation.create_all([a_draft() for _ in range(10)])
                await consumer.has(20)
                assert await stage.sql.fetchval(HOLDER) != first
                network.refuse(refuses=False)
                await stage.creation.create_all([a_draft() for _ in range(10)])
                await consumer.has(30)
        await doomed.close()
    assert_complete(consumer.unique_changes, await read_history(stage))


async def test_a_lost_cursor_lease_is_noticed(
    stage: Stage, broker_url: str, log_lines: LogLines
) -> None:
    async with a_consumer(broker_url) as consumer, a_delivery(stage, broker_url):
        await lease_taken(stage)
        usurper = stage.ids()
        await stage.sql.execute(
            "UPDATE taskmill.feed_delivery SET holder = $1, expires_at = now() + interval '1 h' "
            "WHERE follower = 'rabbitmq'",
            usurper,
        )
        await stage.created()

        async def has_noticed() -> bool:
            return bool(log_lines.named("feed.handed_over"))

        await eventually(has_noticed, "the loss to be noticed")
        position = "SELECT position FROM taskmill.feed_delivery WHERE follower = 'rabbitmq'"
        assert await stage.sql.fetchval(position) == 0
        await stage.sql.execute("UPDATE taskmill.feed_delivery SET expires_at = now()")
        await stage.created()
        await consumer.has(2)
    assert_complete(consumer.unique_changes, await read_history(stage))


async def test_slow_confirms_do_not_lose_the_cursor_lease(
    stage: Stage, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is renewed while a page is published that takes longer than the lease lasts."""
    monkeypatch.setattr("taskmill.relay.feed._HOLD_S", 1.0)
    deliver = EventExchange.deliver

    async def slowly(self: EventExchange, changes: Sequence[Change]) -> Sent:
        await asyncio.sleep(len(changes) * 0.06)
        return await deliver(self, changes)

    monkeypatch.setattr(EventExchange, "deliver", slowly)
    async with (
        a_consumer(broker_url) as consumer,
        a_delivery(stage, broker_url),
        a_delivery(stage, broker_url),
    ):
        await lease_taken(stage)
        await stage.creation.create_all([a_draft() for _ in range(40)])
        await consumer.has(40)
    assert len(consumer.messages) == 40, "none came twice"


async def test_lost_connections_and_a_deleted_exchange_lose_no_change(
    stage: Stage, broker_url: str, broker_management: Management
) -> None:
    recorder = Recorder()
    async with a_delivery(stage, broker_url) as delivery:
        # A durable queue: its binding remains when the consumer disconnects.
        async with await aio_pika.connect(broker_url) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange(EVENTS_EXCHANGE, "topic", durable=True)
            queue = await channel.declare_queue("events", durable=True)
            await queue.bind(exchange, "#")
        await lease_taken(stage)
        async with a_worker(stage, {"*": recorder.quick}):
            for _ in range(5):
                await stage.creation.create_all([a_draft() for _ in range(20)])
                delivery._exchange.link.reopen()
                await asyncio.to_thread(broker_management.close_connections)
            await recorder.has_begun(100)

        async def is_delivered() -> bool:
            seen = await stage.sql.fetchrow(
                "SELECT d.position = max(b.position) FROM taskmill.feed_delivery AS d, "
                "taskmill.change_batch AS b WHERE d.follower = 'rabbitmq' GROUP BY d.position"
            )
            return bool(seen and seen[0])

        await all_numbered(stage)
        await eventually(is_delivered, "everything to be delivered", timeout_s=60)
    received = Consumer()
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("events")
        while (message := await queue.get(fail=False)) is not None:
            received.messages.append(message)
            await message.ack()
    assert_complete(received.unique_changes, await read_history(stage))


async def test_a_wiped_broker_is_waited_for_and_gets_what_it_missed(
    stage: Stage, private_broker: BrokerServer
) -> None:
    url = private_broker.url
    async with a_delivery(stage, url):
        async with a_consumer(url) as consumer:
            await lease_taken(stage)
            before = await stage.creation.create_all([a_draft() for _ in range(10)])
            await consumer.has(10)
            await asyncio.to_thread(private_broker.wipe)
        missed = await stage.creation.create_all([a_draft() for _ in range(10)])
        await all_numbered(stage)
        # A queue that is bound before the relay is back gets everything: nothing was published without a queue.
        await stage.sql.execute("UPDATE taskmill.feed_delivery SET holder = $1", stage.ids())
        await stage.sql.execute(
            "UPDATE taskmill.feed_delivery SET expires_at = now() + interval '1 hour'"
        )
        private_broker.spawn()
        await asyncio.to_thread(private_broker.wait)
        async with a_consumer(url) as consumer:
            await stage.sql.execute("UPDATE taskmill.feed_delivery SET holder = NULL")
            await consumer.has(10, timeout_s=60)
    assert {task_id for task_id, _ in consumer.unique_changes} == {
        str(one.task.id) for one in missed
    }
    assert not {task_id for task_id, _ in consumer.unique_changes} & {
        str(one.task.id) for one in before
    }


async def test_what_was_deleted_meanwhile_is_skipped_and_logged(
    stage: Stage, broker_url: str, log_lines: LogLines
) -> None:
    async with a_delivery(stage, broker_url):
        await lease_taken(stage)
    for _ in range(5):
        await stage.created()
        await all_numbered(stage)
    await stage.sql.execute("DELETE FROM taskmill.change_batch WHERE position < 4")
    async with a_consumer(broker_url) as consumer, a_delivery(stage, broker_url):
        await consumer.has(2)
    assert [message.message_id for message in consumer.messages] == ["4.1", "5.1"]
    [line] = log_lines.named("feed.skipped")
    assert (line["after"], line["until"]) == ("0.0", "4.0")


async def test_changes_of_dropped_tasks_are_skipped(stage: Stage, broker_url: str) -> None:
    async with a_delivery(stage, broker_url):
        await lease_taken(stage)
    tasks = [await stage.created() for _ in range(3)]
    await all_numbered(stage)
    await stage.sql.execute(
        "DELETE FROM taskmill.task WHERE id = ANY($1)", [t.id for t in tasks[:2]]
    )
    async with a_consumer(broker_url) as consumer, a_delivery(stage, broker_url):
        await consumer.has(1)
    assert consumer.unique_changes == [(str(tasks[2].id), 1)]
