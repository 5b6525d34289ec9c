"""Runs a handler and turns whatever it returns or raises into an outcome."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic_core import to_jsonable_python

from taskmill.app import Context, PermanentFailure, RetryLater
from taskmill.domain.error_kinds import LONGEST_KEY, is_fingerprint
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
from taskmill.worker.error_place import find_place
from taskmill.worker.handlers import Handler
from taskmill.worker.storable import storable

T = TypeVar("T")

_LONGEST_MESSAGE = 10_000
_LONGEST_TYPE = 200


@dataclass(frozen=True, slots=True)
class Ended:
    """Returned by a handler that ran the attempt elsewhere, with its outcome."""

    outcome: Outcome


async def execute(handler: Handler, context: Context, *, result_bytes: int) -> Outcome:
    """Run the handler and return the outcome.

    Cancellation passes through: the code that cancels knows the outcome. Nothing else does, not even SystemExit:
    a task must not end its worker.
    """
    started_in = _current_task()
    try:
        value = await handler(context)
        return value.outcome if isinstance(value, Ended) else _succeeded(value, result_bytes)
    except RetryLater as retry:
        return Retry(error=describe(retry), after=retry.after)
    except PermanentFailure as failure:
        return Permanent(error=describe(failure))
    except asyncio.CancelledError:
        raise
    except GeneratorExit as error:
        # Either this coroutine is closed after its event loop has ended, or the handler raised it.
        if _current_task() is not started_in:
            raise
        return Failed(error=describe(error))
    except BaseException as error:  # noqa: BLE001 - a handler may raise anything; it is the task's error
        return Failed(error=describe(error))


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop is running
        return None


def without_loop(running: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, like that of a plain function, without an event loop.

    Inside an event loop the function could not run a loop of its own.
    """
    try:
        running.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    raise RuntimeError("a plain function does not wait for anything")


def timed_out(task: ClaimedTask) -> Failed:
    """Return the outcome of an attempt that exceeded its timeout."""
    seconds = task.timeout.total_seconds() if task.timeout else 0
    error = ErrorInfo(type="Timeout", message=f"the attempt ran longer than {seconds:g} s")
    return Failed(error=error, reason=Reason.TIMEOUT)


def once_stopped(outcome: Outcome, reason: Outcome) -> Outcome:
    """Return the outcome of an attempt whose handler was stopped, and then returned or raised something.

    A success counts, and so does an explicit decision on retries, unless the task is cancelled. Any other error is
    most likely a consequence of the stop: a closed connection, a timeout around a cancellation.
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
        # Models, sets, decimals and the like become JSON as with pydantic.
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
    """Return an exception's class, message and place as they are stored, in text that PostgreSQL accepts."""
    place = find_place(error)
    return ErrorInfo(
        type=storable(type(error).__name__, _LONGEST_TYPE),
        message=storable(_message(error), _LONGEST_MESSAGE),
        place=None if place is None else storable(place, LONGEST_KEY),
        fingerprint=_fingerprint(error),
    )


def _fingerprint(error: BaseException) -> str | None:
    """Return the attribute `fingerprint` of an exception, if it is a text that can be one."""
    try:
        value = getattr(error, "fingerprint", None)
    except BaseException:  # noqa: BLE001 - a handler's exception may fail to give it
        return None
    return (
        storable(value, LONGEST_KEY) if isinstance(value, str) and is_fingerprint(value) else None
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as failure:  # noqa: BLE001 - a handler's exception may fail to give a message
        return f"the message can't be shown: {type(failure).__name__}"
