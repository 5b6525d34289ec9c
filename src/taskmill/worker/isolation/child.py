"""What an isolated process does: run one attempt after the other, as the worker tells it.

Orders come on its standard input and answers leave on its standard output, so a handler gets others: nothing to
read, and what it prints goes to the worker's standard error.
"""

import asyncio
import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, BinaryIO

import orjson
from structlog.typing import FilteringBoundLogger

from taskmill.app import Context, TaskType
from taskmill.app.loading import load_app
from taskmill.app.registry import Taskmill
from taskmill.domain.errors import ConfigurationError
from taskmill.domain.lifecycle import ErrorInfo, Failed, Outcome, Permanent
from taskmill.domain.task import ClaimedTask, Fence
from taskmill.worker import lines
from taskmill.worker.execution import execute
from taskmill.worker.handlers import Handler
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
    told,
)
from taskmill.worker.logger import logger_to

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run attempts until the worker closes the line."""
    start = START.validate_json(sys.argv[1])
    _end_with(start.parent)
    line = _Line()
    try:
        app = load_app(start.app)
    except ConfigurationError as error:
        line.send(Broken(message=str(error)))
        return
    _hear_logging(line, start.log_level)
    _Process(app, start, line).work()


def _end_with(parent: int) -> None:
    """Have the kernel end this process with the worker, also while it computes and reads no orders."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


class _Line:
    """The line to the worker. Answers may be sent from any thread."""

    def __init__(self) -> None:
        self.orders: BinaryIO = os.fdopen(os.dup(0), "rb")
        self._answers = os.fdopen(os.dup(1), "wb", buffering=0)
        self._lock = threading.Lock()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)

    def send(self, answer: Answer) -> None:
        """Send one answer, whole."""
        left = memoryview(ANSWER.dump_json(answer) + b"\n")
        with self._lock:
            while left:
                left = left[self._answers.write(left) or 0 :]


class _Process:
    """Runs the attempts, one at a time, on the main thread; another thread takes the orders."""

    def __init__(self, app: Taskmill, start: Start, line: _Line) -> None:
        self._app = app
        self._start = start
        self._line = line
        self._runs: SimpleQueue[Run] = SimpleQueue()
        self._current: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self.is_stopping = False

    def work(self) -> None:
        """Run what comes."""
        threading.Thread(target=self._listen, name="orders", daemon=True).start()
        while True:
            self._carry_out(self._runs.get())

    def _listen(self) -> None:
        for text in self._line.orders:
            order = ORDER.validate_json(text)
            if isinstance(order, Run):
                self.is_stopping = False
                self._runs.put(order)
            else:
                self._stop()
        # The worker is gone, or wants us no more: nobody would take an answer.
        os._exit(0)

    def _stop(self) -> None:
        self.is_stopping = True
        if self._current is not None:
            loop, task = self._current
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(task.cancel)

    def _carry_out(self, run: Run) -> None:
        try:
            outcome = asyncio.run(self._outcome(run))
        except asyncio.CancelledError:
            outcome = _failed("Stopped", "asked to stop")
        except SystemExit as left:
            outcome = _failed("RuntimeError", f"it called sys.exit({left.code!r})")
        finally:
            self._current = None
        self._line.send(told(outcome))

    async def _outcome(self, run: Run) -> Outcome:
        task = asyncio.current_task()
        if task is not None:
            self._current = (asyncio.get_running_loop(), task)
        made = self._app.get(run.task.type)
        if made is None:
            message = f"app {self._start.app} has no type {run.task.type} in its process"
            return Permanent(error=ErrorInfo(type="NoHandler", message=message))
        fence = Fence(task_id=run.task.id, lease_id=run.lease_id, claim_no=run.task.claim_no)
        context = Context(
            task=run.task, fence=fence, surroundings=_ChildSurroundings(self, self._line)
        )
        return await execute(_here(made), context, result_bytes=self._start.result_bytes)


def _here(made: "TaskType[..., Any]") -> Handler:
    """Return the handler that calls the function at once: nothing else waits for this process."""
    function, arguments = made.function, made.binding.arguments

    async def handle(context: Context) -> object:
        value = function(**arguments(context))
        result: object = await value if made.is_async else value
        return result

    return handle


class _ChildSurroundings:
    """Sends what the handler says to the worker."""

    def __init__(self, process: _Process, line: _Line) -> None:
        self._process = process
        self._line = line

    @property
    def is_stopping(self) -> bool:
        """Whether the worker said so."""
        return self._process.is_stopping

    def make_logger(self, task: ClaimedTask) -> FilteringBoundLogger:  # noqa: ARG002 - the worker names it
        """Make a logger whose lines the worker gets."""
        return logger_to(self)

    def say(self, level: str, event: object, facts: Mapping[str, Any]) -> None:
        """Send a line."""
        text = event if isinstance(event, str) else lines.message_text(event, 10_000)
        self._line.send(Said(level=level, event=text, facts=_plain(lines.said(facts))))

    def report(self, fence: Fence, share: float, message: str | None) -> None:  # noqa: ARG002 - the worker knows it
        """Send a report of progress."""
        self._line.send(Progressed(share=share, message=message))


class _Ear(logging.Handler):
    """Sends the records of `logging`."""

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        self._line.send(
            Logged(
                logger=lines.record_name(record),
                level=record.levelno,
                message=lines.message_text(lines.record_message(record), 1_000_000),
                facts=_plain(lines.record_fields(record)),
            )
        )


def _hear_logging(line: _Line, level: int) -> None:
    root = logging.getLogger()
    root.setLevel(level)
    root.addHandler(_Ear(line))


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts as JSON has them; what is no JSON is told as text."""
    text = lines.fields_text(facts, 1_000_000)
    plain: dict[str, Any] = {} if text is None else orjson.loads(text)
    return plain


def _failed(kind: str, message: str) -> Failed:
    return Failed(error=ErrorInfo(type=kind, message=message))


if __name__ == "__main__":
    main()
