"""Spans that stay in memory, and queries on them."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, Tracer

from taskmill.observability.traces import Traces
from tests.support.polling import eventually

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
CALLER = f"00-{TRACE_ID}-{PARENT_ID}-01"
UNSAMPLED = f"00-{TRACE_ID}-{PARENT_ID}-00"


class Spans:
    """The ended spans of `traces`; `library` is another tracer in the same process."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces = Traces(provider)
        self.library: Tracer = provider.get_tracer("library")

    def all(self) -> list[ReadableSpan]:
        """Every span that has ended, in that order."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """The ended spans of that name."""
        return [span for span in self.all() if span.name == name]

    async def one(self, name: str) -> ReadableSpan:
        """The only span of that name, once it has ended."""

        async def probe() -> list[ReadableSpan]:
            return self.named(name)

        [span] = await eventually(probe, f"a span {name}")
        return span


def context_of(span: ReadableSpan) -> SpanContext:
    """The context of a span that was made."""
    context = span.context
    assert isinstance(context, SpanContext)
    return context


def ids(span: ReadableSpan) -> tuple[str, str]:
    """Trace and span as `traceparent` and log lines write them."""
    context = context_of(span)
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def parent_ids(span: ReadableSpan) -> tuple[str, str] | None:
    """The same of a span's parent."""
    parent = span.parent
    return parent and (f"{parent.trace_id:032x}", f"{parent.span_id:016x}")


def exceptions(span: ReadableSpan) -> list[dict[str, object]]:
    """The exceptions that a span has recorded."""
    return [dict(event.attributes or {}) for event in span.events if event.name == "exception"]


@pytest.fixture
def spans() -> Spans:
    """Traces that are on, for this test alone."""
    return Spans()
