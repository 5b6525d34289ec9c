"""The means of every scenario: databases on one embedded PostgreSQL, virtual hosts, and programs.

The server has the settings of `taskmill up`: durable, each response comes after the commit is on disk.
"""

import asyncio
import fcntl
import itertools
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
)
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlsplit

import asyncpg

from benchmarks.broker import Broker
from benchmarks.figures import Series
from benchmarks.programs import Program, ProgramFailed, running
from taskmill.embedded.fetching import find_or_fetch
from taskmill.embedded.postgres import EmbeddedPostgres
from taskmill.embedded.rabbitmq import EmbeddedRabbitMQ
from taskmill.observability import logs
from taskmill.storage import migrate, name_index

T = TypeVar("T")

_TEMPLATE = "taskmill_template"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Scale(StrEnum):
    """How thorough a run is."""

    QUICK = "quick"
    SHORT = "short"
    FULL = "full"


class Lab:
    """Makes databases and runs programs on them."""

    def __init__(
        self,
        server: EmbeddedPostgres,
        folder: Path,
        *,
        rounds: int,
        scale: Scale,
        before: str | None = None,
    ) -> None:
        self._server = server
        self.folder = folder
        self.rounds = rounds
        self.scale = scale
        # The revision to compare with, in scenarios that can.
        self.before = before
        self.series: list[Series] = []
        self.peer_versions: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._broker: Broker | None = None
        self.rabbitmq_version: str | None = None

    @property
    def server_log(self) -> Path:
        """The log of the PostgreSQL server, for all databases."""
        return self.folder / "postgres" / "postgres.log"

    @property
    def is_short(self) -> bool:
        return self.scale is not Scale.FULL

    def pick(self, *, quick: T, short: T, full: T) -> T:
        """Return the value for this run's scale."""
        return {Scale.QUICK: quick, Scale.SHORT: short, Scale.FULL: full}[self.scale]

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[None]:
        """Run a RabbitMQ node for the scenarios that need one: it takes processor time even when idle."""
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
        """Flush what earlier work left in memory, so that the next measurement does not pay for it."""
        await self._execute("CHECKPOINT")

    def taskmill(
        self,
        role: str,
        url: str,
        *options: str,
        name: str | None = None,
        broker_url: str | None = None,
        broker: str = "auto",
        environment: Mapping[str, str] = _NOTHING,
    ) -> AbstractAsyncContextManager[Program]:
        """Run one role as a user does; JSON logs go to a file."""
        over_broker = {"TASKMILL_BROKER_URL": broker_url} if broker_url else {}
        return running(
            name or role,
            ["-m", "taskmill", "run", role, *options],
            folder=self.folder,
            environment={
                "TASKMILL_DATABASE_URL": url,
                "TASKMILL_BROKER": broker,
                **over_broker,
                **environment,
            },
        )

    def result_file(self, name: str) -> Path:
        """Return a path for the result of a program; the file does not exist yet."""
        file = self.folder / f"{name}.done"
        file.unlink(missing_ok=True)
        return file

    def log_of(self, program: Program) -> Path:
        """Return the file with a program's logs, which are complete when it has ended."""
        return self.folder / f"{program.name}.log"

    def script(
        self, module: str, *arguments: str, environment: Mapping[str, str] = _NOTHING
    ) -> AbstractAsyncContextManager[Program]:
        """Run a program of this folder."""
        return running(
            module.rpartition(".")[2],
            ["-m", module, *arguments],
            folder=self.folder,
            environment=environment,
        )

    def order(self, number: int, *sides: str) -> Sequence[str]:
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

    This process logs its work as a producer to a file in `folder`, not between the figures.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        _guard(folder.with_suffix(".lock")),
        _fresh(folder),
        (folder / "producer.log").open("w") as log,
        EmbeddedPostgres(folder / "postgres") as server,
    ):
        logs.configure(format="json", stream=log)
        asyncio.run(_create_template(server.url))
        migrate.upgrade(_named(server.url, _TEMPLATE))
        asyncio.run(name_index.apply(_named(server.url, _TEMPLATE), is_wanted=True))
        yield server


@contextmanager
def _guard(file: Path) -> Iterator[None]:
    """Hold a lock, which the kernel frees: two runs at once would disturb each other."""
    with file.open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("benchmarks: they run already from this folder; one at a time")
        yield


@contextmanager
def _fresh(folder: Path) -> Iterator[None]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield
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
