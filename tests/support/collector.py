"""A minimal collector that takes spans over OTLP/HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.polling import wait_until


@dataclass(frozen=True, kw_only=True)
class Received:
    """A received span; ids in hex, `parent_id` is empty for the root of a trace."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str]
    resource: dict[str, str]


@dataclass(kw_only=True)
class Collector:
    """The spans received at `url` so far, the oldest first."""

    url: str
    spans: list[Received] = field(default_factory=list)

    def has(self, *names: str) -> None:
        """Wait until a span of each name has been received."""
        wait_until(
            lambda: {span.name for span in self.spans} >= set(names),
            f"spans {names}",
            timeout_s=30,
        )

    def one(self, name: str) -> Received:
        """The only span of that name."""
        [found] = [span for span in self.spans if span.name == name]
        return found


@contextmanager
def a_collector() -> Iterator[Collector]:
    """Collect until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                collector.spans.extend(_received(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _received(body: bytes) -> Iterator[Received]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = {one.key: one.value.string_value for one in group.resource.attributes}
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Received(
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    attributes={one.key: one.value.string_value for one in span.attributes},
                    resource=resource,
                )
