"""Published messages reach their queue, whatever is deleted in between; and probes report the state."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import pytest

from taskmill.amqp.connection import BrokerLink
from taskmill.amqp.events import EventExchange
from taskmill.amqp.intake_probe import IntakeProbe
from taskmill.amqp.names import (
    CREATE_KEY,
    CREATE_QUEUE,
    EVENTS_EXCHANGE,
    EXCHANGE,
    REJECTED_QUEUE,
)
from taskmill.amqp.upkeep import ExchangeUpkeep
from taskmill.domain.system import BrokerPresence, IntakePresence
from taskmill.operations.broker import BrokerWatch
from taskmill.operations.read import TaskReading
from taskmill.operations.service import TaskService
from tests.support.api import LogLines, Served, serving
from tests.support.intake import Producer, producing, taking_in, until_counted
from tests.support.links import an_open_link
from tests.support.polling import eventually
from tests.support.rabbitmq import BrokerServer, Management, vhost_of
from tests.support.stage import Stage, a_creation, a_rejections


async def publish_until_taken(broker_url: str) -> None:
    """Publish as a producer that reconnects whenever the broker refuses."""

    async def published() -> bool:
        try:
            async with producing(broker_url) as producer:
                await producer.send({"name": "a"}, message_id="a")
        except (aio_pika.exceptions.DeliveryError, aio_pika.exceptions.AMQPError):
            return False
        return True

    await eventually(published, "what is published finds the queue")


async def delete_exchange(management: Management, broker_url: str, name: str) -> None:
    path = f"/exchanges/{vhost_of(broker_url).replace('/', '%2F')}/{name}"
    await asyncio.to_thread(management.call, "DELETE", path)


async def unbind(producer: Producer) -> None:
    queue = await producer.channel.get_queue(CREATE_QUEUE, ensure=False)
    await queue.unbind(EXCHANGE, CREATE_KEY)


async def test_a_deleted_exchange_is_created_again_and_bound(
    stage: Stage, broker_url: str, broker_management: Management, log_lines: LogLines
) -> None:
    async with taking_in(stage, broker_url) as intake:
        await delete_exchange(broker_management, broker_url, EXCHANGE)
        await publish_until_taken(broker_url)
        await until_counted(stage, 1, 0)
        assert len(log_lines.named("intake.restored")) == 1
        assert intake.state().presence is IntakePresence.OK


async def test_a_deleted_binding_is_created_again(stage: Stage, broker_url: str) -> None:
    async with taking_in(stage, broker_url):
        async with producing(broker_url) as producer:
            await unbind(producer)
        await publish_until_taken(broker_url)
        await until_counted(stage, 1, 0)


async def test_a_deleted_queue_of_refused_messages_is_created_before_any_is_refused(
    stage: Stage, broker_url: str, broker_management: Management
) -> None:
    async with taking_in(stage, broker_url):
        await asyncio.to_thread(broker_management.delete_queue, REJECTED_QUEUE)

        async def is_there() -> bool:
            return REJECTED_QUEUE in await asyncio.to_thread(broker_management.queues)

        await eventually(is_there, "the queue is there again")


async def test_the_changes_exchange_is_created_again_while_idle(
    broker_url: str, broker_management: Management, log_lines: LogLines
) -> None:
    exchange, stop = EventExchange(broker_url, source="/test"), asyncio.Event()
    upkeep = ExchangeUpkeep(exchange.link, EVENTS_EXCHANGE)

    async def is_up() -> bool:
        return exchange.link.is_up

    async def binds() -> bool:
        try:
            async with await aio_pika.connect(broker_url) as connection:
                channel = await connection.channel()
                queue = await channel.declare_queue(exclusive=True)
                await queue.bind(EVENTS_EXCHANGE, "#")
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        group.create_task(exchange.link.run(stop))
        group.create_task(upkeep.run(stop))
        try:
            await eventually(is_up, "the link is up")
            await delete_exchange(broker_management, broker_url, EVENTS_EXCHANGE)
            await eventually(binds, "a consumer can bind a queue")
        finally:
            stop.set()
    assert len(log_lines.named("exchange.restored")) == 1


async def test_a_route_that_can_not_be_maintained_is_reported(
    stage: Stage, broker_url: str, broker_management: Management, log_lines: LogLines
) -> None:
    async with taking_in(stage, broker_url) as intake:

        async def is_away() -> bool:
            return intake.state().presence is IntakePresence.AWAY

        async def is_back() -> bool:
            return intake.state().presence is IntakePresence.OK

        await asyncio.to_thread(broker_management.allow, write="")
        await eventually(is_away, "it reports that it is away")
        assert "ACCESS_REFUSED" in str(intake.state())
        await asyncio.to_thread(broker_management.allow)
        await eventually(is_back, "it reports that it is back")
        assert len(log_lines.named("intake.unreachable")) == 1


@asynccontextmanager
async def a_probe(
    broker_url: str, *, is_broker_starting: bool = False
) -> AsyncIterator[tuple[BrokerLink, IntakeProbe]]:
    """Probe the intake over a connection of its own."""
    link, stop = BrokerLink(broker_url, name="watch"), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(link.run(stop))
        try:
            yield link, IntakeProbe(link, is_broker_starting=lambda: is_broker_starting)
        finally:
            stop.set()


async def until(probe: IntakeProbe, presence: IntakePresence, words: str = "") -> None:
    async def is_in_state() -> bool:
        state = await probe.state()
        return state.presence is presence and words in str(state)

    await eventually(is_in_state, f"the intake is {presence} {words}")


async def test_an_intake_is_starting_then_ok_then_away(
    stage: Stage, broker_url: str, broker_management: Management
) -> None:
    async with a_probe(broker_url) as (_, probe):
        await until(probe, IntakePresence.STARTING)
        async with taking_in(stage, broker_url):
            await until(probe, IntakePresence.OK)
            async with producing(broker_url) as producer:
                await producer.send({"name": "a"})
        await until(probe, IntakePresence.AWAY, "nobody takes")
        await delete_exchange(broker_management, broker_url, EXCHANGE)
        await until(probe, IntakePresence.AWAY, f"no exchange '{EXCHANGE}'")


async def test_an_intake_that_never_starts_is_away(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.amqp.intake_probe._STARTING_S", 0.0)
    async with a_probe(broker_url) as (link, probe):

        async def is_up() -> bool:
            return link.is_up

        await eventually(is_up, "the broker is there")
        await until(probe, IntakePresence.AWAY, f"no exchange '{EXCHANGE}'")


async def test_without_its_broker_an_intake_is_starting_only_while_the_broker_is() -> None:
    nowhere = "amqp://user:secret@127.0.0.1:1/"
    async with a_probe(nowhere, is_broker_starting=True) as (_, probe):
        await until(probe, IntakePresence.STARTING)
    async with a_probe(nowhere) as (_, probe):
        await until(probe, IntakePresence.AWAY, "away: RabbitMQ is away")


async def test_an_intake_is_starting_when_its_broker_came_up_after_the_last_probe(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.amqp.intake_probe._MIN_INTERVAL_S", 60.0)
    link, stop = BrokerLink(broker_url, name="watch"), asyncio.Event()
    probe = IntakeProbe(link, is_broker_starting=lambda: not link.was_up)
    await until(probe, IntakePresence.STARTING)
    async with asyncio.TaskGroup() as group:
        group.create_task(link.run(stop))

        async def is_up() -> bool:
            return link.is_up

        await eventually(is_up, "the broker is there")
        state = await probe.state()
        stop.set()
    assert state.presence is IntakePresence.STARTING


@pytest.mark.slow
async def test_a_broker_that_hangs_delays_a_page_by_less_than_it_has(
    private_broker: BrokerServer,
) -> None:
    async with an_open_link(private_broker.url) as link:
        probe = IntakeProbe(link, is_broker_starting=lambda: False)
        assert await probe.queues([CREATE_QUEUE]) == []
        private_broker.freeze()
        try:
            # Pages have 4.5 s, in which they read the database, too.
            async with asyncio.timeout(4.0):
                state, queues = await probe.state(), await probe.queues([CREATE_QUEUE])
        finally:
            private_broker.thaw()
    assert state.presence is not IntakePresence.OK
    assert queues is None


async def ready(served: Served) -> tuple[int, str, str]:
    response = await served.get("/readyz")
    parts = response.json()["parts"]
    return response.status_code, parts["broker"], parts["intake"]


async def test_readyz_names_broker_and_intake_and_stays_200(stage: Stage, broker_url: str) -> None:
    creation = a_creation(stage.database, stage.clock, stage.ids)
    refused = a_rejections(stage.database, creation, stage.ids)
    async with a_probe(broker_url) as (link, probe):
        watch = BrokerWatch(
            policy="auto",
            trouble=lambda: link.trouble,
            is_starting=lambda: not link.was_up,
            intake=probe.state,
        )
        async with (
            creation,
            TaskReading(stage.database) as reading,
            serving(
                TaskService(stage.database, creation, reading, refused, broker=watch)
            ) as served,
        ):

            async def is_up() -> bool:
                return await ready(served) == (200, BrokerPresence.OK, IntakePresence.STARTING)

            await eventually(is_up, "the broker is there")
            async with taking_in(stage, broker_url):

                async def is_ok() -> bool:
                    return await ready(served) == (200, "ok", "ok")

                await eventually(is_ok, "the intake is there")
                async with producing(broker_url) as producer:
                    await producer.send({"name": "a"})


async def test_readyz_shows_that_there_is_neither_broker_nor_intake(stage: Stage) -> None:
    async with serving(stage.service) as served:
        status, broker, intake = await ready(served)
    assert (status, broker.split()[0], intake.split()[0]) == (200, "none", "none")
