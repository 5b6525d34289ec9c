"""The isolated processes of a worker: started when needed, reused, and killed when an attempt must end.

A process runs one attempt at a time, so that killing it ends no other. There are at most as many as the worker has
slots.
"""

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from contextvars import Context as Variables, copy_context
from typing import cast

from pydantic import ValidationError

from taskmill.app import Context
from taskmill.app.loading import FIND_MODULES
from taskmill.domain.lifecycle import ErrorInfo, Failed, Outcome
from taskmill.observability.logs import get_logger
from taskmill.runtime.file_limit import file_limit_restorer
from taskmill.worker.execution import Ended
from taskmill.worker.isolation.messages import (
    ORDER,
    REPORT,
    START,
    Began,
    Broken,
    Execute,
    Finished,
    Line,
    Logged,
    Progressed,
    Ready,
    Report,
    Start,
    Stop,
    attempt_name,
    outcome_of,
)

log = get_logger(__name__)

_BOOT = f"{FIND_MODULES}; from taskmill.worker.isolation.child import main; main()"
_STDIN, _STDOUT = 0, 1
_LONGEST_END_S = 2.0
_MOST_TRIES = 2


class IsolatedProcesses:
    """A pool of processes that run the types of one app. It is also a service, which kills them at the end."""

    name = "isolated"

    def __init__(self, app: str, *, result_bytes: int, stop_timeout_s: float) -> None:
        """Kill a process that has not stopped half of `stop_timeout_s` after it was ordered to."""
        self._app = app
        self._result_bytes = result_bytes
        self._stop_timeout_s = stop_timeout_s / 2
        self._idle: list[_Child] = []
        self._all: list[_Child] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Start one process in advance, wait for the stop, then kill all: none of them runs anything by then."""
        self._idle.append(await self._start())
        await stop.wait()
        for child in self._all:
            child.kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_END_S):
                for child in self._all:
                    await child.gone.wait()

    async def call(self, context: Context) -> Ended:
        """Run the attempt in a process; on cancellation the process is ordered to stop, and killed if it does not.

        A process that dies before it starts the attempt is replaced: it may have been dead for a while, as may all
        idle ones.
        """
        for _ in range(_MOST_TRIES + len(self._idle)):
            child = await self._ready_one()
            try:
                outcome = await child.execute(context)
            except asyncio.CancelledError:
                last = await child.stopped(self._stop_timeout_s)
                if last is None:
                    raise
                outcome = last
            finally:
                if child.is_free:
                    self._idle.append(child)
                else:
                    child.kill()
            if outcome is not None:
                return Ended(outcome)
        error = ErrorInfo(
            type="ProcessDied", message="its process ended before it began, again and again"
        )
        return Ended(Failed(error=error))

    async def _ready_one(self) -> "_Child":
        """Return a process that has loaded the app. If this is cancelled the next caller gets the process."""
        child: _Child | None = None
        while self._idle and (child is None or not child.is_free):
            child = self._idle.pop()
        if child is None or not child.is_free:
            child = await self._start()
        try:
            await child.ready.wait()
        except asyncio.CancelledError:
            self._idle.append(child)
            raise
        return child

    async def _start(self) -> "_Child":
        start = Start(
            app=self._app,
            path=sys.path,
            log_level=logging.getLogger().getEffectiveLevel(),
            result_bytes=self._result_bytes,
            parent=os.getpid(),
        )
        _, child = await asyncio.get_running_loop().subprocess_exec(
            _Child,
            sys.executable,
            "-c",
            _BOOT,
            START.dump_json(start).decode(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=None,
            # So that Ctrl-C does not reach it, and everything that it started can be killed with it.
            start_new_session=True,
            preexec_fn=file_limit_restorer(),
        )
        log.info("isolated.started", pid=child.pid)
        self._all = [one for one in self._all if not one.gone.is_set()] + [child]
        return child


class _Child(asyncio.SubprocessProtocol):
    """One process, as the worker sees it."""

    def __init__(self) -> None:
        self._partial = b""
        self._context: Context | None = None
        self._variables: Variables | None = None
        self._ended: asyncio.Future[Outcome | None] | None = None
        self._trouble: str | None = None
        self._attempt = ""
        self._has_begun = False
        self._is_gone = False
        self.ready, self.gone = asyncio.Event(), asyncio.Event()

    @property
    def is_free(self) -> bool:
        """Whether it is alive and runs nothing."""
        return not self._is_gone and self._ended is None

    async def execute(self, context: Context) -> Outcome | None:
        """Run the attempt in it, and return the outcome; None if it died before it started the attempt."""
        self._ended = asyncio.get_running_loop().create_future()
        self._attempt, self._has_begun = attempt_name(context.task), False
        if self._is_gone:
            self._die()
        self._context, self._variables = context, copy_context()
        order = Execute(
            task=context.task, lease_id=context.fence.lease_id, schedule=context.schedule
        )
        self._send(order)
        return await self._until_ended()

    async def stopped(self, stop_timeout_s: float) -> Outcome | None:
        """Order it to stop the attempt; return the outcome, None if there is none within the timeout."""
        self._send(Stop())
        with suppress(TimeoutError):
            async with asyncio.timeout(stop_timeout_s):
                return await self._until_ended()
        return None

    def kill(self) -> None:
        """Kill the process and everything that it has started."""
        if not self._is_gone:
            self._end_group()

    def _end_group(self) -> None:
        self._is_gone = True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Handle its reports."""
        if fd != _STDOUT:
            return
        *whole, self._partial = (self._partial + data).split(b"\n")
        for line in whole:
            try:
                self._take(REPORT.validate_json(line))
            except ValidationError:
                # Something else wrote to the pipe: nothing that it delivers can be trusted any more.
                self._trouble = "its process wrote something that is not a report"
                self.kill()
            except Exception as error:  # noqa: BLE001 - the app's own logging filter; later reports must arrive
                log.warning("isolated.line_failed", pid=self.pid, error=repr(error))

    def process_exited(self) -> None:
        """Kill what it has started and left behind, which may hold the pipe open."""
        self._end_group()

    def connection_lost(self, _: Exception | None) -> None:
        """End its attempt, if there is one: everything that it wrote has arrived."""
        self.gone.set()
        self.ready.set()  # wakes those who wait for it
        self._die()

    def _die(self) -> None:
        if self._ended is None or self._ended.done():
            return
        if not self._has_begun and self._trouble is None:
            self._ended.set_result(None)
            return
        message = self._trouble or _exit_text(self._transport.get_returncode())
        self._ended.set_result(Failed(error=ErrorInfo(type="ProcessDied", message=message)))

    async def _until_ended(self) -> Outcome | None:
        """Wait without cancelling the future, which is awaited again after a cancellation."""
        assert self._ended is not None  # noqa: S101 - an attempt is under way
        await asyncio.wait([self._ended])
        outcome = self._ended.result()
        self._ended = self._context = self._variables = None
        return outcome

    def _send(self, order: Execute | Stop) -> None:
        pipe = self._transport.get_pipe_transport(_STDIN)
        if pipe is not None and not self._is_gone:
            cast("asyncio.WriteTransport", pipe).write(ORDER.dump_json(order) + b"\n")

    def _take(self, report: Report) -> None:
        match report:
            case Ready():
                self.ready.set()
            case Broken():
                self._trouble = report.message
            case Logged(attempt=""):
                _pass_on_logged(report)
            case _ if report.attempt == self._attempt and self._context is not None:
                self._take_attempt_report(report, self._context)
            case _:
                # From a thread that the handler of an earlier attempt left behind.
                log.debug("isolated.late_report", pid=self.pid, kind=report.kind)

    def _take_attempt_report(
        self, report: Began | Line | Logged | Progressed | Finished, context: Context
    ) -> None:
        match report:
            case Began():
                self._has_begun = True
            case Finished():
                if self._ended is not None and not self._ended.done():
                    self._ended.set_result(outcome_of(report))
            case _:
                if self._variables is not None:
                    # In the context of the handler's own lines, so that these are stored with its task.
                    self._variables.run(_pass_on, report, context)


def _pass_on_logged(report: Logged) -> None:
    logging.getLogger(report.logger).handle(_record(report))


def _pass_on(report: Line | Logged | Progressed, context: Context) -> None:
    match report:
        case Line():
            # Bound instead of passed as arguments: a fact may be called `event`.
            getattr(context.logger.bind(**report.facts), report.level)(report.event)
        case Logged():
            _pass_on_logged(report)
        case Progressed():
            context.progress(report.share, report.message)


def _record(report: Logged) -> logging.LogRecord:
    record = {"name": report.logger, "levelno": report.level, "msg": report.message}
    level = {"levelname": logging.getLevelName(report.level)}
    return logging.makeLogRecord({**report.facts, **record, **level})


def _exit_text(status: int | None) -> str:
    if status is not None and status < 0:
        return f"its process was ended by {signal.Signals(-status).name}"
    return f"its process ended with exit status {status}"
