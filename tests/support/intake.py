"""An intake that runs on a stage, and a producer to send it messages."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from taskmill.amqp.names import CREATE_KEY, CREATE_QUEUE, EXCHANGE, REJECTED_QUEUE
from taskmill.intake.amqp import Intake
from taskmill.operations.earlier_keys import EarlierKeys
from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.warnings import Warnings
from taskmill.storage.database import Database
from taskmill.wire.messages import MessageLimits
from tests.support.polling import eventually
from tests.support.role_database import RoleDatabase
from tests.support.stage import SETTINGS, Stage, a_creation, a_rejections

LIMITS = MessageLimits(body_bytes=4096)


@dataclass(frozen=True, kw_only=True)
class Producer:
    """A producer that uses aio-pika."""

    channel: AbstractChannel

    async def send(self, body: object, **properties: Any) -> None:  # noqa: ANN401 - aio-pika's own
        """Publish a value as JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        message = aio_pika.Message(content, **properties)
        exchange = await self.channel.get_exchange(EXCHANGE, ensure=False)
        await exchange.publish(message, CREATE_KEY)

    async def send_all(self, messages: Iterable[aio_pika.Message]) -> None:
        """Publish many at once."""
        exchange = await self.channel.get_exchange(EXCHANGE, ensure=False)
        async with asyncio.TaskGroup() as group:
            for message in messages:
                group.create_task(exchange.publish(message, CREATE_KEY))

    async def depth(self, queue: str = CREATE_QUEUE) -> int:
        """How many messages wait in a queue, without those that are unacknowledged."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def taken(self, queue: str, count: int) -> list[AbstractIncomingMessage]:
        """Take `count` messages out of a queue, as soon as they are there."""
        source = await self.channel.get_queue(queue, ensure=False)

        async def take() -> AbstractIncomingMessage | None:
            return await source.get(no_ack=True, fail=False)

        found = [await eventually(take, f"a message in {queue}") for _ in range(count)]
        return [message for message in found if message is not None]

    async def rejected(self, count: int) -> list[AbstractIncomingMessage]:
        """Take `count` copies of refused messages."""
        return await self.taken(REJECTED_QUEUE, count)


@asynccontextmanager
async def producing(url: str) -> AsyncIterator[Producer]:
    """Connect as a producer does."""
    connection = await aio_pika.connect(url)
    async with connection, await connection.channel(on_return_raises=True) as channel:
        yield Producer(channel=channel)


@asynccontextmanager
async def taking_in(
    stage: Stage,
    url: str,
    *,
    limits: MessageLimits = LIMITS,
    database: Database | None = None,
    queue_limit: int = 1000,
    type_limit: int = 500,
    earlier_keys: EarlierKeys | None = None,
    **options: Any,  # noqa: ANN401 - the intake's own
) -> AsyncIterator[Intake]:
    """Run an intake on the stage's database, or on `database`, and yield it once it consumes."""
    database = database or stage.database
    creation = a_creation(
        database, stage.clock, stage.ids, queue_limit=queue_limit, type_limit=type_limit
    )
    creation.earlier_keys = earlier_keys
    intake = Intake(
        url,
        creation=creation,
        rejections=a_rejections(database, creation, stage.ids, limits),
        limits=limits,
        warning_of=Warnings(AddressRules()),
        **options,
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(intake.run(stop))
        try:
            await until_it_consumes(intake)
            yield intake
        finally:
            stop.set()


async def until_it_consumes(intake: Intake) -> None:
    """Wait until the intake has a consumer."""

    async def consumes() -> bool:
        return intake.link.is_up

    await eventually(consumes, "the intake consumes")


@asynccontextmanager
async def another_database(url: str) -> AsyncIterator[Database]:
    """Another connection pool to a database, for instance through a proxy."""
    database = RoleDatabase(url, SETTINGS)
    try:
        yield database
    finally:
        await database.close()


async def counted(stage: Stage) -> tuple[int, int]:
    """How many tasks and rejections there are."""
    row = await stage.sql.fetchrow(
        "SELECT (SELECT count(*) FROM taskmill.task), (SELECT count(*) FROM taskmill.rejection)"
    )
    assert row is not None
    return row[0], row[1]


async def until_counted(stage: Stage, tasks: int, rejections: int) -> None:
    """Wait until there are exactly this many of both."""

    async def reached() -> bool:
        now = await counted(stage)
        assert now[0] <= tasks, f"{now} instead of {(tasks, rejections)}"
        assert now[1] <= rejections, f"{now} instead of {(tasks, rejections)}"
        return now == (tasks, rejections)

    await eventually(reached, f"{tasks} tasks and {rejections} rejections", timeout_s=30)


async def assert_all_acknowledged(producer: Producer) -> None:
    """Fail when messages came back to the queue. Call it once the intake has stopped."""

    async def depth() -> int:
        return await producer.depth()

    # The broker requeues what a closed channel had as soon as it notices the closing.
    for _ in range(20):
        assert await depth() == 0
        await asyncio.sleep(0.01)


def a_message(body: bytes, message_id: str | None = None) -> aio_pika.Message:
    """A message as `send_all` takes it."""
    return aio_pika.Message(body, message_id=message_id)
