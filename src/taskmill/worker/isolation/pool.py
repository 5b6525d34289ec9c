"""The isolated processes of a worker: started when needed, used again, killed when an attempt must end.

A process runs one attempt at a time, so that killing it ends no other. There are as many as the worker has slots.
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
from taskmill.worker.execution import Ended
from taskmill.worker.isolation.messages import (
    ANSWER,
    ORDER,
    START,
    Answer,
    Broken,
    Logged,
    Progressed,
    Run,
    Said,
    Start,
    Stop,
    Told,
    outcome_of,
)

log = get_logger(__name__)

_BOOT = f"{FIND_MODULES}; from taskmill.worker.isolation.child import main; main()"
_STDIN, _STDOUT = 0, 1
_LONGEST_END_S = 2.0


class IsolatedProcesses:
    """A pool of processes that run the types of one app. It is a service, too, which ends them in the end."""

    name = "isolated"

    def __init__(self, app: str, *, result_bytes: int, patience_s: float) -> None:
        """Give a process that is asked to stop half of `patience_s`; then it is killed."""
        self._app = app
        self._result_bytes = result_bytes
        self._patience_s = patience_s / 2
        self._idle: list[_Child] = []
        self._all: list[_Child] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Wait until told to stop, then end the processes: none of them runs anything any more."""
        await stop.wait()
        for child in self._all:
            child.kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_END_S):
                for child in self._all:
                    await child.gone.wait()

    async def call(self, context: Context) -> Ended:
        """Have a process run the attempt; when cancelled, it is asked to stop, and killed if it does not."""
        child = await self._free_one()
        try:
            outcome = await child.carry_out(context)
        except asyncio.CancelledError:
            told = await child.stopped(self._patience_s)
            if told is None:
                raise
            outcome = told
        finally:
            if child.is_free:
                self._idle.append(child)
            else:
                child.kill()
        return Ended(outcome)

    async def _free_one(self) -> "_Child":
        while self._idle:
            child = self._idle.pop()
            if child.is_free:
                return child
        return await self._start()

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
            # Of its own, so that a Ctrl-C does not reach it, and all that it started can be killed with it.
            start_new_session=True,
        )
        log.info("isolated.started", pid=child.pid)
        self._all = [one for one in self._all if not one.gone.is_set()] + [child]
        return child


class _Child(asyncio.SubprocessProtocol):
    """One process, as the worker sees it."""

    def __init__(self) -> None:
        self._rest = b""
        self._context: Context | None = None
        self._variables: Variables | None = None
        self._ended: asyncio.Future[Outcome] | None = None
        self._trouble: str | None = None
        self._is_gone = False
        self.gone = asyncio.Event()

    @property
    def is_free(self) -> bool:
        """Whether it lives and runs nothing."""
        return not self._is_gone and self._ended is None

    async def carry_out(self, context: Context) -> Outcome:
        """Have it run the attempt, and return how that ended."""
        self._ended = asyncio.get_running_loop().create_future()
        self._context, self._variables = context, copy_context()
        self._send(Run(task=context.task, lease_id=context.fence.lease_id))
        return await self._until_ended()

    async def stopped(self, patience_s: float) -> Outcome | None:
        """Ask it to end the attempt; return how that ended, None when it does not within the patience."""
        self._send(Stop())
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                return await self._until_ended()
        return None

    def kill(self) -> None:
        """End the process, and what it has started, at once."""
        self._is_gone = True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what it answers."""
        if fd != _STDOUT:
            return
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            try:
                self._take(ANSWER.validate_json(line))
            except ValidationError:
                # Somebody else wrote to the line: nothing that comes by it can be trusted any more.
                self._trouble = "its process wrote what is no answer"
                self.kill()

    def process_exited(self) -> None:
        """End what it has started and left behind: that may hold the line open."""
        self.kill()

    def connection_lost(self, _: Exception | None) -> None:
        """End the attempt that it ran, if it did: everything that it wrote has come."""
        self.gone.set()
        if self._ended is not None and not self._ended.done():
            message = self._trouble or _farewell(self._transport.get_returncode())
            error = ErrorInfo(type="ProcessDied", message=message)
            self._ended.set_result(Failed(error=error))

    async def _until_ended(self) -> Outcome:
        """Wait without giving up the future: it is waited for again after a cancel."""
        assert self._ended is not None  # noqa: S101 - an attempt is under way
        await asyncio.wait([self._ended])
        outcome = self._ended.result()
        self._ended = self._context = self._variables = None
        return outcome

    def _send(self, order: Run | Stop) -> None:
        line = self._transport.get_pipe_transport(_STDIN)
        if line is not None and not self._is_gone:
            cast("asyncio.WriteTransport", line).write(ORDER.dump_json(order) + b"\n")

    def _take(self, answer: Answer) -> None:
        if isinstance(answer, Broken):
            self._trouble = answer.message
        elif self._context is None or self._variables is None or self._ended is None:
            log.debug("isolated.unasked", pid=self.pid, kind=answer.kind)
        elif isinstance(answer, Told):
            if not self._ended.done():
                self._ended.set_result(outcome_of(answer))
        else:
            # Where the handler's own lines would come from: they are kept with its task.
            self._variables.run(_pass_on, answer, self._context)


def _pass_on(answer: Said | Logged | Progressed, context: Context) -> None:
    match answer:
        case Said():
            # Bound, and not handed over: a fact may be called `event`.
            getattr(context.logger.bind(**answer.facts), answer.level)(answer.event)
        case Logged():
            logging.getLogger(answer.logger).handle(_record(answer))
        case Progressed():
            context.progress(answer.share, answer.message)


def _record(answer: Logged) -> logging.LogRecord:
    said = {"name": answer.logger, "levelno": answer.level, "msg": answer.message}
    level = {"levelname": logging.getLevelName(answer.level)}
    return logging.makeLogRecord({**answer.facts, **said, **level})


def _farewell(status: int | None) -> str:
    if status is not None and status < 0:
        return f"its process was ended by {signal.Signals(-status).name}"
    return f"its process ended with exit status {status}"
