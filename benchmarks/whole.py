"""A whole `taskmill up` with PostgreSQL, RabbitMQ and every role, and no-op tasks to give it."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import asyncpg
import httpx

from benchmarks.lab import Lab
from benchmarks.observing import connected, until_counted
from benchmarks.process_tree import Used, used_s
from benchmarks.programs import Program, facts_of, running

_DRAFT = {"name": "noop", "payload": {"delay_s": 0, "failure_probability": 0}}
_BATCH = 1000
_START_S, _TIMEOUT_S = 180.0, 600.0
_STEP_S, _POLL_S = 1.0, 0.5
_QUIET_STEPS = 4
# An idle system uses 2 to 5 % of a core, most of it RabbitMQ's.
_QUIET_SHARE = 0.12
# Also in revisions of before.
_ENDED = "SELECT count(*) FROM taskmill.task WHERE finished_at IS NOT NULL"
_DELIVERED = """
SELECT NOT EXISTS (SELECT FROM taskmill.change_batch WHERE position IS NULL)
    AND (SELECT min(position) FROM taskmill.feed_delivery)
        >= (SELECT max(position) FROM taskmill.change_batch)
"""


@dataclass(slots=True)
class Up:
    """A `taskmill up` that runs, and a connection to its database, as superuser."""

    program: Program
    connection: "asyncpg.Connection[asyncpg.Record]"
    _posted: int = field(default=0, init=False)

    async def post(self, tasks: int, *, batch: int = _BATCH, connections: int = 1) -> None:
        """Create so many tasks, `batch` of them a request (1: one by one), on so many connections.

        They are multiples of `batch` times `connections`.
        """
        async with (
            httpx.AsyncClient(
                base_url=str(self.program.url), timeout=_TIMEOUT_S, trust_env=False
            ) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(connections):
                group.create_task(_post(client, tasks // batch // connections, batch))
        self._posted += tasks

    async def until_ended(self) -> None:
        """Wait until all that were posted have ended."""
        await until_counted(
            self.connection, _ENDED, self._posted, timeout_s=_TIMEOUT_S, pause_s=_POLL_S
        )

    async def until_quiet(self) -> tuple[Used, float]:
        """Wait until all changes are delivered and little is used for a while.

        Returns the processor time used so far, by kind of process, and when it was read.
        """
        quiet_steps, (before, at) = 0, (used_s(self.program.pid), monotonic())
        async with asyncio.timeout(_TIMEOUT_S):
            while quiet_steps < _QUIET_STEPS:
                await asyncio.sleep(_STEP_S)
                used, until = used_s(self.program.pid), monotonic()
                share = (sum(used.values()) - sum(before.values())) / (until - at)
                is_quiet = share <= _QUIET_SHARE and await self.connection.fetchval(_DELIVERED)
                quiet_steps = quiet_steps + 1 if is_quiet else 0
                before, at = used, until
        return before, at


@asynccontextmanager
async def up_running(
    lab: Lab, checkout: Path, *, name: str = "up", broker_url: str | None = None
) -> AsyncIterator[Up]:
    """Run a checkout's `taskmill up` on fresh data, over RabbitMQ, until the block ends; it has warmed up.

    Two that run at once have different names. With `broker_url` it has no RabbitMQ of its own.
    """
    over_broker = {"TASKMILL_BROKER_URL": broker_url} if broker_url else {}
    data = lab.folder / name
    shutil.rmtree(data, ignore_errors=True)
    program_running = running(
        name,
        ["-m", "taskmill", "up", "--port", "0", "--data", str(data), "--broker", "rabbitmq"],
        folder=lab.folder,
        environment={"PYTHONPATH": str(checkout / "src"), **over_broker},
        start_s=_START_S,
    )
    async with program_running as program:
        url = str(facts_of(lab.folder / f"{name}.ready")["database_url"])
        async with connected(url) as connection:
            up = Up(program, connection)
            # The first tasks make queues, prepare statements and fill caches.
            await up.post(_BATCH)
            await up.until_ended()
            await up.until_quiet()
            yield up


async def _post(client: httpx.AsyncClient, requests: int, batch: int) -> None:
    for _ in range(requests):
        if batch == 1:
            response = await client.post("/tasks", json=_DRAFT)
        else:
            response = await client.post("/tasks/batch", json=[_DRAFT] * batch)
        response.raise_for_status()
