"""A relay's delivery of the feed, and consumers of it at a broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractIncomingMessage

from taskmill.amqp.events import EventExchange
from taskmill.amqp.names import EVENTS_EXCHANGE
from taskmill.relay.feed import FeedDelivery
from taskmill.storage.database import Database
from tests.support.polling import eventually
from tests.support.stage import Stage


@dataclass
class Consumer:
    """The messages that one queue received, in order."""

    messages: list[AbstractIncomingMessage] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(message.body) for message in self.messages]

    @property
    def unique_changes(self) -> list[tuple[str, int]]:
        """Tasks and versions without duplicates, which a consumer knows by their ids."""
        by_id = {event["id"]: event["data"] for event in self.events}
        return [(data["task_id"], data["version"]) for data in by_id.values()]

    async def has(self, count: int, *, timeout_s: float = 30) -> None:
        async def probe() -> bool:
            return len({message.message_id for message in self.messages}) >= count

        await eventually(probe, f"{count} changes to arrive", timeout_s=timeout_s)


@asynccontextmanager
async def a_consumer(broker_url: str, key: str = "#") -> AsyncIterator[Consumer]:
    """Bind a queue, as a consumer does, and consume it."""
    consumer = Consumer()

    async def take(message: AbstractIncomingMessage) -> None:
        consumer.messages.append(message)
        await message.ack()

    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(EVENTS_EXCHANGE, "topic", durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, key)
        await queue.consume(take)
        yield consumer


@asynccontextmanager
async def a_delivery(
    stage: Stage, broker_url: str, database: Database | None = None
) -> AsyncIterator[FeedDelivery]:
    """Deliver, as a relay does, until the block ends."""
    delivery = FeedDelivery(
        database or stage.database,
        EventExchange(broker_url, source="/test"),
        holder=stage.ids(),
        clock=stage.clock,
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(delivery.run(stop))
        try:
            yield delivery
        finally:
            stop.set()


async def lease_taken(stage: Stage) -> None:
    """Wait until somebody holds the cursor lease."""

    async def probe() -> bool:
        return bool(await stage.sql.fetchval(HOLDER))

    await eventually(probe, "somebody to deliver")


HOLDER = "SELECT holder FROM taskmill.feed_delivery WHERE follower = 'rabbitmq'"


async def read_history(stage: Stage) -> list[tuple[str, int]]:
    rows = await stage.sql.fetch("SELECT task_id, version FROM taskmill.task_history ORDER BY 1, 2")
    return [(str(row["task_id"]), row["version"]) for row in rows]


def assert_complete(delivered: list[tuple[str, int]], history: list[tuple[str, int]]) -> None:
    assert sorted(delivered) == history
    last: dict[str, int] = {}
    for task_id, version in delivered:
        assert version == last.get(task_id, 0) + 1, "out of order"
        last[task_id] = version
