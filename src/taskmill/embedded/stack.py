"""`taskmill up`: PostgreSQL, RabbitMQ, migrations, API and maintenance; processes of workers and other roles.

Each worker is a process of its own, so that handlers never slow the API, and the end of one does not affect the
others; webhooks, relay and intake share one. They are forked where possible. It starts and stops things;
`composition` puts them together.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from taskmill import composition
from taskmill.app.loading import check_app
from taskmill.domain.errors import ConfigurationError
from taskmill.embedded.admin_key import ensure_admin_key
from taskmill.embedded.broker import HOW_TO_GET, PrivateBroker
from taskmill.embedded.errors import EmbeddedError, FetchFailedError
from taskmill.embedded.fetching import find_or_fetch, find_present, why_not_fetchable
from taskmill.embedded.forked import Assignment, ForkedProcess, fork_processes
from taskmill.embedded.logins import Logins
from taskmill.embedded.name_indexing import NameIndexing
from taskmill.embedded.postgres import EmbeddedPostgres
from taskmill.embedded.rabbitmq import EmbeddedRabbitMQ
from taskmill.embedded.rabbitmq_programs import RabbitMQPrograms
from taskmill.embedded.role_processes import RoleProcesses
from taskmill.embedded.secret_encryption import SecretEncryption, encrypt_stored
from taskmill.observability import logs
from taskmill.runtime.certificates import check_certificate
from taskmill.runtime.periodic import Periodic
from taskmill.runtime.services import Service
from taskmill.settings import Settings
from taskmill.settings.auth import check_auth, requires_keys
from taskmill.storage import faults, migrate, roles
from taskmill.storage.key_file import NAME as SECRETS_KEY, make_key_file
from taskmill.storage.keyring import Keyring
from taskmill.storage.owner import point_at_public
from taskmill.storage.rights import APP, MAINTENANCE
from taskmill.storage.servers import Servers
from taskmill.storage.session import open_command_session

log = logs.get_logger(__name__)

# In the data folder, with the contents of the ready file, for commands that look for a running `up`.
SERVICE_FILE = "service.json"
# There, too: all log lines, those of the other processes included.
LOG_FILE = "taskmill.log"
_WATCH_S = 1.0
_CONNECT_TIMEOUT_S = 10.0


def up(
    settings: Settings, *, workers: int, ready_file: Path | None, load: Callable[[], Settings]
) -> int:
    """Run everything until SIGINT or SIGTERM; return the exit status. The data stays.

    `load` reads the settings of a process that was forked, when its environment is complete.

    Raises:
        ConfigurationError: The API would be open to all by mistake, PostgreSQL can't be started or reached, the
            port is taken, there is to be a RabbitMQ and none can be had, or the app can't be loaded.
    """
    # The workers, the one for the other roles, and one that migrates if need be.
    forked = fork_processes(workers + 2)
    if isinstance(forked, Assignment):
        return _carry_out(forked, load())
    check_auth(settings)
    _make_folder(settings.data_dir)
    if settings.log_file.path is None:
        file = settings.log_file.model_copy(
            update={"path": settings.data_dir.absolute() / LOG_FILE}
        )
        settings = settings.model_copy(update={"log_file": file})
    composition.configure_logs(settings)
    if ready_file is not None:
        # One left by a killed run would name an address where nothing serves.
        ready_file.unlink(missing_ok=True)
    if settings.worker.app is not None:
        check_app(settings.worker.app)
    ready_files = [settings.data_dir / SERVICE_FILE, *([ready_file] if ready_file else [])]
    with ExitStack() as stack:
        return _serve(settings, stack, workers, forked, ready_files)


def _carry_out(assignment: Assignment, settings: Settings) -> int:
    """Do what a forked process is for; return its exit status."""
    if assignment.roles:
        ready_files = [assignment.ready_file]
        return composition.run_roles(settings, assignment.roles, ready_files=ready_files)
    url = settings.require_database_url()
    migrate.upgrade(url)
    if assignment.encrypts:
        # If it fails, the parent tries again, and reports it.
        with suppress(Exception):
            keyring = Keyring.read(settings.secrets_key_file)
            asyncio.run(encrypt_stored(url, settings.database, keyring))
    return 0


def _serve(
    settings: Settings,
    stack: ExitStack,
    workers: int,
    forked: Sequence[ForkedProcess],
    ready_files: Sequence[Path],
) -> int:
    url, location, beside = _database(settings, stack)
    logins = None if settings.database_url else Logins.read(settings.data_dir / "postgres", url)
    # After the database, so that another `up` on the same data is reported as such; before what takes longer.
    _check_address(settings)
    settings = _with_key_file(settings)
    _migrate(url, logins, settings.secrets_key_file, migrator=forked[-1] if forked else None)
    own = settings if logins is None else _with_logins(settings, logins)
    key_file = ensure_admin_key(_as_owner(settings, url)) if requires_keys(settings) else None
    has_greeted = asyncio.Event()
    name_indexing = NameIndexing(
        url, is_wanted=settings.database.name_index, start_after=has_greeted
    )
    # Others may use a database that was given, and have to get the key before `taskmill secrets encrypt`.
    encryption = (
        [SecretEncryption(url, own, start_after=has_greeted)]
        if settings.database_url is None
        else []
    )
    broker = _broker(own, stack, start_after=has_greeted)
    if broker.url is not None:
        own = own.model_copy(update={"broker_url": SecretStr(broker.url), "broker_starts": True})
    # Admin ports: this process's, the next for webhooks, relay and intake, then one for each worker.
    worker_processes = RoleProcesses(own, ["worker"], count=workers, admin_step=2)
    # Stopped before the workers: intake is an entry point, and the relay's hints are useless from then on.
    others = ["webhooks", "relay", "intake"] if own.uses_broker else ["webhooks"]
    other_process = RoleProcesses(own, others)
    worker_processes.start(forked[:workers])
    other_process.start(forked[workers : workers + 1])

    def greet(api_url: str | None) -> None:
        _greet(api_url, broker, location, settings.log_file.path, key_file)
        has_greeted.set()

    return composition.run_roles(
        own,
        ["maintenance", "api"],
        ready_files=ready_files,
        beside=[
            *beside,
            *broker.services,
            worker_processes,
            other_process,
            name_indexing,
            *encryption,
        ],
        announce=greet,
        on_force_quit=[worker_processes.kill, other_process.kill],
        is_broker_starting=broker.is_starting,
        facts={} if logins is None else _facts(logins),
    )


def _with_logins(settings: Settings, logins: Logins) -> Settings:
    """Return the settings of the processes: none of them connects as the superuser."""
    url = SecretStr(logins.url(MAINTENANCE))
    maintenance = settings.maintenance.model_copy(update={"database_url": url})
    return settings.model_copy(
        update={"database_url": SecretStr(logins.url(APP)), "maintenance": maintenance}
    )


def _as_owner(settings: Settings, url: str) -> Settings:
    """Return the settings with the login that migrates."""
    return settings.model_copy(update={"database_url": SecretStr(url)})


def _facts(logins: Logins) -> dict[str, str]:
    """Return the addresses for the ready files. The first one is for people, who may have tables of their own."""
    return {
        "database_url": logins.superuser_url,
        "app_database_url": logins.url(APP),
        "maintenance_database_url": logins.url(MAINTENANCE),
    }


def _with_key_file(settings: Settings) -> Settings:
    """Return the settings with a key file for stored secrets, which is made for a database of our own.

    Others may use a database that was given: they would not have the key.
    """
    if settings.secrets_key_file is not None or settings.database_url is not None:
        return settings
    path = settings.data_dir.absolute() / SECRETS_KEY
    make_key_file(path)
    return settings.model_copy(update={"secrets_key_file": path})


def _check_address(settings: Settings) -> None:
    # Imported here: it takes 0.5 s, and the forked processes need not wait for it.
    from taskmill.api.server import check_address  # noqa: PLC0415

    check_certificate(settings.api)
    check_address(settings.api.host, settings.api.port)


def _make_folder(path: Path) -> None:
    """Make the data folder: nothing else has, when neither database nor broker is embedded."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"can't make the data folder {path}: {error.strerror}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Broker:
    """The broker's address, its services, and its lines of the greeting."""

    url: str | None = None
    services: Sequence[Service] = ()
    lines: Sequence[str] = ()
    is_starting: Callable[[], bool] = lambda: False


def _broker(settings: Settings, stack: ExitStack, *, start_after: asyncio.Event) -> _Broker:
    """Choose the broker: the one that was given, else an embedded one that starts after an event, else none."""
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
    private = PrivateBroker(node, programs, start_after=start_after)
    return _Broker(
        url=url,
        services=[private],
        lines=_node_lines(node, programs),
        is_starting=lambda: private.is_starting,
    )


def _node_lines(node: EmbeddedRabbitMQ, programs: RabbitMQPrograms | None) -> list[str]:
    """The lines of the greeting about the embedded node, which name the file of its password."""
    shown = node.amqp_url.replace(node.password, "***")
    coming = "" if programs else "  (being fetched: about 66 MB, once)"
    return [
        f"  RabbitMQ   {shown}{coming}",
        f"             {node.management_url} (user and password as in {node.secrets_file})",
    ]


def _database(settings: Settings, stack: ExitStack) -> tuple[str, str, list[Service]]:
    """Return the database's address, a description of where the data is, and the services for it."""
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


def _migrate(
    url: str, logins: Logins | None, key_file: Path | None, *, migrator: ForkedProcess | None
) -> None:
    """Bring the database to our schema, and the roles of the embedded one to their rights."""
    try:
        applied, has_roles = asyncio.run(_state(url, logins))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = faults.in_words(error)
        raise ConfigurationError(f"the database can't be reached: {reason}") from error
    is_old = applied is None or applied < migrate.head()
    if is_old:
        log.info("schema.migrating", applied=applied, head=migrate.head())
        # Of a database that was given, others may lack the key.
        is_new = applied is None and logins is not None
        _upgrade(url, migrator, key_file if is_new else None)
    elif migrator is not None:
        migrator.discard()
    if logins is None:
        if is_old:
            asyncio.run(roles.renew(url))
    elif is_old or not has_roles:
        asyncio.run(roles.apply(url, logins.passwords, see_all_sessions=True))
        logins.save()


def _upgrade(url: str, migrator: ForkedProcess | None, key_file: Path | None) -> None:
    """Migrate in a process that was forked for it, and encrypt with a new database's key file.

    What both import would stay in memory here. Without such a process, secrets are encrypted after the start.
    """
    if migrator is None:
        migrate.upgrade(url)
        return
    environment = {"TASKMILL_DATABASE_URL": url}
    if key_file is not None:
        environment["TASKMILL_SECRETS_KEY_FILE"] = str(key_file)
    migrator.start(Assignment(encrypts=key_file is not None), environment)
    status = asyncio.run(migrator.wait())
    if status < 0:
        raise ConfigurationError(f"the migration was ended by signal {-status}")
    if status:
        sys.exit(status)  # it has printed why


async def _state(url: str, logins: Logins | None) -> tuple[str | None, bool]:
    """Return the newest migration that the database has, and whether our processes can log in with their roles."""
    connection = await open_command_session(Servers(url), timeout_s=_CONNECT_TIMEOUT_S)
    try:
        if logins is not None and (foreign_tables := await point_at_public(connection)):
            advice = "ALTER TABLE taskmill.NAME SET SCHEMA public"
            log.warning("schema.shared", tables=",".join(foreign_tables), advice=advice)
        applied = await migrate.applied(connection)
        has_logins = logins is not None and logins.are_saved
        return applied, has_logins and await roles.are_ready(connection)
    finally:
        await connection.close()


def _key_lines(url: str | None, key_file: Path) -> tuple[str, ...]:
    log_in = f"TASKMILL_API_KEY_FILE={key_file} taskmill dashboard --url {url} --open"
    return f"  API key    in {key_file}", f"  log in     {log_in}"


def _greet(
    url: str | None, broker: _Broker, location: str, log_file: Path | None, key_file: Path | None
) -> None:
    logs.flush()
    key = f'-H "Authorization: Bearer $(cat {key_file})" ' if key_file else ""
    lines = (
        f"Taskmill serves at {url}",
        f"  dashboard  {url}/",
        f'  try it     curl {key}-X POST {url}/tasks -d \'{{"name": "first"}}\'',
        f"  Swagger    {url}/docs",
        *broker.lines,
        *(_key_lines(url, key_file) if key_file else ()),
        f"  data       {location}",
        f"  log        {log_file}",
        "Ctrl-C stops it; the data stays.",
    )
    try:
        sys.stdout.write(os.linesep.join(("", *lines, "", "")))
        sys.stdout.flush()
    except (
        OSError
    ):  # nothing reads it, or the disk is full: the log and the ready file have the same facts
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
