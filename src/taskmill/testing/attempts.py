"""Runs one attempt of a handler directly, in the test's own process and thread."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

import orjson
from structlog.typing import FilteringBoundLogger

from taskmill.app import Context, ScheduledTick, TaskType
from taskmill.domain.lifecycle import ErrorInfo, Outcome, Retry, Succeeded
from taskmill.domain.task import ClaimedTask, Fence
from taskmill.worker.execution import execute, without_loop
from taskmill.worker.logger import logger_to

_RESULT_BYTES: Final = 1024**2
_CREATED_AT: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Line(NamedTuple):
    """What a handler logged through `context.logger`."""

    level: str
    message: object
    fields: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Attempted:
    """How an attempt ended, and what its handler logged meanwhile.

    `raised` is the exception, with its traceback. `progress` has its reports, oldest first.
    """

    outcome: Outcome
    raised: Exception | None = None
    progress: list[tuple[float, str | None]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        """Whether the handler returned."""
        return isinstance(self.outcome, Succeeded)

    @property
    def result(self) -> Any:  # noqa: ANN401 - any JSON value
        """What the handler returned, as a JSON value.

        Raises:
            AssertionError: it did not return; the cause is the exception that it raised.
        """
        if isinstance(self.outcome, Succeeded):
            return None if self.outcome.result is None else orjson.loads(self.outcome.result)
        raise AssertionError(f"the handler did not return: {self.error}") from self.raised

    @property
    def error(self) -> ErrorInfo | None:
        """Why it failed, as the task would show it; None when it did not fail."""
        return getattr(self.outcome, "error", None)

    @property
    def retry_after(self) -> timedelta | None:
        """The time before the next attempt that the handler requested, None when it requested none."""
        return self.outcome.after if isinstance(self.outcome, Retry) else None


def attempt(
    task_type: "TaskType[..., Any]",
    payload: Mapping[str, Any] | None = None,
    /,
    *,
    number: int | None = None,
    is_cancelled: bool | None = None,
    schedule: ScheduledTick | None = None,
    **fields: Any,  # noqa: ANN401 - the payload's fields
) -> Attempted:
    """Run one attempt of a task type, async or not, with a payload or its fields.

    The payload is validated and turned into arguments as in a worker. `number` is the attempt's, 1 by default;
    with `is_cancelled` the context requires the attempt to stop from the beginning, and `schedule` is the tick for
    which it has its task. There is no isolation: a plain function is called in the test's own thread.

    Raises:
        TypeError: the payload has a field with one of these names: give the payload as a whole.
        RuntimeError: the function is async and an event loop runs already: use `attempt_async`.
    """
    if payload is None:
        _check_names(task_type, number=number, is_cancelled=is_cancelled, schedule=schedule)
        payload = fields
    task = _claimed(task_type, payload, number or 1)
    return attempt_now(task_type, task, is_cancelled=bool(is_cancelled), schedule=schedule)


async def attempt_async(
    task_type: "TaskType[..., Any]",
    payload: Mapping[str, Any] | None = None,
    /,
    *,
    number: int | None = None,
    is_cancelled: bool | None = None,
    schedule: ScheduledTick | None = None,
    **fields: Any,  # noqa: ANN401 - the payload's fields
) -> Attempted:
    """Do what `attempt` does, in the event loop that runs."""
    if payload is None:
        _check_names(task_type, number=number, is_cancelled=is_cancelled, schedule=schedule)
        payload = fields
    task = _claimed(task_type, payload, number or 1)
    return await attempt_of(task_type, task, is_cancelled=bool(is_cancelled), schedule=schedule)


def attempt_now(
    task_type: "TaskType[..., Any]",
    task: ClaimedTask,
    *,
    is_cancelled: bool = False,
    schedule: ScheduledTick | None = None,
) -> Attempted:
    """Run an attempt of an existing task; a plain function without an event loop around it."""
    running = attempt_of(task_type, task, is_cancelled=is_cancelled, schedule=schedule)
    return asyncio.run(running) if task_type.is_async else without_loop(running)


async def attempt_of(
    task_type: "TaskType[..., Any]",
    task: ClaimedTask,
    *,
    is_cancelled: bool = False,
    schedule: ScheduledTick | None = None,
) -> Attempted:
    """Run an attempt of an existing task."""
    runtime = _TestRuntime(is_cancelled=is_cancelled)
    fence = Fence(task_id=task.id, lease_id=UUID(int=0), claim_no=task.claim_no)
    context = Context(task=task, fence=fence, runtime=runtime, schedule=schedule)

    async def handle(context: Context) -> object:
        try:
            value = task_type.function(**task_type.binding.arguments(context))
            result: object = await value if isawaitable(value) else value
        except Exception as error:
            runtime.raised = error
            raise
        return result

    outcome = await execute(handle, context, result_bytes=_RESULT_BYTES)
    return Attempted(
        outcome=outcome, raised=runtime.raised, progress=runtime.progress, lines=runtime.lines
    )


class _TestRuntime:
    """Records what a handler logs and reports."""

    def __init__(self, *, is_cancelled: bool) -> None:
        self.is_stopping = is_cancelled
        self.raised: Exception | None = None
        self.progress: list[tuple[float, str | None]] = []
        self.lines: list[Line] = []
        self._lock = threading.Lock()

    def make_logger(self, task: ClaimedTask) -> FilteringBoundLogger:  # noqa: ARG002 - there is only one
        """Make a logger whose lines are recorded."""
        return logger_to(self)

    def write(self, level: str, event: object, facts: Mapping[str, Any]) -> None:
        """Record a line."""
        with self._lock:
            self.lines.append(Line(level, event, dict(facts)))

    def report(self, fence: Fence, share: float, message: str | None) -> None:  # noqa: ARG002 - there is only one
        """Record a progress report."""
        with self._lock:
            self.progress.append((share, message))


def _check_names(task_type: "TaskType[..., Any]", **options: object) -> None:
    """Refuse a name that could mean an option of the attempt or a field of the payload."""
    for name in task_type.json_schema().get("properties", {}):
        if options.get(name) is not None:
            raise TypeError(
                f"{name} may be a field of {task_type.name} or belong to the attempt: give the payload as a "
                f'whole, as in attempt({task_type.__name__}, {{"{name}": …}})'
            )


def _claimed(
    task_type: "TaskType[..., Any]", payload: Mapping[str, Any], number: int
) -> ClaimedTask:
    return ClaimedTask(
        id=uuid4(),
        claim_no=number,
        name=task_type.name,
        type=task_type.name,
        queue=str(task_type.options.get("queue", "default")),
        payload=orjson.dumps(payload).decode(),
        priority=int(task_type.options.get("priority", 4)),
        run=1,
        attempt=number,
        max_attempts=max(int(task_type.options.get("max_attempts", 1)), number),
        losses=0,
        max_losses=int(task_type.options.get("max_losses", 3)),
        timeout=None,
        retry=None,
        created_at=_CREATED_AT,
    )
