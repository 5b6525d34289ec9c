"""Where spans go: over OTLP/HTTP, from a thread in the background, as the `OTEL_` variables say.

A collector that is slow or away costs spans, never time: the queue is bounded, and stopping waits for the last
export only so long. What is lost so is told in the log now and then.
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
from taskmill.version import version

__all__ = ["CLOSE_S", "SpanExport", "ToldExporter", "open_export"]

log = get_logger(__name__)

CLOSE_S: Final = 2.0
"""How long a process that stops waits for its last spans to be sent."""

_QUIET_S: Final = 60.0


def open_export(instance: str, monotonic: Callable[[], float]) -> "SpanExport":
    """Begin to export the spans of this process, which is called `instance`, and those of its handlers' libraries.

    `monotonic` tells seconds. A provider that somebody has set for the process, as `opentelemetry-instrument`
    does, is used as it is.

    Raises:
        ConfigurationError: an `OTEL_` variable makes no sense.
    """
    present = trace.get_tracer_provider()
    if not isinstance(present, trace.ProxyTracerProvider):
        return SpanExport(Traces(present))
    try:
        exporter = ToldExporter(OTLPSpanExporter(), monotonic)
        provider = TracerProvider(resource=_resource(instance), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except ValueError as error:
        raise ConfigurationError(f"an OTEL_ variable makes no sense: {error}") from error
    trace.set_tracer_provider(provider)
    return SpanExport(Traces(provider), provider)


class SpanExport:
    """What makes this process's spans (`traces`), and the end of their export."""

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
            with suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

        # A thread that nobody waits for: the library's own bound is 30 s.
        threading.Thread(target=shut_down, args=(self._provider,), daemon=True).start()
        try:
            async with asyncio.timeout(CLOSE_S):
                await ended.wait()
        except TimeoutError:
            log.warning("traces.cut_off", waited_s=CLOSE_S)


class ToldExporter(SpanExporter):
    """An exporter whose failures are told once a minute at most, with what the library said of the last one."""

    def __init__(self, exporter: SpanExporter, monotonic: Callable[[], float]) -> None:
        self._exporter = exporter
        self._monotonic = monotonic
        self._said = _LastWord(logging.getLogger(type(exporter).__module__))
        self._lost = 0
        self._tell_at = monotonic()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, from the thread in the background."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            self._tell()
        return result

    def _tell(self) -> None:
        now = self._monotonic()
        if now < self._tell_at:
            return
        log.warning("traces.unsent", spans=self._lost, error=self._said.message)
        self._lost, self._tell_at = 0, now + _QUIET_S

    def shutdown(self) -> None:
        """End the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Have everything sent that was handed over."""
        return self._exporter.force_flush(timeout_millis)


class _LastWord(logging.Handler):
    """Keeps what a library says of its trouble instead of having it logged each time."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logging.WARNING)
        self.message = "unknown"
        logger.addHandler(self)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.message = record.getMessage()


def _resource(instance: str) -> Resource:
    """Return what all spans say of their process; what the environment says goes before ours."""
    ours = {
        "service.name": "taskmill",
        "service.version": version(),
        "service.instance.id": instance,
    }
    return Resource.create(ours).merge(OTELResourceDetector().detect())
