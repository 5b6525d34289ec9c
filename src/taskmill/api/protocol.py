"""What uvicorn's HTTP protocol leaves open: limits on heads, idle uploads, and problems for bad HTTP.

Requests that reach the app are not touched here.
"""

from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from taskmill.wire.problems import problem_for_status

LARGEST_HEAD_BYTES: Final = 64 * 1024
# A refused upload is read on for so long, because a client that still sends can't hear the refusal.
LARGEST_DISCARD_BYTES: Final = 8 * 1024 * 1024


class HttpProtocol(HttpToolsProtocol):
    """One connection. The parser takes heads of any length and bodies that nobody reads; this does not."""

    _refusal = HTTPStatus.BAD_REQUEST
    _is_in_head = True
    _head_came = False
    _head_bytes = 0
    _discarded_bytes = 0

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as the base has it
        """Start the clock for the first request."""
        super().connection_made(transport)
        self._await_more()

    def data_received(self, data: bytes) -> None:
        """Parse, and bound what is still incomplete afterwards."""
        self._head_came = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._is_in_head and not self._head_came:
            self._head_bytes += len(data)
            if self._head_bytes > LARGEST_HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
        if self.cycle is None or self.cycle.response_complete:
            self._await_more()

    def on_headers_complete(self) -> None:
        """Let the request in."""
        self._is_in_head = False
        self._head_came = True
        self._head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand over a part of the body; what comes after the answer is thrown away."""
        if self.cycle.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > LARGEST_DISCARD_BYTES:
                self.transport.close()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next head."""
        self._is_in_head = True
        self._discarded_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parser's words help nobody
        """Answer what is not proper HTTP, and close."""
        self._refuse(self._refusal)

    def _await_more(self) -> None:
        """Close the connection when nothing more comes; any data stops this clock."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _refuse(self, status: HTTPStatus) -> None:
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if not (is_answering and self.cycle.response_started):
            _, headers, body = problem_for_status(status)
            lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
            length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(b"".join((STATUS_LINE[status], *lines, length, body)))
        self.transport.close()
