"""What uvicorn's HTTP protocol leaves open: limits on heads, pace and connections, stalls, upgrades, bad HTTP.

Requests that reach the app are not touched here. Those that its `fast_path` takes, if it has one, go there when
they have come whole and alone.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from taskmill.domain.errors import Unavailable
from taskmill.runtime.client_transport import ClientTransport
from taskmill.runtime.connections import (
    SLOW_ANSWER,
    SLOW_BODY,
    SLOW_HEAD,
    ConnectionLimits,
    Connections,
    address_group,
)
from taskmill.runtime.fast_path import FastPath, FastRequest
from taskmill.runtime.http_access import ANSWER_HEADERS
from taskmill.runtime.http_scope import TARGET
from taskmill.runtime.request_clock import DEFAULT_PACE, Pace, RequestClock
from taskmill.wire.problems import problem_for_status, problem_json

# Of what is no body: a head, a chunk's extensions, trailers.
LARGEST_HEAD_BYTES: Final = 64 * 1024
# A refused upload is read on for so long, because a client that still sends can't hear the refusal.
LARGEST_DISCARD_BYTES: Final = 8 * 1024 * 1024

ABORT: Final = "taskmill.abort"
"""Where a request's scope has what ends its connection at once, whatever was not yet sent."""

_RETRY_AFTER_S: Final = 5.0
_TRANSFER_ENCODING: Final = b"transfer-encoding"
_ABOUT_UPGRADES = frozenset({b"upgrade", b"connection", b"http2-settings"})


class _Nowhere(list[tuple[bytes, bytes]]):
    def append(self, _: tuple[bytes, bytes]) -> None:
        """Keep nothing."""


_NOWHERE: Final = _Nowhere()


class HttpProtocol(HttpToolsProtocol):
    """One connection. The library takes heads of any length and bodies that nobody reads; this does not."""

    transport: ClientTransport  # type: ignore[assignment]  # all that is used of one
    cycle: (
        Any  # the library's record of the request that came last, None at first; or the fast_path's
    )
    _running: Any = (
        None  # that of the one which the app answers: an earlier one when requests are pipelined
    )
    address = ""
    _fast_path: FastPath | None = None
    _data = b""
    _messages = 0
    _is_in_head = True
    _is_head_begun = False
    _went_on = False
    _clock: RequestClock | None = None
    _missing: tuple[int, bool] | None = None
    _head_bytes = 0
    _discarded_bytes = 0
    _wants_upgrade = False

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections | None = None,
        pace: Pace = DEFAULT_PACE,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._all = connections or Connections("http", ConnectionLimits(), self.loop.time)
        self._pace = pace

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as the base has it
        """Start the clock for the first request, if there is room for one more connection."""
        super().connection_made(transport)
        self.transport = ClientTransport(
            transport,
            self.loop,
            stall_s=self._pace.answer_stall_s,
            on_stalled=self._cut_stalled,
        )
        self._fast_path = getattr(self.app, "fast_path", None)
        self.address = address_group(self.client[0]) if self.client else ""
        if self._all.open(self):
            self._await_more()
        else:
            self._refuse_busy()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of all that was kept for it."""
        self._unset_keepalive_if_required()
        self._forget_missing()
        self.transport.stop_waiting()
        self._all.close(self)
        self._report_gone()
        super().connection_lost(exc)
        self.scope = {}  # type: ignore[typeddict-item]  # it refers to this

    @property
    def gives_way_by(self) -> tuple[int, float] | None:
        """The order in which idle ones are closed for others: those first that never sent a whole request.

        One that only waits for the client to take its answer is idle, too.
        """
        if self.transport.is_closing():
            return (0, self.transport.waits_since) if self.transport.unsent else None
        if self._is_answering() or not self._is_in_head:
            return None
        if self._clock is not None:
            return 0, self._clock.began_at
        timer = self.timeout_keep_alive_task
        since = timer.when() - self.timeout_keep_alive if timer is not None else 0.0
        return min(self._messages, 1), since

    def give_way(self) -> None:
        """Close, as another connection needs the place; at once where that would wait for the client."""
        if self.transport.unsent:
            self.transport.abort()
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse, and bound what is still incomplete afterwards."""
        self._data = data
        self._went_on = False
        super().data_received(data)
        self._data = b""
        if self.transport.is_closing():
            return
        if type(self.cycle) is FastRequest and not self.cycle.is_begun:
            self._give_to_app(self.cycle)  # the rest comes later
        if not self._went_on:
            self._head_bytes += len(data)
            if self._head_bytes > LARGEST_HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
        self._note_missing()
        if self._clock is None and not self._is_answering():
            self._await_more()

    def on_message_begin(self) -> None:
        """Let the app cut the connection of a client that takes nothing."""
        super().on_message_begin()
        self._messages += 1
        self._is_head_begun = True
        self.scope[ABORT] = self._abort  # type: ignore[typeddict-unknown-key]  # our own

    def on_headers_complete(self) -> None:
        """Let the request in, unless it is parsed once more without its wish for another protocol."""
        self._check_coding()
        self._went_on = True
        self._is_head_begun = False
        self._head_bytes = 0
        self._wants_upgrade = self.parser.should_upgrade()
        if self._wants_upgrade:
            return
        method = self.parser.get_method()
        if (
            self._fast_path is not None
            and self._fast_path.takes(method, self.url)
            and self._may_pass()
        ):
            self.cycle = FastRequest(self, method, self.url, self.headers)
        else:
            if not self.url.startswith(b"/"):
                self.scope[TARGET] = self.url  # type: ignore[typeddict-unknown-key]  # our own
            super().on_headers_complete()
            if not self.pipeline:
                self._running = self.cycle
            if self.expect_100_continue:
                self.cycle.send = partial(_send_unasked, self.cycle, self.cycle.send)
        self._is_in_head = False
        self.headers = _NOWHERE  # what comes behind a body does not pass for what came before it

    def on_body(self, body: bytes) -> None:
        """Hand over a part of the body; what comes after the answer is thrown away."""
        self._went_on = True
        self._head_bytes = 0
        if self._clock is not None:
            self._clock.note(len(body))
        if self._is_answering():
            super().on_body(body)
            return
        self._discarded_bytes += len(body)
        if self._discarded_bytes > LARGEST_DISCARD_BYTES:
            self.transport.close()

    def on_message_complete(self) -> None:
        """Wait for the next head."""
        self._is_in_head = self._went_on = True
        self._head_bytes = 0
        self._discarded_bytes = 0
        if self._wants_upgrade:
            return
        super().on_message_complete()
        request = self.cycle
        if type(request) is FastRequest and not request.is_begun:
            request.is_begun = True
            if self._fast_path is None or not self._fast_path.begin(request):
                self._give_to_app(request)

    def on_response_complete(self) -> None:
        """Go on with the next one, if there is one."""
        self._running = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()

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

    def _check_coding(self) -> None:
        """Refuse a body in another coding than chunks: what ends it, servers on the way may see in other ways."""
        sent = [value for name, value in self.headers if name == _TRANSFER_ENCODING]
        if sent and (
            [value.lower() for value in sent] != [b"chunked"]
            or self.parser.get_http_version() == "1.0"
        ):
            raise _UnknownCoding  # the parser makes it an answer with 400

    def _note_missing(self) -> None:
        """Run a clock for what has yet to come of a request, and count the connection as long as that is so."""
        if self._is_in_head and self._went_on and not self._is_head_begun:
            self._forget_missing()
            return
        missing = (self._messages, self._is_in_head)
        if missing == self._missing or self.transport.is_closing():
            return
        if self._clock is None:
            if not self._all.begin(self):
                self._refuse_busy()
                return
            self._clock = RequestClock(
                self._pace, self.loop, on_late=self._refuse_late, is_reading=self._is_reading
            )
        self._missing = missing
        if self._is_in_head:
            self._clock.start_head()
        else:
            self._clock.start_body()

    def _forget_missing(self) -> None:
        if self._clock is not None:
            self._clock.stop()
            self._clock = self._missing = None
            self._all.finish(self)

    def _is_reading(self) -> bool:
        return not self.flow.read_paused

    def _may_pass(self) -> bool:
        """Tell whether nothing about the request or its connection is out of the ordinary."""
        return not (
            self._is_answering()
            or self.expect_100_continue
            or self.flow.write_paused
            or self.parser.get_http_version() != "1.1"
            or not self.parser.should_keep_alive()
        )

    def _give_to_app(self, request: FastRequest) -> None:
        """Have the app answer after all. The parser is still at this request."""
        self.cycle = None
        super().on_headers_complete()
        self._running = self.cycle
        self.cycle.body += request.body
        self.cycle.more_body = request.more_body
        if request.body or not request.more_body:
            self.cycle.message_event.set()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _abort(self) -> None:
        self._report_gone()
        self.transport.abort()

    def _cut_stalled(self) -> None:
        self._all.report(SLOW_ANSWER, self.address)
        self._abort()

    def _report_gone(self) -> None:
        """Have the app see that nobody waits for its answer. The library marks only the request that came last."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def _await_more(self) -> None:
        """Close the connection when nothing more comes; any data stops this clock."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _refuse_late(self) -> None:
        """Answer a request that does not come in time, if an answer to it is still to be given, and close."""
        if self.transport.is_closing():
            return
        self._all.report(SLOW_HEAD if self._is_in_head else SLOW_BODY, self.address)
        if self._is_head_begun if self._is_in_head else self._is_answering():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _refuse_busy(self) -> None:
        """Answer that there are too many connections, and close."""
        self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def _refuse(self, status: HTTPStatus) -> None:
        is_started = self._is_answering() and self.cycle.response_started
        if self.pipeline or (self._is_in_head and self._is_answering() and not is_started):
            # It is about what came behind a request that is still to be answered, and would pass for that answer.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if not is_started:
            if status is HTTPStatus.SERVICE_UNAVAILABLE:
                _, headers, body = problem_json(Unavailable(_RETRY_AFTER_S, "a free connection"))
            else:
                _, headers, body = problem_for_status(status)
            lines = [b"%s: %s\r\n" % header for header in ANSWER_HEADERS]
            lines += [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
            length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(b"".join((STATUS_LINE[status], *lines, length, body)))
        self.transport.close()


class _UnknownCoding(Exception):
    """Ends the parsing."""


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
