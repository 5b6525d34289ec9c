"""Processes of roles beside `taskmill up`: started, started again when they die, stopped in order.

They end with their parent (on Linux the kernel ensures that), and do not get the terminal's Ctrl-C: they are asked
to stop in their order.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from taskmill import composition
from taskmill.app.loading import check_app
from taskmill.embedded.forked import Assignment, ForkedProcess
from taskmill.embedded.programs import end_with_parent
from taskmill.observability.logs import get_logger
from taskmill.runtime.certificates import check_certificate
from taskmill.runtime.http_server import url_of
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.settings import Settings
from taskmill.settings.auth import check_auth
from taskmill.settings.values import shown

log = get_logger(__name__)

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
# One that ran this long counts as healthy: the next start begins without a pause again.
_HEALTHY_AFTER_S = 30.0
_STOP_MARGIN_S = 3.0
_POLL_S = 0.05


def run_beside(
    settings: Settings, roles: Sequence[str], *, processes: int, ready_files: Sequence[Path]
) -> int:
    """Supervise `processes` processes of these roles until SIGINT or SIGTERM; return the exit status.

    Those of the API share one port.

    Raises:
        ConfigurationError: no database, or one with an old schema; the app can't be loaded; the port is taken.
    """
    if settings.worker.app is not None:
        check_app(settings.worker.app)
    with ExitStack() as stack:
        url = None
        if "api" in roles:
            # Imported here: a supervisor of workers does not need the API.
            from taskmill.api.server import share_address  # noqa: PLC0415

            check_auth(settings)
            check_certificate(settings.api)
            address = stack.enter_context(share_address(settings.api.host, settings.api.port))
            url = url_of(address, is_secure=settings.api.tls_cert is not None)
            port = address.getsockname()[1]
            api = settings.api.model_copy(update={"port": port, "reuse_port": True})
            settings = settings.model_copy(update={"api": api})
        running = RoleProcesses(settings, roles, count=processes, url=url)
        return composition.run_roles(
            settings,
            [],
            ready_files=ready_files,
            beside=[running],
            supervisor=running,
            on_force_quit=[running.kill],
        )


class _Process(Protocol):
    """A child process: asyncio's, or a forked one."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, signal: int, /) -> None: ...

    async def wait(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Readiness:
    """The file that a process writes when it is ready, in a folder that goes with its start."""

    folder: TemporaryDirectory[str] = field(
        default_factory=lambda: TemporaryDirectory(prefix="taskmill-", ignore_cleanup_errors=True)
    )

    @property
    def file(self) -> Path:
        return Path(self.folder.name) / "ready"


class RoleProcesses:
    """A service of `count` processes, each `taskmill run ROLE...` with the settings of this one.

    If an admin port is set, it is this process's; the first of them has the one `admin_step` above it, the second
    the next, and so on. 0 stays 0: each picks a free one. `started` is set when all are ready for the first time;
    `url` is where they serve, None when they don't.
    """

    def __init__(
        self,
        settings: Settings,
        roles: Sequence[str],
        *,
        count: int = 1,
        admin_step: int = 1,
        url: str | None = None,
    ) -> None:
        self.name = f"{'-'.join(roles)}-processes"
        self.url = url
        self.started = asyncio.Event()
        self._settings = settings
        self._roles = roles
        self._count = count
        self._admin_step = admin_step
        self._ready = set[int]()
        self._running = set[_Process]()
        self._started = dict[int, tuple[_Process, _Readiness]]()

    def start(self, forked: Sequence[ForkedProcess]) -> None:
        """Start forked processes at once, as the first ones of this service."""
        for number, process in enumerate(forked, 1):
            readiness = _Readiness()
            assignment = Assignment(roles=self._roles, ready_file=readiness.file)
            process.start(assignment, self._overrides(number))
            self._started[number] = process, readiness

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the processes running until stopped, then wait until they have ended in order."""
        async with asyncio.TaskGroup() as group:
            for number in range(1, self._count + 1):
                group.create_task(self._keep_running(number, stop))

    def trouble(self) -> str | None:
        """Return that too few are ready, or None: all of them are needed at the start, and later one.

        A roll-out goes on when all of them run. Later the others do the work of one that is restarted, which they
        could not if this process counted as not ready because of it.
        """
        ready, needed = len(self._ready), 1 if self.started.is_set() else self._count
        return None if ready >= needed else f"{ready} of {self._count} are ready"

    def kill(self) -> None:
        """Kill them all at once."""
        for process in self._running:
            _send(process, signal.SIGKILL)

    async def _keep_running(self, number: int, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not stop.is_set():
            started_at = loop.time()
            await self._run_one(number, stop)
            failures = 0 if loop.time() - started_at > _HEALTHY_AFTER_S else failures + 1
            await pause(stop, backoff_s(failures, first=_FIRST_PAUSE_S, longest=_LONGEST_PAUSE_S))

    async def _run_one(self, number: int, stop: asyncio.Event) -> None:
        """Start one and wait for its end, which is an error unless it was requested."""
        bound_log = log.bind(roles=",".join(self._roles), number=number)
        with ExitStack() as stack:
            try:
                process, readiness = await self._start_one(number, stack)
            except OSError as error:  # no memory, too many processes, the disk is full: it may pass
                bound_log.error("process.unstarted", error=str(error))
                return
            self._running.add(process)
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch_start(number, readiness))
                await self._until_ended(process, stop)
                watch.cancel()
        self._running.discard(process)
        self._ready.discard(number)
        if stop.is_set():
            return
        if process.returncode == 0:
            # In order: a worker of it was asked to stop, or it got a SIGTERM.
            bound_log.info("process.ended", pid=process.pid)
        else:
            bound_log.error("process.died", pid=process.pid, status=process.returncode)

    async def _watch_start(self, number: int, readiness: _Readiness) -> None:
        """Wait until one is ready. Its ready file is removed at once, so that a killed parent leaves none."""
        is_ready = False
        while not is_ready:
            await asyncio.sleep(_POLL_S)
            is_ready = await asyncio.to_thread(readiness.file.exists)
        readiness.folder.cleanup()
        self._ready.add(number)
        if len(self._ready) == self._count:
            self.started.set()

    async def _start_one(self, number: int, stack: ExitStack) -> tuple[_Process, _Readiness]:
        """Return a process that was just started, or was forked; its folder is removed at the end of the block."""
        if number in self._started:
            process, readiness = self._started.pop(number)
            stack.enter_context(readiness.folder)
            return process, readiness
        readiness = _Readiness()
        stack.enter_context(readiness.folder)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "taskmill",
            "run",
            *self._roles,
            "--ready-file",
            str(readiness.file),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGTERM),
            env={**os.environ, **self._overrides(number)},
        )
        return process, readiness

    def _overrides(self, number: int) -> dict[str, str]:
        """The environment variables of the processes, which go before every settings file."""
        settings = self._settings
        variables = {
            "TASKMILL_DATABASE_URL": settings.require_database_url(),
            "TASKMILL_WORKER__CONCURRENCY": str(settings.worker.concurrency),
            "TASKMILL_WORKER__QUEUES": shown(settings.worker.queues),
            "TASKMILL_WORKER__APP": settings.worker.app or "",
            "TASKMILL_BROKER": settings.broker,
            "TASKMILL_BROKER_STARTS": str(settings.broker_starts),
        }
        if settings.secrets_key_file is not None:
            variables["TASKMILL_SECRETS_KEY_FILE"] = str(settings.secrets_key_file)
        if settings.log_file.path is not None:
            variables["TASKMILL_LOG_FILE__PATH"] = str(settings.log_file.path)
        # What calls endpoints never calls the API.
        variables["TASKMILL_API__HOST"] = settings.api.host
        variables["TASKMILL_API__PORT"] = str(settings.api.port)
        if "api" in self._roles:
            variables["TASKMILL_API__REUSE_PORT"] = str(settings.api.reuse_port)
        if settings.broker_url is not None:
            variables["TASKMILL_BROKER_URL"] = settings.broker_url.get_secret_value()
        if (port := settings.admin_port) is not None:
            variables["TASKMILL_ADMIN_PORT"] = str(port and port + self._admin_step + number - 1)
        return variables

    async def _until_ended(self, process: _Process, stop: asyncio.Event) -> None:
        """Wait for the process to end; when stopped, ask it to end, and kill it after its grace time."""
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(process.wait())
            stopped = group.create_task(stop.wait())
            try:
                await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
                if not ended.done():
                    _send(process, signal.SIGTERM)
                    longest_s = composition.longest_stop_s(self._settings) + _STOP_MARGIN_S
                    await asyncio.wait([ended], timeout=longest_s)
            finally:
                if not ended.done():
                    _send(process, signal.SIGKILL)
                stopped.cancel()


def _send(process: _Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended meanwhile
        process.send_signal(number)
