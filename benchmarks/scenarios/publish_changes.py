"""How fast a relay publishes a backlog of changes to a queue that is bound to all of them.

Each change is read from PostgreSQL, converted to a CloudEvent, and confirmed by RabbitMQ, which stores it on disk:
the queue is durable and has no consumers. The relay's cost of a change is shown with the rate.
"""

import asyncio
from collections.abc import Mapping
from time import monotonic

import aio_pika
import asyncpg

from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab
from benchmarks.observing import connected
from benchmarks.process_tree import used_s
from benchmarks.producing import producing
from benchmarks.programs import ProgramFailed
from benchmarks.scenarios.noop_drain import NOOP
from taskmill.amqp.names import EVENTS_EXCHANGE
from taskmill.storage import changes

TITLE = "changes that a relay publishes to a bound queue, each confirmed"

_LEAST_PER_S = 15_000
_TIMEOUT_S = 120.0
_POLL_S = 0.01
_NUMBERED_AT_ONCE = 1000
_FROM_THE_BEGIN = """
INSERT INTO taskmill.feed_delivery (follower, position, ordinal) VALUES ('rabbitmq', 0, 0)
"""
_PUBLISHED = """
SELECT coalesce(sum(least(
    cardinality(b.task_ids), CASE WHEN b.position = held.position THEN held.ordinal ELSE 2147483647 END
)), 0)::integer
FROM taskmill.feed_delivery AS held
JOIN taskmill.change_batch AS b ON b.position <= held.position
WHERE held.follower = 'rabbitmq'
"""


async def run(lab: Lab) -> list[Figure]:
    count = lab.pick(quick=20_000, short=60_000, full=200_000)
    measured = []
    async with lab.broker():
        for number in range(lab.rounds):
            rate, cost = await _measure(lab, count)
            measured.append((rate, cost))
            print(f"  round {number + 1}: {rate:,.0f}/s, the relay {cost:.0f} µs each", flush=True)
    rates, costs = zip(*measured, strict=True)
    return [
        Figure(name="published", unit="changes/s", ours=rates, target=at_least(_LEAST_PER_S)),
        Figure(name="processor time of the relay", unit="µs a change", ours=costs),
    ]


async def _measure(lab: Lab, count: int) -> tuple[float, float]:
    """Return how many a second, and the microseconds of the relay for each."""
    async with lab.database() as url, lab.vhost() as amqp_url:
        async with producing(url) as producer:
            await producer.create(count, NOOP)
            while await changes.number(producer.process.database, _NUMBERED_AT_ONCE):
                pass
        async with await aio_pika.connect(amqp_url) as broker, connected(url) as connection:
            channel = await broker.channel()
            exchange = await channel.declare_exchange(EVENTS_EXCHANGE, "topic", durable=True)
            queue = await channel.declare_queue("changes", durable=True)
            await queue.bind(exchange, "#")
            await connection.execute(_FROM_THE_BEGIN)
            await lab.settle()
            async with lab.taskmill("relay", url, broker_url=amqp_url, broker="rabbitmq") as relay:
                figures = await _watch(connection, relay.pid, count)
            declared = await channel.declare_queue("changes", passive=True)
            if declared.declaration_result.message_count != count:
                raise ProgramFailed(f"{declared.declaration_result.message_count} of {count} came")
            return figures


async def _watch(
    connection: "asyncpg.Connection[asyncpg.Record]", pid: int, count: int
) -> tuple[float, float]:
    async with asyncio.timeout(_TIMEOUT_S):
        begun = await _published(connection, 1)
        began, used = monotonic(), _sum(used_s(pid))
        await _published(connection, count)
        published, seconds = count - begun, monotonic() - began
    return published / seconds, (_sum(used_s(pid)) - used) / published * 1e6


async def _published(connection: "asyncpg.Connection[asyncpg.Record]", least: int) -> int:
    """Wait until so many are published, and return how many are."""
    while (published := await connection.fetchval(_PUBLISHED)) < least:  # noqa: ASYNC110 - another process publishes
        await asyncio.sleep(_POLL_S)
    return int(published)


def _sum(used: Mapping[str, float]) -> float:
    return sum(used.values())
