"""What every scenario works with: databases on one embedded PostgreSQL, programs, and a producer of tasks.

The server has the settings that `taskmill up` gives it: durable, every answer after its commit is on disk.
"""

import asyncio
import itertools
import json
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from benchmarks.broker import Broker
from benchmarks.programs import Program, ProgramFailed, running
from taskmill import settings as configuration
from taskmill.composition.process import Process
from taskmill.domain.task import DEFAULT_TYPE, TaskDraft
from taskmill.embedded.fetching import find_or_fetch
from taskmill.embedded.postgres import EmbeddedPostgres
from taskmill.embedded.rabbitmq import EmbeddedRabbitMQ
from taskmill.observability import logs
from taskmill.operations.create import TaskCreation
from taskmill.operations.queues import KnownQueues
from taskmill.storage import migrate
from taskmill.storage.doorbell import Doorbell

_TEMPLATE = "taskmill_template"
_PRODUCED_AT_ONCE = 1000
_POLL_S = 0.2


class Lab:
    """Makes databases and runs programs on them."""

    def __init__(
        self, server: EmbeddedPostgres, folder: Path, *, rounds: int, is_quick: bool
    ) -> None:
        self._server = server
        self.folder = folder
        self.rounds = rounds
        self.is_quick = is_quick
        self._numbers = itertools.count(1)
        self._broker: Broker | None = None
        self.rabbitmq_version: str | None = None

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[None]:
        """Run a RabbitMQ node for the scenarios that need one: it takes processor time also when idle."""
        node = EmbeddedRabbitMQ(self.folder / "rabbitmq")
        node.start(find_or_fetch(lambda line: print(f"  {line}", flush=True)))
        try:
            node.wait_until_ready()
            self.rabbitmq_version = node.version
            self._broker = Broker(node)
            await self._broker.wait()
            yield
        finally:
            self._broker = None
            node.stop()

    def vhost(self) -> AbstractAsyncContextManager[str]:
        """Make a virtual host on the node that runs and return its address; it is removed after."""
        if self._broker is None:
            raise ProgramFailed("the scenario has started no broker")
        return self._broker.vhost()

    @asynccontextmanager
    async def database(self, *, is_empty: bool = False) -> AsyncIterator[str]:
        """Make a database with the schema (or without) and return its address; it is dropped after."""
        name = f"bench_{next(self._numbers)}"
        template = "template1" if is_empty else _TEMPLATE
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield _named(self._server.url, name)
        finally:
            await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def settle(self) -> None:
        """Write what earlier work left in memory, so that the next measurement does not pay for it."""
        await self._execute("CHECKPOINT")

    def taskmill(
        self,
        role: str,
        url: str,
        *options: str,
        name: str | None = None,
        broker_url: str | None = None,
        broker: str = "auto",
    ) -> AbstractAsyncContextManager[Program]:
        """Run one role as a user does; JSON logs go to a file."""
        over_broker = {"TASKMILL_BROKER_URL": broker_url} if broker_url else {}
        return running(
            name or role,
            ["-m", "taskmill", "run", role, *options],
            folder=self.folder,
            environment={"TASKMILL_DATABASE_URL": url, "TASKMILL_BROKER": broker, **over_broker},
        )

    def result_file(self, name: str) -> Path:
        """Return a file for what a program tells at its end; it is not there yet."""
        file = self.folder / f"{name}.done"
        file.unlink(missing_ok=True)
        return file

    def log_of(self, program: Program) -> Path:
        """Return the file with a program's logs; they are whole when it has ended."""
        return self.folder / f"{program.name}.log"

    def script(self, module: str, *arguments: str) -> AbstractAsyncContextManager[Program]:
        """Run a program of this folder."""
        return running(
            module.rpartition(".")[2],
            ["-m", module, *arguments],
            folder=self.folder,
            environment={},
        )

    def turn(self, number: int, *sides: str) -> Sequence[str]:
        """Return the sides in the order of a round, which alternates: being second is no advantage."""
        return sides if number % 2 == 0 else sides[::-1]

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def open_server(folder: Path) -> Iterator[EmbeddedPostgres]:
    """Start PostgreSQL on fresh data and prepare the template database; leaves no data behind.

    What this process does as a producer is logged to a file in `folder`, not between the figures.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        with (
            (folder / "producer.log").open("w") as log,
            EmbeddedPostgres(folder / "postgres") as server,
        ):
            logs.configure(format="json", stream=log)
            asyncio.run(_create_template(server.url))
            migrate.upgrade(_named(server.url, _TEMPLATE))
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _create_template(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {_TEMPLATE}")
    finally:
        await connection.close()


def _named(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()


class Producer:
    """Creates tasks in this process, through the operation that all doors share."""

    def __init__(self, process: Process, creation: TaskCreation) -> None:
        self.process = process
        self.creation = creation

    async def create(self, count: int, payload: str | None, *, kind: str = DEFAULT_TYPE) -> None:
        """Create `count` tasks of a type, a thousand in a transaction."""
        draft = TaskDraft(name="benchmark", type=kind, payload=payload)
        for start in range(0, count, _PRODUCED_AT_ONCE):
            await self.creation.create_all([draft] * min(_PRODUCED_AT_ONCE, count - start))


@asynccontextmanager
async def producing(url: str) -> AsyncIterator[Producer]:
    """Connect to a database as the API does; its doorbell rings."""
    settings = configuration.load(database_url=url)
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        process = await Process.start(settings, stack, stop)
        doorbell = Doorbell(process.database)
        creation = TaskCreation(
            process.database,
            clock=process.clock,
            ids=process.ids,
            queues=KnownQueues(process.database, limit=settings.limits.queues),
            doorbell=doorbell,
            key_validity=timedelta(days=settings.retention.idempotency_days),
        )
        await stack.enter_async_context(creation)
        async with asyncio.TaskGroup() as services:
            services.create_task(doorbell.run(stop))
            yield Producer(process, creation)
            stop.set()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Open a connection of the benchmark's own."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def until_counted(
    connection: "asyncpg.Connection[asyncpg.Record]", query: str, count: int, *, timeout_s: float
) -> None:
    """Ask five times a second until the query answers `count`. Raises `TimeoutError`."""
    async with asyncio.timeout(timeout_s):
        while await connection.fetchval(query) < count:  # noqa: ASYNC110 - another process gets it done
            await asyncio.sleep(_POLL_S)


async def until_told(done: Path, *, timeout_s: float) -> float:
    """Wait for the seconds that a program writes down when it is done. Raises `TimeoutError`."""
    async with asyncio.timeout(timeout_s):
        while (seconds := _told(done)) is None:  # noqa: ASYNC110 - another process gets it done
            await asyncio.sleep(_POLL_S)
    return seconds


def _told(done: Path) -> float | None:
    if not done.exists():
        return None
    seconds: float = json.loads(done.read_text())["seconds"]
    return seconds


def told_at(log: Path, event: str, *, key: str) -> dict[str, float]:
    """Return when a program's log told of an event (Unix seconds), by what its lines have as `key`."""
    lines = [json.loads(line) for line in log.read_bytes().splitlines() if line.startswith(b"{")]
    told = [line for line in lines if line["event"] == event]
    return {line[key]: datetime.fromisoformat(line["ts"]).timestamp() for line in told}
