"""Adds to uvicorn's HTTP protocol: limits on heads, pace and connections, stalls, upgrades, responses to bad HTTP.

Requests that reach the app are not changed here. Those that the app's `fast_path` accepts, if it has one, go there
once they have come completely, unless they are pipelined.
"""

import asyncio
import sys
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import httptools
import uvicorn

from taskmill.runtime.client_transport import ClientTransport
from taskmill.runtime.connections import (
    SLOW_BODY,
    SLOW_HEAD,
    SLOW_RESPONSE,
    ConnectionLimits,
    Connections,
    address_group,
)
from taskmill.runtime.fast_path import FastHandler, FastRequest
from taskmill.runtime.forwarded import TrustedProxies
from taskmill.runtime.http_refusals import refusal, send_before_continue
from taskmill.runtime.http_scope import ABORT, CLIENT, TARGET
from taskmill.runtime.request_clock import DEFAULT_PACE, Pace, RequestClock
from taskmill.runtime.uvicorn_internals import HttpToolsProtocol, ServerState

# Of everything but the body: a head, a chunk's extensions, trailers.
LARGEST_HEAD_BYTES: Final = 64 * 1024
# A refused upload is read on this far: a client that still sends does not read the refusal.
LARGEST_DISCARD_BYTES: Final = 8 * 1024 * 1024

_TRANSFER_ENCODING: Final = b"transfer-encoding"
_ABOUT_UPGRADES = frozenset({b"upgrade", b"connection", b"http2-settings"})


class _DiscardingList(list[tuple[bytes, bytes]]):
    def append(self, _: tuple[bytes, bytes]) -> None:
        """Discard it."""


_DISCARD: Final = _DiscardingList()


class HttpProtocol(HttpToolsProtocol):
    """One connection. uvicorn accepts heads of any length and bodies that nobody reads; this does not."""

    transport: ClientTransport  # type: ignore[assignment]  # it has all that uvicorn uses
    # uvicorn's cycle, or a FastRequest, of the latest request; None at first.
    cycle: Any
    # The cycle of the request that the app serves: an earlier one when requests are pipelined.
    _running: Any = None
    address = ""
    # Who sent the request that is coming, as limits count it; the connection itself is always the peer's.
    _sender = ""
    _proxies: TrustedProxies | None = None
    _is_proxied = False
    # The latest `Authorization` of requests for the fast path, and its digest.
    digested = (b"", b"")
    _fast_path: FastHandler | None = None
    _data = b""
    _messages = 0
    _is_in_head = True
    _is_head_begun = False
    _has_advanced = False
    _clock: RequestClock | None = None
    _missing: tuple[int, bool] | None = None
    _head_bytes = 0
    _discarded_bytes = 0
    _wants_upgrade = False
    # Since when it waits for a request; None while one is coming or served.
    _idle_since: float | None = None

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections | None = None,
        pace: Pace = DEFAULT_PACE,
        proxies: TrustedProxies | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._connections = connections or Connections("http", ConnectionLimits(), self.loop.time)
        self._pace = pace
        self._proxies = proxies

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - as the base has it
        """Wait for the first request, if there is room for one more connection."""
        super().connection_made(transport)
        self.transport = ClientTransport(
            transport,
            self.loop,
            stall_s=self._pace.response_stall_s,
            on_stalled=self._abort_stalled,
        )
        self._fast_path = getattr(self.app, "fast_path", None)
        self.address = self._sender = address_group(self.client[0]) if self.client else ""
        if self._proxies is not None and self.client is not None:
            self._is_proxied = self._proxies.trusts(self.client[0])
        if self._connections.open(self):
            self._start_keep_alive()
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything that belongs to the connection."""
        self._unset_keepalive_if_required()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self._stop_clock()
        self.transport.stop_waiting()
        self._connections.close(self)
        self._mark_disconnected()
        super().connection_lost(exc)
        self.scope = {}  # type: ignore[typeddict-item]  # it refers to this

    @property
    def eviction_order(self) -> tuple[int, float] | None:
        """The order in which idle connections are closed for new ones: first those without a complete request.

        A connection that only waits for the client to read its response is idle, too.
        """
        if self.transport.is_closing():
            return (0, self.transport.stalled_since) if self.transport.unsent else None
        if self._is_responding() or not self._is_in_head:
            return None
        if self._clock is not None:
            return 0, self._clock.began_at
        return min(self._messages, 1), self._idle_since or 0.0

    def evict(self) -> None:
        """Close, to make room for a new connection; abort if closing would wait for the client."""
        if self.transport.unsent:
            self.transport.abort()
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse, and limit what is still incomplete afterwards."""
        self._data = data
        self._has_advanced = False
        super().data_received(data)
        self._data = b""
        if self.transport.is_closing():
            return
        if type(self.cycle) is FastRequest and not self.cycle.is_begun:
            self._pass_to_app(self.cycle)  # the remaining body comes later
        if not self._has_advanced:
            self._head_bytes += len(data)
            if self._head_bytes > LARGEST_HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
        self._update_clock()
        if self._clock is None and not self._is_responding():
            self._start_keep_alive()

    def on_message_begin(self) -> None:
        """Let the app abort the connection of a client that reads nothing."""
        super().on_message_begin()
        self._messages += 1
        self._is_head_begun = True
        self.scope[ABORT] = self._abort  # type: ignore[typeddict-unknown-key]  # our own

    def on_headers_complete(self) -> None:
        """Start the request, unless it asks for an upgrade: then it is parsed again without that."""
        self._check_transfer_encoding()
        self._has_advanced = True
        self._is_head_begun = False
        self._head_bytes = 0
        self._wants_upgrade = self.parser.should_upgrade()
        if self._wants_upgrade:
            return
        if self._proxies is not None:
            self._name_client(self._proxies)
        method = self.parser.get_method()
        if (
            self._fast_path is not None
            and self._fast_path.accepts(method, self.url)
            and self._is_ordinary()
        ):
            self.cycle = FastRequest(self, method, self.url, self.headers)
            if self._proxies is not None:
                self.cycle.client = self.scope[CLIENT]  # type: ignore[typeddict-item]  # our own
        else:
            if not self.url.startswith(b"/"):
                self.scope[TARGET] = self.url  # type: ignore[typeddict-unknown-key]  # our own
            super().on_headers_complete()
            if not self.pipeline:
                self._running = self.cycle
            if self.expect_100_continue:
                self.cycle.send = partial(send_before_continue, self.cycle, self.cycle.send)
        self._is_in_head = False
        self.headers = _DISCARD  # trailers must not be taken for headers

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body; after the response it is discarded."""
        self._has_advanced = True
        self._head_bytes = 0
        if self._clock is not None:
            self._clock.count_bytes(len(body))
        if self._is_responding():
            super().on_body(body)
            return
        self._discarded_bytes += len(body)
        if self._discarded_bytes > LARGEST_DISCARD_BYTES:
            self.transport.close()

    def on_message_complete(self) -> None:
        """Wait for the next head."""
        self._is_in_head = self._has_advanced = True
        self._head_bytes = 0
        self._discarded_bytes = 0
        if self._wants_upgrade:
            return
        super().on_message_complete()
        request = self.cycle
        if type(request) is FastRequest and not request.is_begun:
            request.is_begun = True
            if self._fast_path is None or not self._fast_path.begin(request):
                self._pass_to_app(request)

    def on_response_complete(self) -> None:
        """Continue with the next pipelined request, if there is one."""
        if self.pipeline or self.transport.is_closing():
            self._running = self.pipeline[-1][0] if self.pipeline else None
            super().on_response_complete()
            return
        self._running = None
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._start_keep_alive()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parser's message would not help the client
        """Respond to malformed HTTP with 400, and close."""
        self._refuse(HTTPStatus.BAD_REQUEST)

    def _unsupported_upgrade_warning(self) -> None:
        """Ignore the upgrade, as RFC 9110 allows.

        Java's client asks for HTTP/2 with every request. The parser takes everything after such a head, also the
        body, for another protocol. So it gets the head again without the upgrade, then the remaining data.
        """
        upgrade = sys.exception()
        remaining = self._data[upgrade.args[0] :] if upgrade is not None and upgrade.args else b""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
            return
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % (n, v) for n, v in self.headers if n not in _ABOUT_UPGRADES]
        if any(n == b"connection" and b"close" in v.lower() for n, v in self.headers):
            lines.append(b"connection: close")
        self.parser = httptools.HttpRequestParser(self)
        # The next request may ask for an upgrade, too, and the new parser counts from the start of this data.
        self._data = b"\r\n".join((*lines, b"", remaining))
        super().data_received(self._data)

    def _check_transfer_encoding(self) -> None:
        """Refuse other transfer encodings than chunked: a proxy might see the body end elsewhere."""
        sent = [value for name, value in self.headers if name == _TRANSFER_ENCODING]
        if sent and (
            [value.lower() for value in sent] != [b"chunked"]
            or self.parser.get_http_version() == "1.0"
        ):
            raise _UnknownTransferEncoding  # the parser turns it into a 400

    def _name_client(self, proxies: TrustedProxies) -> None:
        """Let the rest see the request as its client has sent it."""
        host = self.client[0] if self.client else ""
        if self._is_proxied:
            host, scheme = proxies.origin(host, self.headers)
            self._sender = address_group(host)
            self.scope["client"] = (host, 0)
            if scheme is not None:
                self.scope["scheme"] = scheme
        self.scope[CLIENT] = host  # type: ignore[typeddict-unknown-key]  # our own

    def _update_clock(self) -> None:
        """Run a clock while a part of a request is missing, and count the connection as unfinished meanwhile."""
        if self._is_in_head and self._has_advanced and not self._is_head_begun:
            self._stop_clock()
            return
        missing = (self._messages, self._is_in_head)
        if missing == self._missing or self.transport.is_closing():
            return
        sender = self.address if self._is_in_head else self._sender
        if not self._connections.begin(self, sender):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        if self._clock is None:
            self._clock = RequestClock(
                self._pace, self.loop, on_late=self._refuse_late, is_reading=self._is_reading
            )
        self._missing = missing
        self._clock.start(is_head=self._is_in_head)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.stop()
            self._clock = self._missing = None
            self._connections.finish(self)

    def _is_reading(self) -> bool:
        return not self.flow.read_paused

    def _is_ordinary(self) -> bool:
        """Return whether the request and its connection have nothing unusual."""
        return not (
            self._is_responding()
            or self.expect_100_continue
            or self.flow.write_paused
            or self.parser.get_http_version() != "1.1"
            or not self.parser.should_keep_alive()
        )

    def _pass_to_app(self, request: FastRequest) -> None:
        """Pass the request to the app after all. The parser is still at this request."""
        self.cycle = None
        super().on_headers_complete()
        self._running = self.cycle
        self.cycle.body += request.body
        self.cycle.more_body = request.more_body
        if request.body or not request.more_body:
            self.cycle.message_event.set()

    def _is_responding(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _abort(self) -> None:
        self._mark_disconnected()
        self.transport.abort()

    def _abort_stalled(self) -> None:
        self._connections.report(SLOW_RESPONSE, self._sender)
        self._abort()

    def _mark_disconnected(self) -> None:
        """Let the app see that the client has gone. uvicorn marks only the latest request."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def _start_keep_alive(self) -> None:
        """Close the connection if nothing more comes.

        The timer goes on; uvicorn's new one for each request takes 2 of its 80 us (measured 2026-11-29).
        """
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._check_keep_alive()

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _check_keep_alive(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        remaining_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if remaining_s > 0:
            self.timeout_keep_alive_task = self.loop.call_later(remaining_s, self._check_keep_alive)
        else:
            self.timeout_keep_alive_handler()

    def _refuse_late(self) -> None:
        """Respond with 408 to a request that comes too slowly, if it has no response yet, and close."""
        if self.transport.is_closing():
            return
        if self._is_in_head:
            self._connections.report(SLOW_HEAD, self.address)
        else:
            self._connections.report(SLOW_BODY, self._sender)
        if self._is_head_begun if self._is_in_head else self._is_responding():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        is_started = self._is_responding() and self.cycle.response_started
        if self.pipeline or (self._is_in_head and self._is_responding() and not is_started):
            # The refusal is about a later request, and would be taken for the response to the one being served.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if not is_started:
            self.transport.write(refusal(status))
        self.transport.close()


class _UnknownTransferEncoding(Exception):
    """Ends the parsing."""
