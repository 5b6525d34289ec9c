"""Puts a process together: settings in, running roles out. The only place that knows all parts.

It decides nothing about tasks; it chooses implementations, hands them to each other, and starts and stops
them in order.
"""

import asyncio
import gc
import os
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import uvloop

from taskmill.amqp.names import HINT_TTL_S
from taskmill.domain.errors import ConfigurationError, TaskmillError, Unavailable
from taskmill.domain.retry import RetryPolicy
from taskmill.maintenance.expiry import expire_waiting
from taskmill.maintenance.rescue import Rescue
from taskmill.maintenance.retention import Housekeeping, number_changes
from taskmill.observability import logs
from taskmill.operations import broker
from taskmill.operations.broker import NO_BROKER, BrokerWatch
from taskmill.operations.create import TaskCreation
from taskmill.operations.queues import KnownQueues
from taskmill.operations.read import TaskReading
from taskmill.operations.service import TaskService
from taskmill.operations.system import readiness
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.ids import IdFactory
from taskmill.runtime.periodic import Periodic, pause
from taskmill.runtime.services import Service, run_services
from taskmill.runtime.signals import stop_on_signal
from taskmill.settings import Settings
from taskmill.storage import counts, partitions
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.doorbell import Doorbell, DoorbellListener
from taskmill.storage.leases import WorkerCard
from taskmill.transports.postgres import PostgresTransport
from taskmill.worker.emulation import Emulation, Profile
from taskmill.worker.finishing import Finishing
from taskmill.worker.handlers import Handlers
from taskmill.worker.lease import LeaseKeeper
from taskmill.worker.loop import Worker

if TYPE_CHECKING:
    from taskmill.amqp.connection import BrokerLink
    from taskmill.api.server import ApiServer

ROLES = ("api", "worker", "maintenance")

log = logs.get_logger(__name__)

# After the start everything that lives is frozen, and young garbage is looked at rarely: with the default
# thresholds the p99 of POST /tasks was five times as long.
_GC_THRESHOLDS = (50_000, 20, 100)
_HOUSEKEEPING_S = 60.0
_EXPIRY_S = 0.5
_CLOCK_S = 60.0
# What a service gets beyond its own grace time before it is cancelled.
_STOP_MARGIN_S = 5.0
_WAIT_FOR_DATABASE_S = 30.0


def run_roles(
    settings: Settings,
    roles: Sequence[str],
    *,
    ready_files: Sequence[Path] = (),
    beside: Sequence[Service] = (),
    announce: Callable[[str | None], None] = lambda _: None,
) -> int:
    """Run roles in this process until SIGINT or SIGTERM; return the exit status.

    Services `beside` them start before the doors open and stop after these have closed. `announce` gets
    the API's address (None without an API) when everything serves.

    Raises:
        ConfigurationError: an unknown role, no database, an old schema, a taken port.
    """
    if unknown := set(roles) - set(ROLES):
        raise ConfigurationError(f"unknown role {min(unknown)!r}: the roles are {', '.join(ROLES)}")
    settings.require_database_url()
    logs.configure(format=settings.log_format, level=settings.log_level)
    for file in ready_files:
        file.unlink(missing_ok=True)
    try:
        uvloop.run(_run(settings, roles, beside, _Announcement(ready_files, announce)))
    except* TaskmillError as group:
        raise _first(group) from group
    finally:
        logs.flush()
    return 0


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def rebuild_broker(settings: Settings) -> int:
    """Have every waiting task released to the broker anew; return how many had been released.

    Raises:
        ConfigurationError: no database is set.
        Unavailable: the database is away; some may be done.
    """
    url = settings.require_database_url()

    async def rebuild() -> int:
        database = Database(url, settings.database)
        try:
            return await broker.forget_releases(database)
        finally:
            await database.close()

    return asyncio.run(rebuild())


async def _run(
    settings: Settings,
    roles: Sequence[str],
    beside: Sequence[Service],
    announcement: "_Announcement",
) -> None:
    with stop_on_signal() as stop:
        async with AsyncExitStack() as stack:
            process = await Process.start(settings, stack, stop)
            # Stopped from the last to the first: the doors close, then workers drain.
            services: list[Service] = [
                *process.watch(roles),
                *process.admin(stop),
                process.clock_setter(),
            ]
            if "maintenance" in roles:
                services += process.maintenance()
            services += beside
            if "worker" in roles:
                services += process.worker()
            if "api" in roles:
                services += await process.api(stack)
            _tune_garbage_collection()
            announcement.process = process
            services.append(announcement)
            await run_services(services, stop, grace_s=settings.worker.grace_s + _STOP_MARGIN_S)


def _tune_garbage_collection() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


class Process:
    """What the roles of one process share: database, clock, ids, randomness."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.randomness = random.Random()  # noqa: S311 - ids and jitter, no secrets
        self.ids = IdFactory(self.clock, self.randomness)
        self.database = Database(settings.require_database_url(), settings.database)
        self.server: ApiServer | None = None
        self.broker_link: BrokerLink | None = None

    @classmethod
    async def start(
        cls, settings: Settings, stack: AsyncExitStack, stop: asyncio.Event
    ) -> "Process":
        """Wait for the database, check its schema, set the clock by it and make partitions.

        Raises:
            ConfigurationError: the database did not answer in time, or has not the schema that this program needs.
            Unavailable: the database did not answer before `stop`.
        """
        process = cls(settings)
        stack.push_async_callback(process.database.close)
        await process._await_schema(stop)
        moment = await process.database.anchor(process.clock)
        try:
            await partitions.ensure(process.database, moment)
        except Unavailable as error:
            # Somebody holds a lock, as a backup does: until it is over the DEFAULT partition takes the tasks.
            log.warning("partition.delayed", error=repr(error.__cause__))
        return process

    async def _await_schema(self, stop: asyncio.Event) -> None:
        give_up_at = self.clock.monotonic() + _WAIT_FOR_DATABASE_S
        while True:
            state = await readiness(self.database)
            if state.is_ready:
                return
            if trouble := state.parts["schema"]:
                raise ConfigurationError(trouble)
            if stop.is_set():
                raise Unavailable(RETRY_AFTER_S, "the database")
            if self.clock.monotonic() > give_up_at:
                raise ConfigurationError(f"the database can't be reached: {state.cause}")
            log.warning("database.awaited", trouble=state.cause)
            await pause(stop, 1)

    def clock_setter(self) -> Service:
        """Return the service that keeps this process's clock by PostgreSQL's, however long the machine slept."""

        async def anchor() -> None:
            await self.database.anchor(self.clock)

        return Periodic("clock", anchor, interval_s=_CLOCK_S)

    def admin(self, stop: asyncio.Event) -> list[Service]:
        """Return the service of the admin port, if one is set; while the process stops it says so."""
        settings = self.settings
        if settings.admin_port is None:
            return []
        # Here, because the web server takes 0.1 s to import, and most workers do without it.
        from taskmill.admin.app import AdminApp  # noqa: PLC0415
        from taskmill.admin.server import AdminServer  # noqa: PLC0415

        app = AdminApp(
            lambda: readiness(self.database, self.broker_watch()), is_stopping=stop.is_set
        )
        return [AdminServer(app, host=settings.admin_host, port=settings.admin_port)]

    def watch(self, roles: Sequence[str]) -> list[Service]:
        """Return a connection to the broker for those who tell of it: the API, and an admin port."""
        settings = self.settings
        is_told = "api" in roles or settings.admin_port is not None
        if not (settings.uses_broker and is_told):
            return []
        # Here, because the driver takes 0.1 s to import, and who has no broker does without it.
        from taskmill.amqp.connection import BrokerLink  # noqa: PLC0415

        self.broker_link = BrokerLink(settings.require_broker_url(), name="watch")
        return [self.broker_link]

    def broker_watch(self) -> BrokerWatch:
        """Return how this process sees the broker."""
        link, policy = self.broker_link, self.settings.broker
        if link is None:
            return replace(NO_BROKER, policy=policy)
        return BrokerWatch(
            policy=policy, hint_life=timedelta(seconds=HINT_TTL_S), trouble=lambda: link.trouble
        )

    async def api(self, stack: AsyncExitStack) -> list[Service]:
        """Return the services of the API role."""
        # Here, because the web framework takes 0.3 s to import, and workers do without it.
        from taskmill.api.app import create_app  # noqa: PLC0415
        from taskmill.api.server import ApiServer  # noqa: PLC0415

        settings = self.settings
        doorbell = Doorbell(self.database)
        creation = TaskCreation(
            self.database,
            clock=self.clock,
            ids=self.ids,
            queues=KnownQueues(self.database, limit=settings.limits.queues),
            doorbell=doorbell,
            key_validity=timedelta(days=settings.retention.idempotency_days),
        )
        service = TaskService(
            self.database,
            creation,
            TaskReading(self.database),
            broker=self.broker_watch(),
        )
        await stack.enter_async_context(service)
        helper = _Drainer(self)
        app = create_app(service, settings=settings, drain=helper.drain)
        self.server = ApiServer(app, host=settings.api.host, port=settings.api.port)
        return [doorbell, helper, self.server]

    def worker(self) -> list[Service]:
        """Return the services of the worker role."""
        transport, worker = self.make_worker(self.settings.worker.name)
        return [DoorbellListener(self.database, transport.wake), worker]

    def make_worker(
        self, name: str, *, until_idle: bool = False
    ) -> tuple[PostgresTransport, Worker]:
        """Return a worker and its transport; one `until_idle` ends when nothing is due."""
        settings = self.settings
        handlers = self._handlers()
        transport = PostgresTransport(
            self.database,
            worker=name,
            queues=settings.worker.queues,
            accepts=handlers.accepts,
            poll_s=settings.worker.poll_s,
            clock=self.clock,
            randomness=self.randomness,
        )
        card = WorkerCard(
            name=name,
            queues=settings.worker.queues,
            types=list(handlers.types),
            slots=settings.worker.concurrency,
        )
        worker = Worker(
            self.database,
            worker=name,
            transport=transport,
            keeper=LeaseKeeper(
                self.database,
                card,
                ttl_s=settings.lease.ttl_s,
                ids=IdFactory(self.clock, random.Random()),  # noqa: S311 - for its thread alone
                clock=self.clock,
            ),
            finishing=Finishing(
                self.database,
                worker=name,
                policy=self._retry_policy(),
                clock=self.clock,
                randomness=self.randomness,
                batch_size=settings.worker.claim_size,
            ),
            handlers=handlers,
            clock=self.clock,
            slots=settings.worker.concurrency,
            claim_size=settings.worker.claim_size,
            grace_s=settings.worker.grace_s,
            result_bytes=settings.limits.result_bytes,
            until_idle=until_idle,
        )
        return transport, worker

    def _handlers(self) -> Handlers:
        emulation = self.settings.emulation
        profile = Profile(
            delay_min_s=emulation.delay_min_s,
            delay_max_s=emulation.delay_max_s,
            failure_probability=emulation.failure_probability,
        )
        handler = Emulation(profile, self.randomness)
        return Handlers(dict.fromkeys(("emulate", *emulation.types), handler))

    def _retry_policy(self) -> RetryPolicy:
        retry = self.settings.retry
        return RetryPolicy(
            base=timedelta(seconds=retry.base_s),
            factor=retry.factor,
            maximum=timedelta(seconds=retry.max_s),
            jitter=retry.jitter,
        )

    def maintenance(self) -> list[Service]:
        """Return the services of the maintenance role."""
        settings, database = self.settings, self.database
        interval_s = settings.maintenance.interval_s
        rescue = Rescue(
            database,
            ttl_s=settings.lease.ttl_s,
            interval_s=interval_s,
            name=f"rescue@{settings.worker.name}",
            clock=self.clock,
        )
        housekeeping = Housekeeping(
            database,
            clock=self.clock,
            keep_tasks=timedelta(days=settings.retention.tasks_days),
            keep_changes=timedelta(days=settings.retention.change_days),
        )
        return [
            Periodic("rescue", rescue, interval_s=interval_s),
            Periodic("expiry", lambda: expire_waiting(database), interval_s=_EXPIRY_S),
            Periodic("fold-counts", lambda: counts.fold(database), interval_s=interval_s),
            Periodic("number-changes", lambda: number_changes(database), interval_s=interval_s),
            Periodic("housekeeping", housekeeping, interval_s=_HOUSEKEEPING_S),
        ]


class _Drainer:
    """Starts a worker for what waits when the earlier service's address asks for one; one at a time."""

    name = "drainer"

    def __init__(self, process: Process) -> None:
        self._process = process
        self._asked = asyncio.Event()

    def drain(self) -> None:
        """Start a worker soon, unless one that was started so still works."""
        self._asked.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run one worker after the other, as asked."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._end(stop))
            while not stop.is_set():
                await self._asked.wait()
                self._asked.clear()
                if not stop.is_set():
                    name = f"{self._process.settings.worker.name}-drain"
                    _, worker = self._process.make_worker(name, until_idle=True)
                    await worker.run(stop)

    async def _end(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._asked.set()


class _Announcement:
    """Tells, once everything serves, where the API is: in the log, the ready files and to whoever asked."""

    name = "announcement"
    process: Process

    def __init__(self, ready_files: Sequence[Path], announce: Callable[[str | None], None]) -> None:
        self._ready_files = ready_files
        self._announce = announce

    async def run(self, stop: asyncio.Event) -> None:
        """Announce, then wait; the ready files are taken away at the end."""
        server = self.process.server
        if server is not None:
            await server.started.wait()
        url = server.url if server else None
        log.info("process.ready", url=url, pid=os.getpid())
        for file in self._ready_files:
            _write_ready_file(file, self.process.settings, url)
        self._announce(url)
        await stop.wait()
        for file in self._ready_files:
            file.unlink(missing_ok=True)


def _write_ready_file(path: Path, settings: Settings, url: str | None) -> None:
    """Write it whole or not at all: whoever waits for it reads it as soon as it is there."""
    facts = {
        "url": url,
        "amqp_url": settings.broker_url.get_secret_value() if settings.broker_url else None,
        "database_url": settings.require_database_url(),
        "pid": os.getpid(),
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_bytes(orjson.dumps(facts, option=orjson.OPT_APPEND_NEWLINE))
    draft.replace(path)
