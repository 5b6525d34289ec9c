"""A consumer of all changes: a queue bound to everything, whose messages it acknowledges a hundred at a time.

Of every tenth it notes how late it came, by this machine's clock, against PostgreSQL's time of the change: the
start of its transaction. Another file says, at the end, how many to expect; the result is written when they have
come.
"""

import argparse
import asyncio
import json
import time
from datetime import datetime
from pathlib import Path

import aio_pika
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from taskmill.amqp.names import EVENTS_EXCHANGE

_PREFETCH = 1000
_ACKED_AT_ONCE = 100
_NOTED = 10
_AT = b'"time":"'
_AT_LENGTH = len("2026-11-25T01:23:32.820000Z")
_POLL_S, _QUIET_S = 0.2, 2.0


class ChangeConsumer:
    """How many messages came, and of some: when (Unix seconds), and how many ms after their change."""

    def __init__(self) -> None:
        self.messages = 0
        self.delays: list[tuple[float, float]] = []
        self._latest: AbstractIncomingMessage | None = None

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Note a message, and acknowledge it with those before it."""
        self.messages += 1
        self._latest = message
        if self.messages % _NOTED == 0:
            now, start = time.time(), message.body.index(_AT) + len(_AT)
            at = datetime.fromisoformat(message.body[start : start + _AT_LENGTH].decode())
            self.delays.append((now, (now - at.timestamp()) * 1000))
        if self.messages % _ACKED_AT_ONCE == 0:
            await self._acknowledge()

    async def until(self, end: Path) -> None:
        """Wait until as many have come as this file says; while nothing comes, acknowledge what did."""
        while not end.exists() or self.messages < int(end.read_text()):  # noqa: ASYNC240 - a short one
            before = self.messages
            await asyncio.sleep(_POLL_S)
            if self.messages == before:
                await self._acknowledge()

    async def _acknowledge(self) -> None:
        latest, self._latest = self._latest, None
        if latest is not None:
            await latest.ack(multiple=True)


async def consume(url: str, ready_file: Path, done: Path) -> None:
    consumer = ChangeConsumer()
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        await channel.set_qos(prefetch_count=_PREFETCH)
        exchange = await channel.declare_exchange(EVENTS_EXCHANGE, "topic", durable=True)
        queue = await channel.declare_queue("changes", durable=True)
        await queue.bind(exchange, "#")
        await queue.consume(consumer.take)
        ready_file.write_text("{}")  # noqa: ASYNC240 - nothing is measured yet
        await consumer.until(done.with_suffix(".end"))
        # One more than expected would be a change that came twice.
        await asyncio.sleep(_QUIET_S)
    draft = done.with_suffix(".draft")
    draft.write_text(json.dumps({"messages": consumer.messages, "delays": consumer.delays}))
    draft.replace(done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--done", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    uvloop.run(consume(options.url, options.ready_file, options.done))


if __name__ == "__main__":
    main()
