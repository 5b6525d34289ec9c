"""What the doctor finds at RabbitMQ: an alarm, queues that differ, no broker at all; and what it may not see."""

from collections.abc import AsyncIterator

import aio_pika
import pytest
from pydantic import SecretStr

from taskmill.amqp import examination
from taskmill.amqp.names import CREATE_QUEUE, REJECTED_QUEUE, hint_queue_name
from taskmill.composition.doctor import examine
from taskmill.domain.attention import NoticeKind, Severity
from taskmill.domain.doctor import DiagnosisKind
from tests.support.doctor import settings_of, wrong
from tests.support.polling import eventually
from tests.support.rabbitmq import BrokerServer, Management
from tests.support.stage import Stage

HINTS = hint_queue_name((), ())


@pytest.fixture
async def channel(broker_url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """A channel for making queues that nobody expects."""
    async with await aio_pika.connect(broker_url) as connection:
        yield await connection.channel()


async def declare(
    channel: aio_pika.abc.AbstractChannel, name: str, queue_type: str, **arguments: int
) -> None:
    await channel.declare_queue(
        name, durable=True, arguments={"x-queue-type": queue_type, **arguments}
    )


async def test_queues_of_another_type_are_named_with_what_the_broker_says(
    stage: Stage, broker_url: str, channel: aio_pika.abc.AbstractChannel
) -> None:
    await declare(channel, CREATE_QUEUE, "classic")
    await declare(channel, REJECTED_QUEUE, "quorum")
    await stage.open_lease(ttl_s=15)
    await declare(channel, HINTS, "classic")
    settings = settings_of(stage, broker_url=SecretStr(broker_url))
    report = await examine(settings)
    found = wrong(report)
    queues = {
        subject: one for (kind, subject), one in found.items() if kind == DiagnosisKind.BROKER_QUEUE
    }
    assert queues.keys() == {CREATE_QUEUE, REJECTED_QUEUE, HINTS}
    assert "x-queue-type" in queues[CREATE_QUEUE].evidence[0]
    vhost = broker_url.rpartition("/")[2]
    delete = f"rabbitmqctl delete_queue -p {vhost} {CREATE_QUEUE} --if-empty"
    assert queues[CREATE_QUEUE].command == delete
    assert report.rabbitmq
    assert DiagnosisKind.BROKER_ALARM not in {kind for kind, _ in found}


async def test_queues_as_the_program_makes_them_are_well_and_none_is_made(
    broker_url: str, broker_management: Management
) -> None:
    facts = await examination.examine(broker_url, [HINTS])
    assert (facts.trouble, facts.is_blocked, facts.queues) == (None, False, [])
    assert broker_management.queues() == {}


async def test_what_a_user_may_not_see_is_named(
    stage: Stage,
    broker_url: str,
    broker_management: Management,
    channel: aio_pika.abc.AbstractChannel,
) -> None:
    await declare(channel, CREATE_QUEUE, "classic")
    rights = {"configure": "^$", "write": "^$", "read": "^$"}
    broker_management.call("PUT", f"/permissions/{broker_management._vhost}/taskmill", rights)
    report = await examine(settings_of(stage, broker_url=SecretStr(broker_url)))
    unseen = {one.what: one for one in report.unseen}
    assert "RabbitMQ's alarms" in unseen
    types = unseen[f"types of RabbitMQ's queues {CREATE_QUEUE}"]
    vhost = broker_url.rpartition("/")[2]
    assert types.command == f"rabbitmqctl list_queues -p {vhost} name type arguments"


async def test_a_broker_that_is_away_is_taken_from_attention(stage: Stage) -> None:
    settings = settings_of(stage, broker_url=SecretStr("amqp://127.0.0.1:1/"))
    found = wrong(await examine(settings))
    assert found[NoticeKind.BROKER_AWAY, ""].command == "rabbitmq-diagnostics check_running"


@pytest.mark.slow
async def test_an_alarm_of_the_broker_is_trouble(
    stage: Stage, private_broker: BrokerServer
) -> None:
    settings = settings_of(stage, broker_url=SecretStr(private_broker.url))
    private_broker.control("set_vm_memory_high_watermark", "absolute", "1MB")

    async def has_alarm() -> bool:
        return private_broker.management().has_alarm()

    await eventually(has_alarm, "an alarm", timeout_s=30)
    found = wrong(await examine(settings))
    assert found[DiagnosisKind.BROKER_ALARM, ""].severity is Severity.TROUBLE
    private_broker.control("set_vm_memory_high_watermark", "0.6")

    async def has_none() -> bool:
        return not private_broker.management().has_alarm()

    await eventually(has_none, "no alarm", timeout_s=30)
    found = wrong(await examine(settings))
    assert (DiagnosisKind.BROKER_ALARM, "") not in found
