"""The program of an isolated process: it runs one attempt after the other, as the worker orders.

Orders arrive on its standard input and reports leave on its standard output. So a handler gets other streams: an
empty input, and the worker's standard error as its output.
"""

import asyncio
import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from inspect import isawaitable
from queue import SimpleQueue
from typing import Any, BinaryIO

import orjson
from structlog.typing import FilteringBoundLogger

from taskmill.app import Context, TaskType
from taskmill.app.context import MOST_PROGRESS_CHARACTERS
from taskmill.app.loading import load_app
from taskmill.app.registry import Taskmill
from taskmill.domain.errors import ConfigurationError
from taskmill.domain.lifecycle import ErrorInfo, Failed, Outcome, Permanent
from taskmill.domain.task import ClaimedTask, Fence
from taskmill.worker import lines
from taskmill.worker.execution import execute, without_loop
from taskmill.worker.handlers import Handler
from taskmill.worker.isolation.guardian import start_guardian
from taskmill.worker.isolation.messages import (
    ORDER,
    REPORT,
    START,
    Began,
    Broken,
    Execute,
    Line,
    Logged,
    Progressed,
    Ready,
    Report,
    Start,
    attempt_name,
    finished,
)
from taskmill.worker.logger import logger_to
from taskmill.worker.storable import storable

_PR_SET_PDEATHSIG = 1
_LONGEST_MESSAGE = 1_000_000
# Empty in threads that an earlier handler left behind, and in those that a handler starts.
_attempt: ContextVar[str] = ContextVar("attempt", default="")


def main() -> None:
    """Run attempts until the worker closes the pipe."""
    start = START.validate_json(sys.argv[1])
    _end_with(start.parent)
    start_guardian()
    pipe = _Pipe()
    try:
        app = load_app(start.app)
    except ConfigurationError as error:
        pipe.send(Broken(message=str(error)))
        return
    _send_logging(pipe, start.log_level)
    _Process(app, start, pipe).work()


def _end_with(parent: int) -> None:
    """Make the kernel kill this process when the worker ends, even while a handler keeps it busy."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before that
        os._exit(1)


class _Pipe:
    """The pipe to the worker. Reports may be sent from any thread."""

    def __init__(self) -> None:
        self.orders: BinaryIO = os.fdopen(os.dup(0), "rb")
        self._reports = os.fdopen(os.dup(1), "wb", buffering=0)
        self._lock = threading.Lock()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        self._pid = os.getpid()

    def send(self, report: Report) -> None:
        """Send one report completely. Does nothing in a fork of this process."""
        if os.getpid() != self._pid:
            return
        remaining = memoryview(REPORT.dump_json(report) + b"\n")
        with self._lock:
            while remaining:
                remaining = remaining[self._reports.write(remaining) or 0 :]


class _Process:
    """Runs attempts, one at a time, on the main thread; another thread reads the orders."""

    def __init__(self, app: Taskmill, start: Start, pipe: _Pipe) -> None:
        self._app = app
        self._start = start
        self._pipe = pipe
        self._orders: SimpleQueue[Execute] = SimpleQueue()
        self._current: _ChildRuntime | None = None

    def work(self) -> None:
        """Run attempts as they are ordered."""
        threading.Thread(target=self._listen, name="orders", daemon=True).start()
        self._pipe.send(Ready())
        while True:
            self._execute(self._orders.get())

    def _listen(self) -> None:
        for text in self._pipe.orders:
            order = ORDER.validate_json(text)
            if isinstance(order, Execute):
                self._orders.put(order)
            elif (current := self._current) is not None:
                current.stop()
        # The worker is gone, or has closed the pipe: nobody would read a report.
        os._exit(0)

    def _execute(self, order: Execute) -> None:
        name = attempt_name(order.task)
        runtime = _ChildRuntime(name, self._pipe)
        self._current = runtime
        self._pipe.send(Began(attempt=name))
        variable = _attempt.set(name)
        try:
            outcome = self._outcome(order, runtime)
        finally:
            self._current = None
            _attempt.reset(variable)
        self._pipe.send(finished(name, outcome))

    def _outcome(self, order: Execute, runtime: "_ChildRuntime") -> Outcome:
        made = self._app.get(order.task.type)
        if made is None:
            message = f"app {self._start.app} has no type {order.task.type} in its process"
            return Permanent(error=ErrorInfo(type="NoHandler", message=message))
        fence = Fence(task_id=order.task.id, lease_id=order.lease_id, claim_no=order.task.claim_no)
        context = Context(task=order.task, fence=fence, runtime=runtime, schedule=order.schedule)
        handler = _direct_handler(made, runtime)
        running = execute(handler, context, result_bytes=self._start.result_bytes)
        return _in_loop(running) if made.is_async else without_loop(running)


def _in_loop(running: Coroutine[Any, Any, Outcome]) -> Outcome:
    try:
        return asyncio.run(running)
    except asyncio.CancelledError:
        return Failed(error=ErrorInfo(type="Stopped", message="it was cancelled"))


def _direct_handler(made: "TaskType[..., Any]", runtime: "_ChildRuntime") -> Handler:
    """Return the handler that calls the function directly: nothing else runs in this process."""
    function, arguments = made.function, made.binding.arguments

    async def handle(context: Context) -> object:
        if made.is_async:
            runtime.cancel_with(asyncio.get_running_loop(), asyncio.current_task())
        value = function(**arguments(context))
        result: object = await value if isawaitable(value) else value
        return result

    return handle


class _ChildRuntime:
    """The runtime of one attempt: it sends log lines and progress to the worker."""

    def __init__(self, attempt: str, pipe: _Pipe) -> None:
        self._attempt = attempt
        self._pipe = pipe
        self._cancel: Callable[[], object] = lambda: None
        self.is_stopping = False

    def cancel_with(
        self, loop: asyncio.AbstractEventLoop, task: "asyncio.Task[Any] | None"
    ) -> None:
        """Make `stop` cancel this task from now on."""
        if task is not None:
            self._cancel = partial(loop.call_soon_threadsafe, task.cancel)

    def stop(self) -> None:
        """Request the attempt to stop; called on another thread."""
        self.is_stopping = True
        with suppress(RuntimeError):  # its loop has just ended
            self._cancel()

    def make_logger(self, task: ClaimedTask) -> FilteringBoundLogger:  # noqa: ARG002 - the worker names it
        """Make a logger whose lines are sent to the worker."""
        return logger_to(self)

    def write(self, level: str, event: object, facts: Mapping[str, Any]) -> None:
        """Send a line."""
        text = lines.message_text(event, _LONGEST_MESSAGE)
        self._pipe.send(
            Line(
                attempt=self._attempt,
                level=level,
                event=text,
                facts=_plain(lines.with_traceback(facts)),
            )
        )

    def report(self, fence: Fence, share: float, message: str | None) -> None:  # noqa: ARG002 - the worker knows it
        """Send a progress report."""
        text = None if message is None else storable(message, MOST_PROGRESS_CHARACTERS)
        self._pipe.send(Progressed(attempt=self._attempt, share=share, message=text))


class _LogSender(logging.Handler):
    """Sends records of `logging` to the worker."""

    def __init__(self, pipe: _Pipe) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        self._pipe.send(
            Logged(
                attempt=_attempt.get(),
                logger=lines.record_name(record),
                level=record.levelno,
                message=lines.message_text(lines.record_message(record), _LONGEST_MESSAGE),
                facts=_plain(lines.record_fields(record)),
            )
        )


def _send_logging(pipe: _Pipe, level: int) -> None:
    root = logging.getLogger()
    root.setLevel(level)
    root.addHandler(_LogSender(pipe))


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts as plain JSON values; what is not JSON becomes text."""
    text = lines.fields_text(facts, _LONGEST_MESSAGE)
    plain: dict[str, Any] = {} if text is None else orjson.loads(text)
    return plain


if __name__ == "__main__":
    main()
