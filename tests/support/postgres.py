"""A PostgreSQL server for a test session, and databases on it that cost some ten milliseconds each.

`TASKMILL_TEST_POSTGRES_BIN` names the `bin` folder of the PostgreSQL to test with.
"""

import asyncio
import itertools
import os
import shutil
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import asyncpg

from taskmill.embedded.postgres import EmbeddedPostgres

# The program refuses unknown TASKMILL_ variables: the tests move theirs to another name.
_VARIABLE = "TASKMILL_TEST_POSTGRES_BIN"
_HIDDEN_VARIABLE = "POSTGRES_BIN_OF_TESTS"

_T = TypeVar("_T")

TEMPLATE = "taskmill_template"
STAGE_TEMPLATE = "taskmill_stage_template"

# Durability is worth nothing here.
FAST_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "fsync": "off",
        "full_page_writes": "off",
        "shared_buffers": "64MB",
        "max_connections": "200",
        "autovacuum_naptime": "1h",
    }
)


_MEMORY = Path("/dev/shm")  # noqa: S108 - only folders with names of their own are made there
_ROOMY_BYTES = 6 * 1024**3


def data_parent() -> Path | None:
    """The folder for data: in memory if there is room, else None for the usual temporary folder.

    Copying a template took 28 ms there, and 770 ms on the disk of a busy machine (2026-11-25).
    """
    is_roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOMY_BYTES
    return _MEMORY if is_roomy else None


def chosen_bin_dir() -> Path | None:
    """The PostgreSQL that this run tests with; None is the program's own choice."""
    requested = os.environ.pop(_VARIABLE, None)  # noqa: TID251 - an option of the test run
    if requested:
        os.environ[_HIDDEN_VARIABLE] = requested  # noqa: TID251 - worker processes of the run inherit it
    bin_dir = os.environ.get(_HIDDEN_VARIABLE)  # noqa: TID251 - see above
    return Path(bin_dir) if bin_dir else None


class SharedPostgres:
    """A server that another process starts and stops."""

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None:
        """Do nothing: it runs."""

    def stop(self) -> None:
        """Leave it to the others."""


class DatabaseServer:
    """Databases on one server, in a folder or shared; callable from sync and async code alike."""

    def __init__(self, server: Path | SharedPostgres) -> None:
        self.renamed: set[str] = set()
        self._server = (
            server
            if isinstance(server, SharedPostgres)
            else EmbeddedPostgres(server, bin_dir=chosen_bin_dir(), settings=FAST_SETTINGS)
        )
        self._numbers = itertools.count(1)
        # It has its own thread and event loop: the tests' loops come and go.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database-server")
        self._runner = asyncio.Runner()
        self._admin: asyncpg.Connection[asyncpg.Record] | None = None

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._close).result()
        self._thread.shutdown()
        self._server.stop()

    def url(self, database: str) -> str:
        """The address of a database on this server."""
        return urlsplit(self._server.url)._replace(path=f"/{database}").geturl()

    def create(self, *, template: str = "template1") -> str:
        """Make a database and return its address."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        # Copying files beats writing the copy to the log as long as nothing has to reach the disk.
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.url(name)

    def copy(self, url: str) -> str:
        """Make a copy of a database that nobody is connected to and return its address."""
        return self.create(template=_name(url))

    def drop(self, url: str) -> None:
        """Remove a database, whatever is still connected to it."""
        self._execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def rename(self, url: str, name: str) -> None:
        """Give a database another name."""
        self._execute(f"ALTER DATABASE {_name(url)} RENAME TO {name}")
        self.renamed.add(name)

    def run(self, work: Coroutine[object, object, _T]) -> _T:
        """Run a coroutine on the server's own loop."""
        return self._thread.submit(lambda: self._runner.run(work)).result()

    def _execute(self, statement: str) -> None:
        self.run(self._execute_on_loop(statement))

    async def _execute_on_loop(self, statement: str) -> None:
        if self._admin is None:
            self._admin = await asyncpg.connect(self._server.url)
        await self._admin.execute(statement)

    def _close(self) -> None:
        if self._admin is not None:
            self._runner.run(self._admin.close())
        self._runner.close()


def _name(url: str) -> str:
    return urlsplit(url).path[1:]
