"""`taskmill up`: PostgreSQL, RabbitMQ, migrations, API and maintenance; workers and the other roles beside it.

Each worker is a process of its own, so that handlers never slow the API, and the end of one leaves the
others alone; webhooks, relay and intake share one. It starts and stops things; what they do is composed in
`composition`.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from taskmill import composition
from taskmill.api.server import check_address
from taskmill.app.loading import check_app
from taskmill.domain.errors import ConfigurationError
from taskmill.embedded.broker import HOW_TO_GET, PrivateBroker
from taskmill.embedded.errors import EmbeddedError, FetchFailedError
from taskmill.embedded.fetching import find_or_fetch, find_present, why_not_fetchable
from taskmill.embedded.postgres import EmbeddedPostgres
from taskmill.embedded.rabbitmq import EmbeddedRabbitMQ
from taskmill.embedded.rabbitmq_programs import RabbitMQPrograms
from taskmill.embedded.role_processes import RoleProcesses
from taskmill.observability import logs
from taskmill.runtime.periodic import Periodic
from taskmill.runtime.services import Service
from taskmill.settings import Settings
from taskmill.storage import faults, migrate
from taskmill.storage.owner import point_at_public
from taskmill.storage.servers import Servers

log = logs.get_logger(__name__)

# In the data folder: the facts of the ready file, for commands that look for a running `up`.
SERVICE_FILE = "service.json"
_WATCH_S = 1.0
_CONNECT_TIMEOUT_S = 10.0


def up(settings: Settings, *, workers: int, ready_file: Path | None) -> int:
    """Run everything until SIGINT or SIGTERM; return the exit status. The data stays.

    Raises:
        ConfigurationError: PostgreSQL can't be started or reached, the port is taken, or there is to be a
            RabbitMQ and none can be had, or the app can't be loaded.
    """
    logs.configure(format=settings.log_format, level=settings.log_level)
    if ready_file is not None:
        # One that a killed run has left would tell of an address where nobody serves.
        ready_file.unlink(missing_ok=True)
    if settings.worker.app is not None:
        check_app(settings.worker.app)
    with ExitStack() as stack:
        url, place, beside = _database(settings, stack)
        # After that: another `up` on the same data is told as such. Before the rest, which takes its time.
        check_address(settings.api.host, settings.api.port)
        _bring_up_to_date(url, is_own=settings.database_url is None)
        own = settings.model_copy(update={"database_url": SecretStr(url)})
        broker = _broker(own, stack)
        if broker.url is not None:
            own = own.model_copy(
                update={"broker_url": SecretStr(broker.url), "broker_starts": True}
            )
        # Admin ports: this process's, the next for webhooks, relay and intake, then one for each worker.
        running = RoleProcesses(own, ["worker"], count=workers, admin_step=2)
        # Stopped before the workers: it is a door, and its hints are of no use to them then.
        doors = ["webhooks", "relay", "intake"] if own.uses_broker else ["webhooks"]
        at_doors = RoleProcesses(own, doors)
        _make_folder(settings.data_dir)
        return composition.run_roles(
            own,
            ["maintenance", "api"],
            ready_files=[settings.data_dir / SERVICE_FILE, *([ready_file] if ready_file else [])],
            beside=[*beside, *broker.services, running, at_doors],
            announce=lambda api_url: _greet(api_url, broker, place),
            on_force_quit=[running.kill, at_doors.kill],
            is_broker_starting=broker.is_starting,
        )


def _make_folder(path: Path) -> None:
    """Make the data folder: where database and broker are somebody else's, nobody has made it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"can't make the data folder {path}: {error.strerror}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Broker:
    """Where the broker is, what looks after it, and what people are told about it."""

    url: str | None = None
    services: Sequence[Service] = ()
    lines: Sequence[str] = ()
    is_starting: Callable[[], bool] = lambda: False


def _broker(settings: Settings, stack: ExitStack) -> _Broker:
    """Choose the broker: the one that was given, else one of our own, else none."""
    if settings.broker == "postgres":
        return _Broker(lines=["  RabbitMQ   not wanted: workers claim from PostgreSQL"])
    if settings.broker_url is not None:
        return _Broker(lines=["  RabbitMQ   the broker that was given"])
    programs = find_present()
    if programs is None and (trouble := why_not_fetchable()):
        if settings.broker == "rabbitmq":
            raise ConfigurationError(str(FetchFailedError(trouble)))
        log.warning("rabbitmq.absent", trouble=trouble, advice=HOW_TO_GET)
        return _Broker(lines=[f"  RabbitMQ   none here: {HOW_TO_GET}"])
    node = EmbeddedRabbitMQ(settings.data_dir / "rabbitmq")
    stack.callback(node.stop)
    try:
        if settings.broker == "rabbitmq":
            programs = find_or_fetch(lambda line: log.info("rabbitmq.fetching", note=line))
        url = node.reserve()
    except EmbeddedError as error:
        raise ConfigurationError(str(error)) from error
    private = PrivateBroker(node, programs)
    return _Broker(
        url=url,
        services=[private],
        lines=_told(node, programs),
        is_starting=lambda: private.is_starting,
    )


def _told(node: EmbeddedRabbitMQ, programs: RabbitMQPrograms | None) -> list[str]:
    """What people are told about our own node; its password only on a terminal."""
    shown = node.amqp_url if sys.stdout.isatty() else node.amqp_url.replace(node.password, "***")
    coming = "" if programs else "  (being fetched: about 66 MB, once)"
    return [
        f"  RabbitMQ   {shown}{coming}",
        f"             {node.management_url} (user and password as in {node.secrets_file})",
    ]


def _database(settings: Settings, stack: ExitStack) -> tuple[str, str, list[Service]]:
    """Return the database's address, in words where the data is, and what looks after it."""
    if settings.database_url is not None:
        return settings.require_database_url(), "the database that was given", []
    folder = settings.data_dir / "postgres"
    try:
        server = stack.enter_context(EmbeddedPostgres(folder))
    except EmbeddedError as error:
        raise ConfigurationError(str(error)) from error
    log.info("postgres.started", version=server.version, folder=str(folder), pid=server.pid)

    async def revive() -> None:
        if server.revive():
            log.error("postgres.revived", pid=server.pid)

    watch = Periodic("postgres", revive, interval_s=_WATCH_S)
    return server.url, str(settings.data_dir.absolute()), [watch]


def _bring_up_to_date(url: str, *, is_own: bool) -> None:
    try:
        applied = asyncio.run(_applied(url, is_own=is_own))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = faults.in_words(error)
        raise ConfigurationError(f"the database can't be reached: {reason}") from error
    if applied is None or applied < migrate.head():
        log.info("schema.migrating", applied=applied, head=migrate.head())
        migrate.upgrade(url)


async def _applied(url: str, *, is_own: bool) -> str | None:
    connection = await Servers(url).connect(timeout_s=_CONNECT_TIMEOUT_S)
    try:
        if is_own and (strangers := await point_at_public(connection)):
            advice = "ALTER TABLE taskmill.NAME SET SCHEMA public"
            log.warning("schema.shared", tables=",".join(strangers), advice=advice)
        return await migrate.applied(connection)
    finally:
        await connection.close()


def _greet(url: str | None, broker: _Broker, place: str) -> None:
    logs.flush()
    lines = (
        f"Taskmill serves at {url}",
        f"  dashboard  {url}/",
        f'  try it     curl -X POST {url}/tasks -d \'{{"name": "first"}}\'',
        f"  Swagger    {url}/docs",
        *broker.lines,
        f"  data       {place}",
        "Ctrl-C stops it; the data stays.",
    )
    try:
        sys.stdout.write(os.linesep.join(("", *lines, "", "")))
        sys.stdout.flush()
    except (
        OSError
    ):  # nobody reads it, or the disk is full: what was told is in the log and the ready file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
