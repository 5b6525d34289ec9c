"""Exports spans over OTLP/HTTP, from a background thread, as configured by the `OTEL_` variables.

A collector that is slow or away costs spans, never time: the queue is bounded, and stopping waits for the last
export for a bounded time. Lost spans are logged from time to time.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from taskmill.domain.errors import ConfigurationError
from taskmill.observability.logs import get_logger
from taskmill.observability.traces import Traces
from taskmill.version import VERSION

log = get_logger(__name__)

CLOSE_S: Final = 2.0
"""How long a stopping process waits until its last spans are sent."""

_MIN_INTERVAL_S: Final = 60.0


def open_export(instance: str, monotonic: Callable[[], float]) -> "SpanExport":
    """Begin to export the spans of this process, named `instance`, and those of its handlers' libraries.

    `monotonic` returns seconds. A provider that is already set for the process, as by `opentelemetry-instrument`,
    is used as it is.

    Raises:
        ConfigurationError: an `OTEL_` variable is invalid.
    """
    present = trace.get_tracer_provider()
    if not isinstance(present, trace.ProxyTracerProvider):
        return SpanExport(Traces(present))
    try:
        exporter = ReportingExporter(OTLPSpanExporter(), monotonic)
        provider = TracerProvider(resource=_resource(instance), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except ValueError as error:
        raise ConfigurationError(f"an OTEL_ variable makes no sense: {error}") from error
    trace.set_tracer_provider(provider)
    return SpanExport(Traces(provider), provider)


class SpanExport:
    """Creates this process's spans (`traces`), and ends their export."""

    def __init__(self, traces: Traces, provider: TracerProvider | None = None) -> None:
        self.traces = traces
        self._provider = provider

    async def close(self) -> None:
        """Send what is left, for `CLOSE_S` at most; what is not sent by then is lost."""
        if self._provider is None:
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def shut_down(provider: TracerProvider) -> None:
            provider.shutdown()
            with suppress(RuntimeError):  # the loop has closed: nothing waits any more
                loop.call_soon_threadsafe(ended.set)

        # A daemon thread, as the library itself would wait up to 30 s.
        threading.Thread(target=shut_down, args=(self._provider,), daemon=True).start()
        try:
            async with asyncio.timeout(CLOSE_S):
                await ended.wait()
        except TimeoutError:
            log.warning("traces.cut_off", waited_s=CLOSE_S)


class ReportingExporter(SpanExporter):
    """An exporter whose failures are logged once a minute at most, with the library's message for the last one."""

    def __init__(self, exporter: SpanExporter, monotonic: Callable[[], float]) -> None:
        self._exporter = exporter
        self._monotonic = monotonic
        self._last_warning = _LastWarning(logging.getLogger(type(exporter).__module__))
        self._lost = 0
        self._report_at = monotonic()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, in the background thread."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            self._report()
        return result

    def _report(self) -> None:
        now = self._monotonic()
        if now < self._report_at:
            return
        log.warning("traces.unsent", spans=self._lost, error=self._last_warning.message)
        self._lost, self._report_at = 0, now + _MIN_INTERVAL_S

    def shutdown(self) -> None:
        """End the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send everything that is buffered."""
        return self._exporter.force_flush(timeout_millis)


class _LastWarning(logging.Handler):
    """Retains a library's last warning instead of logging each one."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logging.WARNING)
        self.message = "unknown"
        logger.addHandler(self)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.message = record.getMessage()


def _resource(instance: str) -> Resource:
    """Return the attributes of all spans of this process; those of the environment go before ours."""
    ours = {
        "service.name": "taskmill",
        "service.version": VERSION,
        "service.instance.id": instance,
    }
    return Resource.create(ours).merge(OTELResourceDetector().detect())
