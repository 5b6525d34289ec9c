"""Runs one attempt and turns whatever its handler does into an outcome."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic_core import to_jsonable_python

from taskmill.app import Context, PermanentFailure, RetryLater
from taskmill.domain.lifecycle import (
    Cancelled,
    ErrorInfo,
    Failed,
    Outcome,
    Permanent,
    Reason,
    Retry,
    Succeeded,
)
from taskmill.domain.task import ClaimedTask
from taskmill.worker.handlers import Handler
from taskmill.worker.storable import storable

T = TypeVar("T")

_LONGEST_MESSAGE = 10_000
_LONGEST_TYPE = 200


@dataclass(frozen=True, slots=True)
class Ended:
    """What a handler returns that had the attempt run elsewhere, and knows how it ended."""

    outcome: Outcome


async def execute(handler: Handler, context: Context, *, result_bytes: int) -> Outcome:
    """Run the handler and return how it ended.

    Cancellation passes through: whoever cancels knows what the attempt then is. Nothing else does, SystemExit
    included: a task must not end its worker.
    """
    begun_in = _current_task()
    try:
        value = await handler(context)
        return value.outcome if isinstance(value, Ended) else _succeeded(value, result_bytes)
    except RetryLater as asked:
        return Retry(error=describe(asked), after=asked.after)
    except PermanentFailure as failure:
        return Permanent(error=describe(failure))
    except asyncio.CancelledError:
        raise
    except GeneratorExit as error:
        # Of this coroutine, when it is closed after its event loop has ended; else the handler raised it.
        if _current_task() is not begun_in:
            raise
        return Failed(error=describe(error))
    except BaseException as error:  # noqa: BLE001 - a handler may raise anything; it is the task's error
        return Failed(error=describe(error))


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs here
        return None


def without_loop(running: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing, as that of a plain function, without an event loop around it.

    Inside of one the function could not run a loop of its own.
    """
    try:
        running.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    raise RuntimeError("a plain function does not wait for anything")


def timed_out(task: ClaimedTask) -> Failed:
    """Return the outcome of an attempt whose time is over."""
    seconds = task.timeout.total_seconds() if task.timeout else 0
    error = ErrorInfo(type="Timeout", message=f"the attempt ran longer than {seconds:g} s")
    return Failed(error=error, reason=Reason.TIMEOUT)


def once_stopped(outcome: Outcome, reason: Outcome) -> Outcome:
    """Return how an attempt ends whose handler was stopped, and then returned or raised something.

    What it finished counts, and so does an explicit word on further attempts, unless the task is cancelled.
    Any other error is most likely the stopping's: a connection that was closed, a timeout around a cancel.
    """
    match outcome:
        case Succeeded():
            return outcome
        case Retry() | Permanent() if not isinstance(reason, Cancelled):
            return outcome
        case _:
            return reason


def _succeeded(value: object, result_bytes: int) -> Outcome:
    if value is None:
        return Succeeded()
    try:
        # Models, sets, decimals and the like become JSON as pydantic has it.
        text = orjson.dumps(value, default=to_jsonable_python)
    except TypeError as error:
        return Permanent(
            error=ErrorInfo(type="ResultNotJson", message=storable(str(error), _LONGEST_MESSAGE))
        )
    if len(text) > result_bytes:
        message = f"the result has {len(text)} bytes, more than the {result_bytes} allowed"
        return Permanent(error=ErrorInfo(type="ResultTooLarge", message=message))
    return Succeeded(result=text.decode())


def describe(error: BaseException) -> ErrorInfo:
    """Return an exception as it is stored: its class and its message, in text that PostgreSQL takes."""
    return ErrorInfo(
        type=storable(type(error).__name__, _LONGEST_TYPE),
        message=storable(_message(error), _LONGEST_MESSAGE),
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as unsaid:  # noqa: BLE001 - a handler's exception may not even have a message
        return f"the message can't be shown: {type(unsaid).__name__}"
