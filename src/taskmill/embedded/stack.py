"""`taskmill up`: an embedded PostgreSQL, the migrations, the API and maintenance here, workers beside it.

Each worker is a process of its own, so that handlers never slow the API, and the end of one leaves the
others alone. It starts and stops things; what they do is composed in `composition`.
"""

import asyncio
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from taskmill import composition
from taskmill.domain.errors import ConfigurationError
from taskmill.embedded.errors import EmbeddedPostgresError
from taskmill.embedded.postgres import EmbeddedPostgres
from taskmill.embedded.workers import WorkerProcesses
from taskmill.observability import logs
from taskmill.runtime.periodic import Periodic
from taskmill.runtime.services import Service
from taskmill.settings import Settings
from taskmill.storage import migrate

log = logs.get_logger(__name__)

_WATCH_S = 1.0


def up(settings: Settings, *, workers: int, ready_file: Path | None) -> int:
    """Run everything until SIGINT or SIGTERM; return the exit status. The data stays.

    Raises:
        ConfigurationError: PostgreSQL can't be started or reached, or the port is taken.
    """
    logs.configure(format=settings.log_format, level=settings.log_level)
    if ready_file is not None:
        # One that a killed run has left would tell of an address where nobody serves.
        ready_file.unlink(missing_ok=True)
    with ExitStack() as stack:
        url, place, beside = _database(settings, stack)
        _bring_up_to_date(url)
        own = settings.model_copy(update={"database_url": SecretStr(url)})
        return composition.run_roles(
            own,
            ["maintenance", "api"],
            ready_file=ready_file,
            beside=[*beside, WorkerProcesses(own, workers)],
            announce=lambda api_url: _greet(api_url, place),
        )


def _database(settings: Settings, stack: ExitStack) -> tuple[str, str, list[Service]]:
    """Return the database's address, in words where the data is, and what looks after it."""
    if settings.database_url is not None:
        return settings.require_database_url(), "the database that was given", []
    folder = settings.data_dir / "postgres"
    try:
        server = stack.enter_context(EmbeddedPostgres(folder))
    except EmbeddedPostgresError as error:
        raise ConfigurationError(str(error)) from error
    log.info("postgres.started", version=server.version, folder=str(folder), pid=server.pid)

    async def revive() -> None:
        if server.revive():
            log.error("postgres.revived", pid=server.pid)

    watch = Periodic("postgres", revive, interval_s=_WATCH_S)
    return server.url, str(settings.data_dir.absolute()), [watch]


def _bring_up_to_date(url: str) -> None:
    try:
        applied = asyncio.run(_applied(url))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ConfigurationError(f"the database can't be reached: {error}") from error
    if applied is None or applied < migrate.head():
        log.info("schema.migrating", applied=applied, head=migrate.head())
        migrate.upgrade(url)


async def _applied(url: str) -> str | None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await migrate.applied(connection)
    finally:
        await connection.close()


def _greet(url: str | None, place: str) -> None:
    logs.flush()
    lines = (
        f"Taskmill serves at {url}",
        f'  try it     curl -X POST {url}/tasks -d \'{{"name": "first"}}\'',
        f"  Swagger    {url}/docs",
        f"  data       {place}",
        "Ctrl-C stops it; the data stays.",
    )
    sys.stdout.write(os.linesep.join(("", *lines, "", "")))
    sys.stdout.flush()
