"""Traces: the spans of this process, created with OpenTelemetry.

It is imported only when traces are on. Names and attributes of spans are up to api, intake and worker;
`span_export` sends them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TracerProvider,
    set_span_in_context,
)
from structlog.contextvars import bind_contextvars, unbind_contextvars

from taskmill.version import VERSION
from taskmill.wire.traceparent import valid_traceparent

Attributes = Mapping[str, str | int]

_KINDS: Final = {"server": SpanKind.SERVER, "consumer": SpanKind.CONSUMER}


class Traces:
    """Starts spans. Each is a child of the incoming context, or begins a trace of its own."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("taskmill", VERSION)

    def start(
        self,
        name: str,
        *,
        kind: Literal["server", "consumer"],
        traceparent: str | None,
        attributes: Attributes,
    ) -> "LiveSpan":
        """Start a span; an invalid `traceparent` is ignored."""
        incoming = valid_traceparent(traceparent)
        parent = (
            Context() if incoming is None else set_span_in_context(_remote(incoming), Context())
        )
        span = self._tracer.start_span(
            name, context=parent, kind=_KINDS[kind], attributes=dict(attributes)
        )
        return LiveSpan(span, incoming)

    def forget(self) -> None:
        """Forget the span that this asyncio task has inherited as the current one, also for its log lines."""
        unbind_contextvars("trace_id", "span_id")
        attach(Context())


class LiveSpan:
    """A span under way, until `end`. Nothing here raises, and nothing waits for an export."""

    __slots__ = ("_incoming", "_span")

    def __init__(self, span: Span, incoming: str | None) -> None:
        self._span = span
        self._incoming = incoming

    @property
    def is_recording(self) -> bool:
        """Whether it will be exported: it is sampled, and has not ended."""
        return self._span.is_recording()

    @property
    def traceparent(self) -> str | None:
        """The context for what this span causes: its own, or the incoming one when the span is not exported."""
        context = self._span.get_span_context()
        if not context.is_valid or (self._incoming is not None and not self._span.is_recording()):
            return self._incoming
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def name_in_logs(self) -> None:
        """Add its ids to the log lines of this asyncio task, from here on."""
        context = self._span.get_span_context()
        if context.is_valid:
            bind_contextvars(trace_id=f"{context.trace_id:032x}", span_id=f"{context.span_id:016x}")

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make it the parent of the spans of the block."""
        token = attach(set_span_in_context(self._span))
        try:
            yield
        finally:
            detach(token)

    def set_attributes(self, attributes: Attributes) -> None:
        """Add attributes."""
        self._span.set_attributes(dict(attributes))

    def add_exception(self, kind: str, message: str, stack: str | None = None) -> None:
        """Add an exception as an event."""
        facts = {"exception.type": kind, "exception.message": message}
        if stack is not None:
            facts["exception.stacktrace"] = stack
        self._span.add_event("exception", facts)

    def fail(self, kind: str, message: str | None = None) -> None:
        """Mark it as failed, with a class of errors and a message for people."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR, message)

    def end(self) -> None:
        """End it and pass it to the exporter."""
        self._span.end()


def _remote(traceparent: str) -> Span:
    """Return a placeholder for the caller's span, whose context is valid."""
    _, trace_id, span_id, flags = traceparent.split("-")
    context = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return NonRecordingSpan(context)
