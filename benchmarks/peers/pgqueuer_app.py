"""PgQueuer: an entrypoint that does nothing, on a pool of asyncpg and uvloop, as in its guide.

The variant is the batch: how many jobs a statement takes and ends.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import uvloop
from pgqueuer import PgQueuer, Queries
from pgqueuer.models import Job

from benchmarks.peers import given


def install() -> None:
    async def use(queries: Queries) -> None:
        await queries.install()

    uvloop.run(_with_queries(use))


def enqueue(count: int) -> None:
    async def use(queries: Queries) -> None:
        for block in given.blocks(count):
            size = len(block)
            payloads = [str(number).encode() for number in block]
            await queries.enqueue([given.NOOP] * size, payloads, [0] * size)

    uvloop.run(_with_queries(use))


def pace(pauses: list[float], sent: Path) -> None:
    async def use(queries: Queries) -> None:
        async def send(number: int) -> None:
            await queries.enqueue(given.NOOP, str(number).encode())

        await given.paced_async(send, pauses, sent)

    uvloop.run(_with_queries(use))


async def _with_queries(use: Callable[[Queries], Awaitable[None]]) -> None:
    async with asyncpg.create_pool(given.URL, min_size=1) as pool:
        await use(Queries.from_asyncpg_pool(pool))


def work(variant: str) -> None:
    uvloop.run(_work(int(variant.removeprefix("batch "))))


async def _work(batch: int) -> None:
    begun = given.begun()
    async with asyncpg.create_pool(given.URL, min_size=2, max_size=8) as pool:
        application = PgQueuer.from_asyncpg_pool(pool)

        @application.entrypoint(given.NOOP)
        async def _noop(job: Job) -> None:
            begun.note(int(job.payload or b"0"))

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, application.shutdown.set)
        given.report_ready()
        await application.run(batch_size=batch)
