"""Puts a process together: settings in, running roles out. The only package that knows all others.

It decides nothing about tasks; it chooses implementations, connects them, and starts and stops them in order.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

import uvloop

from taskmill.amqp.connection import expect_start
from taskmill.app.loading import load_app
from taskmill.app.registry import Taskmill
from taskmill.composition.announcement import Announcement
from taskmill.composition.creation import intake_services
from taskmill.composition.maintenance import maintenance_services
from taskmill.composition.process import API_GRACE_S, Process
from taskmill.composition.process_report import ProcessReport
from taskmill.composition.server_watch import server_watch
from taskmill.composition.unused_resources import unused_releaser
from taskmill.composition.workers import worker_services
from taskmill.domain.errors import ConfigurationError, TaskmillError
from taskmill.observability import kinds, logs
from taskmill.observability.log_file import LogFile
from taskmill.observability.metrics import BUILD
from taskmill.runtime.certificates import check_certificate
from taskmill.runtime.loop_lag import LoopLag
from taskmill.runtime.services import Service, run_services
from taskmill.runtime.signals import stop_on_signal
from taskmill.settings import Settings
from taskmill.settings.auth import check_auth
from taskmill.version import VERSION

ROLES = ("api", "worker", "relay", "intake", "webhooks", "maintenance")

# After the start all objects are frozen, and the young generation is collected rarely: with the default thresholds
# the p99 of POST /tasks was five times as long.
_GC_THRESHOLDS = (50_000, 20, 100)
_MOST_NAMED = 20
# What a service gets beyond its own grace time before it is cancelled.
_STOP_MARGIN_S = 5.0


class Supervisor(Protocol):
    """Supervises processes that do the work of this one. `url` is where they serve, None when they don't."""

    started: asyncio.Event
    url: str | None

    def trouble(self) -> str | None:
        """Return why they are not ready, or None."""
        ...


def run_roles(
    settings: Settings,
    roles: Sequence[str],
    *,
    ready_files: Sequence[Path] = (),
    beside: Sequence[Service] = (),
    announce: Callable[[str | None], None] = lambda _: None,
    supervisor: Supervisor | None = None,
    on_force_quit: Sequence[Callable[[], None]] = (),
    is_broker_starting: Callable[[], bool] = lambda: False,
    facts: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Run roles in this process until SIGINT or SIGTERM; return the exit status.

    Services `beside` them start before the entry points open and stop after these have closed. `announce` gets
    the API's address (None without an API) when everything serves; a `supervisor` reports whether processes beside
    this one do, and counts for this one's readiness. `on_force_quit` is called before a second Ctrl-C ends it.
    `is_broker_starting` is whether the embedded broker is still to come; `facts` are for the ready files.

    Raises:
        ConfigurationError: an unknown role, no database, an old schema, a taken port, an unusable log file or
            certificate.
    """
    if unknown := set(roles) - set(ROLES):
        raise ConfigurationError(f"unknown role {min(unknown)!r}: the roles are {', '.join(ROLES)}")
    settings.require_database_url()
    configure_logs(settings)
    for file in ready_files:
        file.unlink(missing_ok=True)
    if "api" in roles:
        check_auth(settings)
        check_certificate(settings.api)
    app = None
    if "worker" in roles and settings.worker.app is not None:
        # Outside of an event loop: its modules may run one of their own when they are imported.
        app = load_app(settings.worker.app)
    announcement = Announcement(ready_files, announce, supervisor, is_broker_starting, facts)
    checks = {"processes": supervisor.trouble} if supervisor else {}
    unwritten: list[UUID] = []
    try:
        uvloop.run(
            _run(
                settings,
                roles,
                app,
                beside,
                announcement,
                checks=checks,
                on_force_quit=on_force_quit,
                unwritten=unwritten,
            )
        )
    except* TaskmillError as group:
        raise _first(group) from group
    finally:
        logs.flush()
        _report_unwritten(unwritten)
    return 0


def configure_logs(settings: Settings) -> None:
    """Send this process's log lines where the settings say.

    Raises:
        ConfigurationError: the log file can't be opened.
    """
    path, limits = settings.log_file.path, settings.log_file
    file = LogFile(path, max_bytes=limits.max_bytes, files=limits.files) if path else None
    try:
        if file is not None:
            file.open()
    except OSError as error:
        raise ConfigurationError(f"can't open the log file {path}: {error.strerror}") from error
    logs.configure(format=settings.log_format, level=settings.log_level, file=file)


def _report_unwritten(task_ids: Sequence[UUID]) -> None:
    """Print at the very end which results are lost, for those who read no log."""
    if not task_ids:
        return
    named = ", ".join(map(str, task_ids[:_MOST_NAMED]))
    more = f" and {len(task_ids) - _MOST_NAMED} more" if len(task_ids) > _MOST_NAMED else ""
    sys.stderr.write(
        f"Stopped before {len(task_ids)} results could be written, as the database took none: "
        f"these tasks will run again, unless that is their last attempt: {named}{more}\n"
    )
    sys.stderr.flush()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _run(
    settings: Settings,
    roles: Sequence[str],
    app: Taskmill | None,
    beside: Sequence[Service],
    announcement: Announcement,
    *,
    checks: Mapping[str, Callable[[], str | None]],
    on_force_quit: Sequence[Callable[[], None]],
    unwritten: list[UUID],
) -> None:
    _describe_process(settings, roles)
    with stop_on_signal(on_force_quit) as stop:
        async with AsyncExitStack() as stack:
            process = await Process.start(settings, stack, stop)
            process.app = app
            process.unwritten = unwritten
            process.is_broker_starting = announcement.is_broker_starting
            # Stopped from the last to the first: the entry points close, then workers drain.
            services: list[Service] = [
                *process.watch(roles, is_front=announcement.is_front),
                *process.admin(roles, stop, checks),
                process.clock_setter(),
                unused_releaser(process),
                *server_watch(process.databases),
                LoopLag(),
            ]
            if "maintenance" in roles:
                services += maintenance_services(process)
            services += beside
            if "worker" in roles:
                services += worker_services(process, stop.set)
            if "relay" in roles:
                services += process.relay()
            if "webhooks" in roles:
                services += process.webhooks()
            if "intake" in roles:
                services += intake_services(process, serves_api="api" in roles)
            if "api" in roles:
                services += await process.api(stack)
            services[:0] = process.notifiers()
            services.insert(0, _report_of(process, roles, services))
            _tune_garbage_collection()
            announcement.process = process
            services.append(announcement)
            await run_services(services, stop, grace_s=longest_stop_s(settings) + _STOP_MARGIN_S)


def _report_of(
    process: Process, roles: Sequence[str], services: Sequence[Service]
) -> ProcessReport:
    return ProcessReport(
        process.database,
        process.clock,
        process.ids(),
        process_name=process.settings.worker.name,
        roles=roles,
        services=services,
    )


def _describe_process(settings: Settings, roles: Sequence[str]) -> None:
    """Set the metrics that describe this process, and the bound on their labels."""
    # Imported here: finding the version takes as long as starting Python.

    kinds.bound(settings.metrics.kinds)
    if settings.broker_starts:
        expect_start()
    BUILD.labels(VERSION, ",".join(sorted(roles))).set(1)


def longest_stop_s(settings: Settings) -> float:
    """Return how long a service may take to stop: the slowest are a worker and an API with a stop delay."""
    return max(settings.worker.longest_stop_s, settings.api.stop_delay_s + API_GRACE_S)


def _tune_garbage_collection() -> None:
    # Not collected before: what a start leaves is little (2,000 objects, 2026-11-29), and finding it takes 0.1 s.
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    gc.enable()
