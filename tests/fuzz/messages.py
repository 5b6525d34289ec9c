"""The part of messages: each hostile creation message is a task or a rejection in the end, and none is stuck."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlsplit

import aiormq
import asyncpg
from aiormq.abc import AbstractChannel

from taskmill.amqp.names import CREATE_KEY, CREATE_QUEUE, EXCHANGE
from tests.fuzz.findings import Tally, say
from tests.fuzz.hostile_messages import a_message
from tests.fuzz.seeds import seeded
from tests.support.polling import eventually

NAME = "messages"
_AT_ONCE = 40
# The driver logs each connection that RabbitMQ closes, with a traceback.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)
_SETTLED_WITHIN_S = 120.0
_COUNTED = """
    SELECT (SELECT count(*) FROM taskmill.task),
        (SELECT count(*) FROM taskmill.rejection WHERE message_id IS NOT NULL),
        (SELECT count(*) FROM taskmill.rejection WHERE message_id IS NULL)
"""
_FAULTS = (
    "SELECT status, problem::text, body, headers::text FROM taskmill.rejection WHERE status >= 500"
)


@dataclass(frozen=True, slots=True)
class Stored:
    """How many tasks there are, and rejections of messages with and without an id."""

    tasks: int
    rejections: int
    without_id: int


@dataclass(slots=True)
class _Sent:
    with_id: int = 0
    without_id: int = 0


def producer_of(amqp_url: str) -> str:
    """Return the user as which messages are published: the API key of that name says what it may create."""
    return urlsplit(amqp_url).username or ""


async def send_messages(amqp_url: str, database_url: str, tally: Tally, *, number: int) -> None:
    """Publish messages with confirms until the goal is reached, and compare what is stored with what was sent."""
    sql = await asyncpg.connect(database_url)
    try:
        before = await _stored(sql)
        sent = await _publish(amqp_url, tally, number)
        await _until_settled(amqp_url, sql, before, sent, tally)
        for row in await sql.fetch(_FAULTS):
            tally.report(NAME, f"a rejection with status {row['status']}", repr(tuple(row)))
    finally:
        await sql.close()


async def _publish(amqp_url: str, tally: Tally, number: int) -> _Sent:
    sent, numbers = _Sent(), count()
    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(_Publisher(amqp_url, tally, sent).run(number, numbers))
    return sent


class _Publisher:
    """A connection with one message in flight: when RabbitMQ closes it, that is because of this message."""

    def __init__(self, amqp_url: str, tally: Tally, sent: _Sent) -> None:
        self._url = amqp_url
        self._tally = tally
        self._sent = sent

    async def run(self, number: int, numbers: "count[int]") -> None:
        """Publish until the goal is reached; on a new connection after RabbitMQ has closed one."""
        while not self._is_done:
            connection = await aiormq.connect(self._url)
            try:
                channel = await connection.channel(publisher_confirms=True)
                while await self._publish(channel, number, next(numbers)):
                    pass
            finally:
                with suppress(aiormq.AMQPError):
                    await connection.close()

    @property
    def _is_done(self) -> bool:
        return self._tally.counts[NAME] >= self._tally.goals[NAME] or self._tally.is_late

    async def _publish(self, channel: AbstractChannel, number: int, index: int) -> bool:
        """Publish a message; return whether the next one can be published, too."""
        message = a_message(producer_of(self._url), seeded(number, index))
        try:
            await channel.basic_publish(
                message.body,
                exchange=EXCHANGE,
                routing_key=CREATE_KEY,
                properties=message.properties,
                mandatory=True,
                timeout=30,
            )
        except aiormq.AMQPError as error:
            self._tally.add(f"{NAME} that RabbitMQ refused", type(error).__name__)
            return False
        self._tally.add(NAME, "confirmed")
        self._sent.with_id += message.has_id
        self._sent.without_id += not message.has_id
        return not self._is_done


async def _until_settled(
    amqp_url: str, sql: asyncpg.Connection, before: Stored, sent: _Sent, tally: Tally
) -> None:
    """Wait until what was sent is stored; what has no id may be stored twice, if it is delivered twice."""
    now = before

    async def is_settled() -> bool:
        nonlocal now
        now = await _stored(sql)
        settled = now.tasks - before.tasks + now.rejections - before.rejections
        others = now.without_id - before.without_id
        return settled == sent.with_id and others >= sent.without_id

    try:
        await eventually(is_settled, "all messages are stored", timeout_s=_SETTLED_WITHIN_S)
        await eventually(lambda: _is_empty(amqp_url), "the queue is empty", timeout_s=30)
    except AssertionError as error:
        tally.report(NAME, "messages are missing, or stuck", f"{sent}, {before} -> {now}: {error}")
    say(f"messages: {sent.with_id + sent.without_id:,} sent, {before} -> {now}")


async def _stored(sql: asyncpg.Connection) -> Stored:
    row = await sql.fetchrow(_COUNTED)
    assert row is not None
    return Stored(*row)


async def _is_empty(amqp_url: str) -> bool:
    connection = await aiormq.connect(amqp_url)
    try:
        channel = await connection.channel()
        declared = await channel.queue_declare(CREATE_QUEUE, passive=True)
        return declared.message_count == 0
    finally:
        await connection.close()
