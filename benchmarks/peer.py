"""PgQueuer as the peer that queues are held against: the same server, a database of its own, durable."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer.queries import Queries

from benchmarks.lab import Lab
from benchmarks.pgqueuer_worker import ENTRYPOINT
from benchmarks.programs import Program

SUCCESSFUL = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"

_ENQUEUED_AT_ONCE = 1000


class PgQueuerQueue:
    """Its queue in one database."""

    def __init__(self, lab: Lab, url: str, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._lab = lab
        self._url = url
        self._queries = Queries.from_asyncpg_pool(pool)
        self._picks = lab.folder / "picks.json"

    async def install(self) -> None:
        await self._queries.install()

    async def enqueue(self, count: int) -> list[int]:
        """Enqueue `count` jobs, a thousand in a statement; return their ids."""
        ids: list[int] = []
        for start in range(0, count, _ENQUEUED_AT_ONCE):
            size = min(_ENQUEUED_AT_ONCE, count - start)
            ids += await self._queries.enqueue([ENTRYPOINT] * size, [None] * size, [0] * size)
        return ids

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Program]:
        """Run one worker process."""
        arguments = ("--url", self._url, "--picks", str(self._picks))
        async with self._lab.script("benchmarks.pgqueuer_worker", *arguments) as program:
            yield program

    def picks(self) -> dict[int, float]:
        """Return when each job was picked (PostgreSQL's clock, Unix seconds), once the worker ended."""
        return {int(job): at for job, at in json.loads(self._picks.read_text()).items()}


@asynccontextmanager
async def pgqueuer(lab: Lab) -> AsyncIterator[tuple[str, PgQueuerQueue]]:
    """Make a database with PgQueuer's tables; return its address and the queue."""
    async with lab.database(is_empty=True) as url, asyncpg.create_pool(url, min_size=1) as pool:
        queue = PgQueuerQueue(lab, url, pool)
        await queue.install()
        yield url, queue
