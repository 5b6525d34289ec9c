"""Links to the broker, for tests that need one open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from taskmill.amqp.connection import BrokerLink
from tests.support.polling import eventually


@asynccontextmanager
async def an_open_link(broker_url: str) -> AsyncIterator[BrokerLink]:
    """A link that is up until the block ends."""
    stop = asyncio.Event()
    link = BrokerLink(broker_url, name="test")

    async def is_up() -> bool:
        return link.is_up

    async with asyncio.TaskGroup() as group:
        group.create_task(link.run(stop))
        await eventually(is_up, "a link to the broker")
        yield link
        stop.set()
