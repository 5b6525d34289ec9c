"""A link to a real broker: which errors its users get when it closes."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from taskmill.amqp.names import HintQueueType, hint_queue_name
from taskmill.amqp.publisher import Publisher
from taskmill.amqp.topology import declare_hints
from taskmill.domain.errors import BrokerAway
from tests.support.links import an_open_link
from tests.support.polling import eventually
from tests.support.rabbitmq import Management

NAME = hint_queue_name((), ())


async def call_until_error(
    call: Callable[[], Coroutine[Any, Any, None]], ends: list[Exception]
) -> None:
    """Call until it fails."""
    while True:
        try:
            await call()
        except Exception as error:  # noqa: BLE001 - the test checks which ones they are
            ends.append(error)
            return


async def test_calls_under_way_when_their_link_closes_fail_as_broker_unavailable(
    broker_url: str,
) -> None:
    ends: list[Exception] = []
    async with an_open_link(broker_url) as link:
        publisher = Publisher(link)

        async def publish() -> None:
            await publisher.publish(b"[]", routing_key=NAME)

        async def declare() -> None:
            await declare_hints(link, NAME, ["#"])

        async def is_back() -> bool:
            return link.is_up

        for _ in range(10):
            await eventually(is_back, "the link to be back")
            await declare()
            async with asyncio.TaskGroup() as group:
                for call in (publish, publish, publish, declare):
                    group.create_task(call_until_error(call, ends))
                await publish()
                link.reopen()
    assert {type(error) for error in ends} == {BrokerAway}


@pytest.mark.parametrize("first", ["classic", "quorum"])
async def test_a_hint_queue_of_the_other_type_is_used_as_it_is(
    broker_url: str, broker_management: Management, first: HintQueueType
) -> None:
    other: HintQueueType = "quorum" if first == "classic" else "classic"
    async with an_open_link(broker_url) as link:
        for queue_type in (first, other, first):
            await declare_hints(link, NAME, ["#"], queue_type)
    assert await _type_of(NAME, broker_management) == first


async def test_a_hint_queue_that_somebody_declared_otherwise_is_created_again(
    broker_url: str, broker_management: Management
) -> None:
    async with an_open_link(broker_url) as link:
        async with link.side_channel() as channel:
            await channel.declare_queue(NAME, durable=True)
        await declare_hints(link, NAME, ["#"], "classic")
    queue = (await asyncio.to_thread(broker_management.queues))[NAME]
    assert queue["arguments"]["x-message-ttl"] == 10_000


async def _type_of(name: str, management: Management) -> str:
    queue_type: str = (await asyncio.to_thread(management.queues))[name]["type"]
    return queue_type
