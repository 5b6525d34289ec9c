"""A span for each attempt, if tracing is on: from before its handler starts until the attempt is settled.

Tracing does not change an attempt's outcome.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from taskmill.app import Context
from taskmill.domain.lifecycle import Outcome
from taskmill.worker.attempt import Attempt
from taskmill.worker.execution import describe
from taskmill.worker.handlers import Handler
from taskmill.worker.storable import storable

if TYPE_CHECKING:
    from taskmill.observability.traces import LiveSpan, Traces

_LONGEST_STACK: Final = 20_000
_LONGEST_TYPE: Final = 200

# Set in the context of the handler's asyncio task.
_span: "ContextVar[AttemptSpan | None]" = ContextVar("attempt_span", default=None)


class AttemptSpan:
    """The span of one attempt."""

    def __init__(self, span: "LiveSpan") -> None:
        self.span = span
        self._has_exception = False

    def add_exception(self, error: Exception) -> None:
        """Record an exception that the handler raised, with its stack, whatever the outcome."""
        if not self.span.is_recording:
            return
        kind = type(error)
        stack = "".join(traceback.format_exception(error))[-_LONGEST_STACK:]
        self.span.add_exception(
            storable(f"{kind.__module__}.{kind.__qualname__}", _LONGEST_TYPE),
            describe(error).message,
            storable(stack, _LONGEST_STACK),
        )
        self._has_exception = True

    def end(self, outcome: Outcome | None) -> None:
        """End the span with the attempt's outcome; None if the worker ends before there is one."""
        if outcome is None:
            self.span.end()
            return
        self.span.set_attributes({"taskmill.task.outcome": type(outcome).__name__.lower()})
        error = getattr(outcome, "error", None)
        if error is not None:
            if not self._has_exception:
                self.span.add_exception(error.type, error.message)
            self.span.fail(error.type, error.message)
        self.span.end()


class AttemptSpans:
    """Makes the spans of a worker's attempts; the pool ends them when the attempts are settled."""

    def __init__(self, traces: "Traces", *, worker: str) -> None:
        self._traces = traces
        self._worker = worker

    @contextmanager
    def around(self, attempt: Attempt) -> Iterator[None]:
        """Start the attempt's span, which is current for the handler and everything that it calls."""
        span = attempt.span = AttemptSpan(self._start(attempt))
        _span.set(span)
        span.span.name_in_logs()
        with span.span.current():
            yield

    def _start(self, attempt: Attempt) -> "LiveSpan":
        task = attempt.task
        return self._traces.start(
            f"process {task.type}",
            kind="consumer",
            traceparent=task.traceparent,
            attributes={
                "messaging.system": "taskmill",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": task.queue,
                "messaging.message.id": str(task.id),
                "messaging.client.id": self._worker,
                "taskmill.task.type": task.type,
                "taskmill.task.run": task.run,
                "taskmill.task.attempt": task.attempt,
                "taskmill.task.claim_no": task.claim_no,
            },
        )


def recording_exceptions(handler: Handler) -> Handler:
    """Return a handler whose exceptions are recorded in the span of its attempt."""

    async def handle(context: Context) -> object:
        try:
            return await handler(context)
        except Exception as error:
            span = _span.get()
            if span is not None:
                span.add_exception(error)
            raise

    return handle
