"""Exporting spans: what a collector that is away or slow costs, and what spans say about their process."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from taskmill.observability import span_export
from taskmill.observability.span_export import ReportingExporter, SpanExport
from taskmill.observability.traces import Traces
from tests.support.api import LogLines, log_lines
from tests.support.clocks import ManualClock
from tests.support.spans import CALLER, UNSAMPLED, Spans, ids, parent_ids, spans

__all__ = ["log_lines", "spans"]

START = datetime(2030, 1, 1, tzinfo=UTC)


class Refusing(SpanExporter):
    """An exporter without a collector, which logs that each time, as the library does."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        logging.getLogger(__name__).error("Failed to export %d spans: refused", len(spans))
        return SpanExportResult.FAILURE


class Hanging(SpanExporter):
    """An exporter whose collector never answers, until the test is over."""

    def __init__(self) -> None:
        self.may_end = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the library's
        self.may_end.wait()
        return SpanExportResult.FAILURE


def a_span() -> ReadableSpan:
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("a")
    assert isinstance(span, ReadableSpan)
    return span


def test_a_collector_that_is_away_is_logged_once_a_minute(log_lines: LogLines) -> None:
    clock = ManualClock(START)
    exporter = ReportingExporter(Refusing(), clock.monotonic)
    for _ in range(3):
        assert exporter.export([a_span(), a_span()]) is SpanExportResult.FAILURE
    clock.advance(timedelta(seconds=61))
    exporter.export([a_span()])
    exporter.export([a_span()])
    lines = log_lines.named("traces.unsent")
    assert [line["spans"] for line in lines] == [2, 5]
    assert lines[1]["error"] == "Failed to export 1 spans: refused"
    assert log_lines.named("Failed to export 2 spans: refused") == []


async def test_stopping_waits_for_a_collector_only_so_long(
    log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_export, "CLOSE_S", 0.1)
    exporter = Hanging()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    export = SpanExport(Traces(provider), provider)
    export.traces.start("a", kind="server", traceparent=None, attributes={}).end()
    await export.close()
    assert len(log_lines.named("traces.cut_off")) == 1
    exporter.may_end.set()


async def test_stopping_sends_what_is_left() -> None:
    sent: list[ReadableSpan] = []

    class Collecting(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            sent.extend(spans)
            return SpanExportResult.SUCCESS

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Collecting()))
    export = SpanExport(Traces(provider), provider)
    export.traces.start("a", kind="server", traceparent=None, attributes={}).end()
    await export.close()
    assert [span.name for span in sent] == ["a"]


@pytest.mark.parametrize(
    ("incoming", "handed_on"), [(CALLER, CALLER), (UNSAMPLED, UNSAMPLED), (None, None)]
)
def test_with_the_sdk_disabled_the_caller_s_context_is_handed_on(
    incoming: str | None, handed_on: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    traces = Traces(TracerProvider(shutdown_on_exit=False))
    span = traces.start("a", kind="server", traceparent=incoming, attributes={})
    with span.current():
        assert span.traceparent == handed_on
    span.end()


def test_a_span_is_current_in_its_block_only(spans: Spans) -> None:
    span = spans.traces.start("a", kind="consumer", traceparent=None, attributes={})
    with span.current():
        spans.library.start_span("inside").end()
    spans.library.start_span("behind").end()
    span.end()
    inside, behind, outer = spans.all()
    assert (parent_ids(inside), parent_ids(behind)) == (ids(outer), None)


def output_of(program: str, **environment: str) -> str:
    """Run a program that may set the provider of its process, and return what it prints."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        env={**os.environ, **environment},  # noqa: TID251 - for a child
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


RESOURCE = """
import time
from taskmill.observability.span_export import open_export
from opentelemetry import trace
open_export("vm-1", time.monotonic)
print(*map(trace.get_tracer_provider().resource.attributes.get, ("service.name", "service.instance.id")))
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "taskmill vm-1"),
        ({"OTEL_SERVICE_NAME": "billing"}, "billing vm-1"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,service.instance.id=b"}, "a b"),
    ],
)
def test_spans_name_the_service_and_the_process_unless_set_otherwise(
    environment: dict[str, str], expected: str
) -> None:
    assert output_of(RESOURCE, **environment) == expected


def test_a_provider_that_was_set_for_the_process_is_used() -> None:
    program = """
import asyncio, time
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from taskmill.observability.span_export import open_export
theirs, exporter = TracerProvider(), InMemorySpanExporter()
theirs.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(theirs)
export = open_export("vm-1", time.monotonic)
export.traces.start("a", kind="server", traceparent=None, attributes={}).end()
asyncio.run(export.close())
theirs.get_tracer("library").start_span("b").end()
print(*(span.name for span in exporter.get_finished_spans()), trace.get_tracer_provider() is theirs)
"""
    assert output_of(program) == "a b True"


@pytest.mark.parametrize(
    "environment", [{"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "9999"}]
)
def test_an_invalid_variable_is_a_configuration_error(
    environment: dict[str, str],
) -> None:
    program = """
import time
from taskmill.domain.errors import ConfigurationError
from taskmill.observability.span_export import open_export
try:
    open_export("vm-1", time.monotonic)
except ConfigurationError as error:
    print(error)
"""
    assert output_of(program, **environment).startswith("an OTEL_ variable makes no sense: ")
