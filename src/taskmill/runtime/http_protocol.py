"""What uvicorn's HTTP protocol leaves open: limits on heads and trailers, stalled requests, upgrades, bad HTTP.

Requests that reach the app are not touched here. Those that its `lane` takes, if it has one, go there when they
have come whole and alone.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from taskmill.runtime.fast_lane import Lane, LaneRequest
from taskmill.wire.problems import problem_for_status

# Of what is no body: a head, a chunk's extensions, trailers.
LARGEST_HEAD_BYTES: Final = 64 * 1024
# A refused upload is read on for so long, because a client that still sends can't hear the refusal.
LARGEST_DISCARD_BYTES: Final = 8 * 1024 * 1024

ABORT: Final = "taskmill.abort"
"""Where a request's scope has what ends its connection at once, whatever was not yet sent."""

_ABOUT_UPGRADES = frozenset({b"upgrade", b"connection", b"http2-settings"})


class _Nowhere(list[tuple[bytes, bytes]]):
    def append(self, _: tuple[bytes, bytes]) -> None:
        """Keep nothing."""


_NOWHERE: Final = _Nowhere()


class HttpProtocol(HttpToolsProtocol):
    """One connection. The library takes heads of any length and bodies that nobody reads; this does not."""

    transport: "_Joined"  # type: ignore[assignment]  # all that is used of one
    cycle: Any  # the library's record of the request that came last, None at first; or the lane's
    _lane: Lane | None = None
    _data = b""
    _is_in_head = True
    _went_on = False
    _head_bytes = 0
    _discarded_bytes = 0
    _wants_upgrade = False

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as the base has it
        """Start the clock for the first request."""
        super().connection_made(transport)
        self.transport = _Joined(transport, self.loop)
        self._lane = getattr(self.app, "lane", None)
        self._await_more()

    def data_received(self, data: bytes) -> None:
        """Parse, and bound what is still incomplete afterwards."""
        self._data = data
        self._went_on = False
        super().data_received(data)
        self._data = b""
        if self.transport.is_closing():
            return
        if type(self.cycle) is LaneRequest and not self.cycle.is_begun:
            self._give_to_app(self.cycle)  # the rest comes later
        if not self._went_on:
            self._head_bytes += len(data)
            if self._head_bytes > LARGEST_HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
        if not self._is_answering():
            self._await_more()

    def on_message_begin(self) -> None:
        """Let the app cut the connection of a client that takes nothing."""
        super().on_message_begin()
        self.scope[ABORT] = self.transport.abort  # type: ignore[typeddict-unknown-key]  # our own

    def on_headers_complete(self) -> None:
        """Let the request in, unless it is parsed once more without its wish for another protocol."""
        self._went_on = True
        self._head_bytes = 0
        self._wants_upgrade = self.parser.should_upgrade()
        if self._wants_upgrade:
            return
        method = self.parser.get_method()
        if self._lane is not None and self._lane.takes(method, self.url) and self._may_pass():
            self.cycle = LaneRequest(self, method, self.url, self.headers)
        else:
            super().on_headers_complete()
            if self.expect_100_continue:
                self.cycle.send = partial(_send_unasked, self.cycle, self.cycle.send)
        self._is_in_head = False
        self.headers = _NOWHERE  # what comes behind a body does not pass for what came before it

    def on_body(self, body: bytes) -> None:
        """Hand over a part of the body; what comes after the answer is thrown away."""
        self._went_on = True
        self._head_bytes = 0
        if self._is_answering():
            super().on_body(body)
            return
        self._discarded_bytes += len(body)
        if self._discarded_bytes > LARGEST_DISCARD_BYTES:
            self.transport.close()

    def on_message_complete(self) -> None:
        """Wait for the next head."""
        self._is_in_head = True
        self._discarded_bytes = 0
        if self._wants_upgrade:
            return
        super().on_message_complete()
        request = self.cycle
        if type(request) is LaneRequest and not request.is_begun:
            request.is_begun = True
            if self._lane is None or not self._lane.begin(request):
                self._give_to_app(request)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parser's words help nobody
        """Answer what is not proper HTTP, and close."""
        self._refuse(HTTPStatus.BAD_REQUEST)

    def _unsupported_upgrade_warning(self) -> None:
        """Go on as if no upgrade had been asked for, as RFC 9110 allows.

        Java's client asks for HTTP/2 with every request. The parser takes all that follows such a head,
        the body too, for another protocol; so it gets the head again without the wish, then the rest.
        """
        upgrade = sys.exception()
        rest = self._data[upgrade.args[0] :] if upgrade is not None and upgrade.args else b""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
            return
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % (n, v) for n, v in self.headers if n not in _ABOUT_UPGRADES]
        if any(n == b"connection" and b"close" in v.lower() for n, v in self.headers):
            lines.append(b"connection: close")
        self.parser = httptools.HttpRequestParser(self)
        # What follows may wish so, too, and the parser counts from where it was begun.
        self._data = b"\r\n".join((*lines, b"", rest))
        super().data_received(self._data)

    def _may_pass(self) -> bool:
        """Tell whether nothing about the request or its connection is out of the ordinary."""
        return not (
            self._is_answering()
            or self.expect_100_continue
            or self.flow.write_paused
            or self.parser.get_http_version() != "1.1"
            or not self.parser.should_keep_alive()
        )

    def _give_to_app(self, request: LaneRequest) -> None:
        """Have the app answer after all. The parser is still at this request."""
        self.cycle = None
        super().on_headers_complete()
        self.cycle.body += request.body
        self.cycle.more_body = request.more_body
        if request.body or not request.more_body:
            self.cycle.message_event.set()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_more(self) -> None:
        """Close the connection when nothing more comes; any data stops this clock."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _refuse(self, status: HTTPStatus) -> None:
        is_started = self._is_answering() and self.cycle.response_started
        if self.pipeline or (self._is_in_head and self._is_answering() and not is_started):
            # It is about what came behind a request that is still to be answered, and would pass for that answer.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if not is_started:
            _, headers, body = problem_for_status(status)
            lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
            length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(b"".join((STATUS_LINE[status], *lines, length, body)))
        self.transport.close()


async def _send_unasked(
    cycle: Any,  # noqa: ANN401 - the library's record of the request
    send: Callable[[Any], Awaitable[None]],
    message: Any,  # noqa: ANN401 - as it comes
) -> None:
    """Close behind an answer that comes before the client was asked for its body.

    It may send the body or leave it: what it sends next could be taken for the one or the other.
    """
    if cycle.waiting_for_100_continue:
        cycle.keep_alive = False
    await send(message)


class _Joined:
    """Writes an answer's head together with what follows in the same turn of the loop.

    The library writes them one after the other, and each write is a call of the kernel that wakes the client:
    a tenth of all that a small answer costs (measured 2026-11-25).
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._head: bytes | None = None
        self.is_closing = transport.is_closing
        self.abort = transport.abort

    def write(self, data: bytes) -> None:
        if self._head is not None:
            data, self._head = self._head + data, None
        elif data.startswith(b"HTTP/"):
            self._head = data
            self._call_soon(self._flush)
            return
        self._transport.write(data)

    def write_whole(self, answer: bytes) -> None:
        """Write an answer that needs nothing to follow."""
        self._flush()
        self._transport.write(answer)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head)
