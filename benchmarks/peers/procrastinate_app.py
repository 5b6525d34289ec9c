"""Procrastinate: async tasks on psycopg's pool (the binary one) and uvloop; finished jobs are kept, the default.

It takes one job a statement, so many run at once, each on a connection of the pool.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import procrastinate
import uvloop

from benchmarks.peers import given

_AT_ONCE = 100
_CONNECTIONS = 20

begun = given.begun()
app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=given.URL, min_size=2, max_size=_CONNECTIONS)
)


@app.task(name=given.NOOP)
async def noop(number: int) -> None:
    begun.note(number)


def install() -> None:
    uvloop.run(_opened(app.schema_manager.apply_schema_async))


def enqueue(count: int) -> None:
    async def use() -> None:
        for block in given.blocks(count):
            await noop.batch_defer_async(*({"number": number} for number in block))

    uvloop.run(_opened(use))


def pace(pauses: list[float], sent: Path) -> None:
    async def use() -> None:
        await given.paced_async(lambda number: noop.defer_async(number=number), pauses, sent)

    uvloop.run(_opened(use))


async def _opened(use: Callable[[], Awaitable[None]]) -> None:
    async with app.open_async():
        await use()


def work(variant: str) -> None:  # noqa: ARG001 - it has one
    async def use() -> None:
        given.report_ready()
        await app.run_worker_async(concurrency=_AT_ONCE, install_signal_handlers=True)

    uvloop.run(_opened(use))
