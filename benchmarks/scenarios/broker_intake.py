"""Waiting creation messages of RabbitMQ, taken in by one intake process, against aio-pika alone.

Both sides read queues of the same kind with the same messages, and are measured from when they begin to consume.
The intake is done when every task is committed; the peer when it has acknowledged the last message, one by one and
without processing it.
"""

import asyncio
import json
import time
import uuid

import aio_pika
import asyncpg

from benchmarks.broker import creation_queue, publish_all
from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab
from benchmarks.observing import connected, logged_at, until_done
from taskmill.amqp.names import CREATE_QUEUE

TITLE = "20,000 creation messages into committed tasks, one intake process"

_MESSAGES = 20_000
_TIMEOUT_S = 60.0
_POLL_S = 0.005


async def run(lab: Lab) -> list[Figure]:
    sides = {"taskmill": _take_in, "aio-pika": _only_consume}
    rates: dict[str, list[float]] = {side: [] for side in sides}
    async with lab.broker():
        for number in range(lab.rounds):
            for side in lab.order(number, *sides):
                async with lab.vhost() as amqp_url:
                    async with creation_queue(amqp_url, CREATE_QUEUE) as queue:
                        await publish_all(queue, _messages())
                    rate = _MESSAGES / await sides[side](lab, amqp_url)
                rates[side].append(rate)
                print(f"  round {number + 1}: {side} {rate:,.0f} messages/s", flush=True)
    return [
        Figure(
            name="taken in",
            unit="messages/s",
            ours=rates["taskmill"],
            against="aio-pika",
            theirs=rates["aio-pika"],
            target=at_least(0.35),
        )
    ]


def _messages() -> list[aio_pika.Message]:
    """Make messages as the documentation advises: persistent, each with an id."""
    return [
        aio_pika.Message(
            json.dumps(_body(number)).encode(),
            message_id=str(uuid.uuid4()),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        for number in range(_MESSAGES)
    ]


def _body(number: int) -> dict[str, object]:
    """The same task as in `post_tasks`."""
    return {
        "name": f"report {number}",
        "description": f"figures of region {number % 97}, with charts, for the board",
        "payload": {"delay_s": number % 7, "failure_probability": 0, "result": {"pages": number}},
    }


async def _take_in(lab: Lab, amqp_url: str) -> float:
    async with lab.database() as url, connected(url) as connection:
        await lab.settle()
        async with lab.taskmill("intake", url, broker_url=amqp_url) as intake:
            await _until_committed(connection)
            ended_at = time.time()
    began_at = logged_at(lab.log_of(intake), "intake.started", key="event")
    return ended_at - began_at["intake.started"]


async def _until_committed(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Wait for the last commit, with a query that costs the server little until it is near."""
    numbered = "SELECT last_value FROM taskmill.task_number"
    committed = "SELECT count(*) FROM taskmill.task"
    async with asyncio.timeout(_TIMEOUT_S):
        for query in (numbered, committed):
            while await connection.fetchval(query) < _MESSAGES:  # noqa: ASYNC110 - another process gets it done
                await asyncio.sleep(_POLL_S)


async def _only_consume(lab: Lab, amqp_url: str) -> float:
    done = lab.result_file("aio_pika")
    await lab.settle()
    options = ("--url", amqp_url, "--queue", CREATE_QUEUE, "--count", str(_MESSAGES))
    async with lab.script("benchmarks.aio_pika_consumer", *options, "--done", str(done)):
        return await until_done(done, timeout_s=_TIMEOUT_S)
