"""A link to a real broker: what its users meet when it is closed under them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from taskmill.amqp.publisher import Publisher
from taskmill.amqp.topology import declare_hints, hint_queue
from taskmill.domain.errors import BrokerAway
from tests.support.links import an_open_link
from tests.support.polling import eventually

NAME = hint_queue("default", "emulate")


async def the_end_of(call: Callable[[], Coroutine[Any, Any, None]], ends: list[Exception]) -> None:
    """Call until it fails."""
    while True:
        try:
            await call()
        except Exception as error:  # noqa: BLE001 - which ones they are is what is asked
            ends.append(error)
            return


async def test_calls_under_way_when_their_link_is_closed_end_as_the_broker_being_away(
    broker_url: str,
) -> None:
    ends: list[Exception] = []
    async with an_open_link(broker_url) as link:
        publisher = Publisher(link)

        async def publish() -> None:
            await publisher.publish(b"[]", routing_key=NAME)

        async def declare() -> None:
            await declare_hints(link, NAME)

        async def is_back() -> bool:
            return link.is_up

        for _ in range(10):
            await eventually(is_back, "the link to be back")
            await declare()
            async with asyncio.TaskGroup() as group:
                for call in (publish, publish, publish, declare):
                    group.create_task(the_end_of(call, ends))
                await publish()
                link.reopen()
    assert {type(error) for error in ends} == {BrokerAway}
