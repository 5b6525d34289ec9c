"""The least that a consumer can do with aio-pika: take every message of a queue and acknowledge it.

On uvloop, like the intake, and with a common prefetch. It records how long all messages took, from the moment
in which it began to consume.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import aio_pika
import uvloop
from aio_pika.abc import AbstractIncomingMessage

PREFETCH = 500


async def consume(url: str, queue_name: str, count: int, *, ready: Callable[[], object]) -> float:
    """Acknowledge so many messages; return the seconds that it took."""
    done = asyncio.Event()
    left = count

    async def on_message(message: AbstractIncomingMessage) -> None:
        nonlocal left
        await message.ack()
        left -= 1
        if left == 0:
            done.set()

    connection = await aio_pika.connect_robust(url)
    async with connection, connection.channel() as channel:
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.get_queue(queue_name)
        ready()
        began_at = time.perf_counter()
        await queue.consume(on_message)
        await done.wait()
        return time.perf_counter() - began_at


def main(options: argparse.Namespace) -> None:
    def ready() -> None:
        options.ready_file.write_text("{}")

    seconds = uvloop.run(consume(options.url, options.queue, options.count, ready=ready))
    draft = options.done.with_suffix(".draft")
    draft.write_text(json.dumps({"seconds": seconds}))
    draft.replace(options.done)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--queue", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--done", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main(_options())
