"""The users of RabbitMQ: each role works with the rights of its own user, and can do nothing else."""

import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused

from taskmill.amqp.confirmed_publisher import ConfirmedPublisher, SentMessage
from taskmill.amqp.names import (
    CREATE_KEY,
    CREATE_QUEUE,
    EVENTS_EXCHANGE,
    EXCHANGE,
    HINTS,
    REJECTED_QUEUE,
)
from taskmill.amqp.users import ADMIN, ROLES, definitions
from tests.support.dispatching import Recorder, a_relay, all_ended
from tests.support.intake import producing, taking_in, until_counted
from tests.support.rabbitmq import Management, vhost_of
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_worker

UrlOf = Callable[[str], str]
Act = Callable[[AbstractChannel], Coroutine[None, None, object]]

PRODUCER = "shop"
_PASSWORD = "s3cret pass/word"  # noqa: S105 - of a broker that lives as long as the tests


@pytest.fixture
def url_of(broker_url: str, broker_management: Management) -> Iterator[UrlOf]:
    """The address of the test's virtual host for a user, after RabbitMQ has imported the definitions."""
    users = [name for name in (*ROLES, PRODUCER) if name != ADMIN]
    made = definitions(vhost_of(broker_url), dict.fromkeys(users, _PASSWORD))
    broker_management.call("POST", "/definitions", made)

    def url(user: str) -> str:
        parts = urlsplit(broker_url)
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{user}:s3cret%20pass%2Fword@{host}").geturl()

    yield url
    for user in users:
        broker_management.call("DELETE", f"/users/{user}")


async def test_every_role_works_with_its_own_user(stage: Stage, url_of: UrlOf) -> None:
    recorder = Recorder()
    options = WorkerOptions(broker_url=url_of("taskmill_worker"), is_strict=True)
    async with (
        taking_in(stage, url_of("taskmill_intake")),
        a_relay(stage, url_of("taskmill_relay")),
        a_worker(stage, {"pack": recorder.quick}, options),
        producing(url_of(PRODUCER)) as producer,
    ):
        replies = await producer.channel.declare_queue(f"{PRODUCER}.replies", exclusive=True)
        await producer.send({"name": "Pack", "type": "pack"}, reply_to=replies.name)
        await recorder.has_begun(1)
        await all_ended(stage)
        await producer.send(b"rubbish", reply_to=replies.name)
        [first, second] = await producer.taken(replies.name, 2)
    assert b'"id"' in first.body
    assert b'"status":400' in second.body.replace(b" ", b"")
    async with producing(url_of("taskmill_intake")) as intake:
        assert await intake.depth(REJECTED_QUEUE) == 1


@pytest.mark.parametrize(
    ("user", "act"),
    [
        (PRODUCER, lambda channel: consume(channel, CREATE_QUEUE)),
        (PRODUCER, lambda channel: consume(channel, REJECTED_QUEUE)),
        (PRODUCER, lambda channel: declare(channel, "anything")),
        (PRODUCER, lambda channel: publish(channel, EXCHANGE, "tasks.other")),
        (PRODUCER, lambda channel: publish(channel, HINTS, "a.b")),
        (PRODUCER, lambda channel: publish(channel, "", CREATE_QUEUE)),
        ("taskmill_worker", lambda channel: publish(channel, EXCHANGE, CREATE_KEY)),
        ("taskmill_worker", lambda channel: consume(channel, CREATE_QUEUE)),
        ("taskmill_relay", lambda channel: publish(channel, EXCHANGE, CREATE_KEY)),
        ("taskmill_relay", lambda channel: consume(channel, CREATE_QUEUE)),
        ("taskmill_intake", lambda channel: publish(channel, EVENTS_EXCHANGE, "task.new.a")),
        ("taskmill_intake", lambda channel: declare(channel, f"{HINTS}.#/#")),
        ("taskmill_api", lambda channel: consume(channel, CREATE_QUEUE)),
        ("taskmill_api", lambda channel: publish(channel, EXCHANGE, CREATE_KEY)),
        ("taskmill_api", lambda channel: declare(channel, CREATE_QUEUE)),
    ],
)
async def test_no_user_can_do_what_another_one_is_for(
    user: str, act: Act, stage: Stage, url_of: UrlOf
) -> None:
    async with (
        taking_in(stage, url_of("taskmill_intake")),
        a_relay(stage, url_of("taskmill_relay")),
    ):
        connection = await aio_pika.connect(url_of(user))
        async with connection:
            channel = await connection.channel()
            with pytest.raises(ChannelAccessRefused):
                await act(channel)
            with suppress(ChannelAccessRefused):
                await channel.close()


async def test_a_producer_is_known_by_its_user(stage: Stage, url_of: UrlOf) -> None:
    async with taking_in(stage, url_of("taskmill_intake")):
        publisher = ConfirmedPublisher(
            url_of(PRODUCER), exchange=EXCHANGE, routing_key=CREATE_KEY, timeout_s=5
        )
        message = SentMessage(number=1, body=b"rubbish", message_id="one")
        assert await publisher.deliver([message]) == []
        await until_counted(stage, 0, 1)
    stored = await stage.sql.fetchval("SELECT headers FROM taskmill.rejection")
    assert json.loads(stored)["user_id"] == PRODUCER


@pytest.mark.usefixtures("url_of")
def test_a_full_queue_refuses_more(broker_management: Management) -> None:
    [policy] = broker_management.call("GET", "/policies")
    assert policy["definition"]["overflow"] == "reject-publish"
    assert policy["pattern"] == r"^(taskmill\.tasks\.create)$"


async def consume(channel: AbstractChannel, queue: str) -> None:
    """Take a message from a queue."""
    source = await channel.get_queue(queue, ensure=False)
    await source.get(no_ack=True, fail=False)


async def declare(channel: AbstractChannel, queue: str) -> None:
    """Declare a queue."""
    await channel.declare_queue(queue)


async def publish(channel: AbstractChannel, exchange: str, key: str) -> None:
    """Publish a message."""
    target = (
        await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
    )
    await target.publish(aio_pika.Message(b"{}"), key)
