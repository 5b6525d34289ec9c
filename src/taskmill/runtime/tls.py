"""TLS between a plain connection and the protocol above it, which sees a transport like any other.

asyncio's own TLS hides how much a connection has still to send, cuts off a response after 30 s if the connection
is to be closed, and reports none before its handshake is complete, so that limits could not count it. This
encrypts at once, with `ssl.MemoryBIO`, and leaves flow control, closing and buffers to the plain transport
(docs/decisions/0073-tls-and-proxies-end-at-the-connection.md). It decides nothing about certificates.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from taskmill.observability.metrics import HANDSHAKES_FAILED
from taskmill.runtime.connections import SLOW_HANDSHAKE, Connections, address_group
from taskmill.runtime.request_clock import Pace
from taskmill.runtime.uvicorn_internals import ServerState

_READ_BYTES: Final = 256 * 1024


class TlsTransport:
    """What the protocol above writes to: it encrypts, and passes everything else on to the plain transport."""

    def __init__(
        self, plain: asyncio.Transport, tls: ssl.SSLObject, outgoing: ssl.MemoryBIO
    ) -> None:
        self._plain = plain
        self._tls = tls
        self._outgoing = outgoing
        self.is_closing = plain.is_closing
        self.get_write_buffer_size = plain.get_write_buffer_size
        self.get_write_buffer_limits = plain.get_write_buffer_limits
        self.set_write_buffer_limits = plain.set_write_buffer_limits
        self.pause_reading = plain.pause_reading
        self.resume_reading = plain.resume_reading
        self.is_reading = plain.is_reading
        self.abort = plain.abort

    def write(self, data: bytes) -> None:
        """Encrypt, and send as soon as possible."""
        if self._plain.is_closing():
            return
        remaining = memoryview(data)
        while remaining:  # a call encrypts one record of 16 KiB
            remaining = remaining[self._tls.write(remaining) :]
        self.flush()

    def flush(self) -> None:
        """Send what is encrypted."""
        if self._outgoing.pending:
            self._plain.write(self._outgoing.read())

    def close(self) -> None:
        """Send all that was written, and that nothing follows; then close, without waiting for the other side."""
        if self._plain.is_closing():
            return
        with suppress(ssl.SSLError):  # it wants to wait for the other side's end
            self._tls.unwrap()
        self.flush()
        self._plain.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as asyncio has it
        """Return what asyncio's transports with TLS know, too."""
        if name == "sslcontext":
            return self._tls.context
        if name == "ssl_object":
            return self._tls
        return self._plain.get_extra_info(name, default)


class TlsProtocol(asyncio.Protocol):
    """One connection. Until its handshake is complete it counts as one with an incomplete request."""

    transport: asyncio.Transport
    address = ""
    _above: asyncio.Protocol | None = None
    _timer: asyncio.TimerHandle | None = None
    _began_at = 0.0

    def __init__(
        self,
        make_above: Callable[[], asyncio.Protocol],
        *,
        context: ssl.SSLContext,
        connections: Connections,
        pace: Pace,
        server_state: ServerState,
    ) -> None:
        self._make_above = make_above
        self._connections = connections
        self._pace = pace
        self._server_state: Any = server_state
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - uvloop's is none of asyncio's
        """Wait for the handshake, if there is room for one more connection."""
        self.transport = transport
        self._secure = TlsTransport(transport, self._tls, self._outgoing)
        peer = transport.get_extra_info("peername")
        self.address = address_group(str(peer[0])) if peer else ""
        self._server_state.connections.add(self)
        loop = asyncio.get_running_loop()
        self._began_at = loop.time()
        if self._connections.open(self) and self._connections.begin(self, self.address):
            self._timer = loop.call_later(self._pace.head_s, self._end_late)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Decrypt, and pass on."""
        self._incoming.write(data)
        try:
            if self._above is None and not self._complete_handshake():
                return
            received, is_end = self._decrypted()
        except ssl.SSLError:
            self._fail()
            return
        if received and self._above is not None and not self.transport.is_closing():
            self._above.data_received(received)
        if is_end:
            self._secure.close()

    def eof_received(self) -> None:
        """Let the transport close."""

    def pause_writing(self) -> None:
        """Pass it on."""
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        if self._above is not None:
            self._above.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on, or forget a connection that has never come so far."""
        if self._above is None:
            self._stop_counting()
        else:
            self._above.connection_lost(exc)

    @property
    def eviction_order(self) -> tuple[int, float] | None:
        """The order in which it is closed for a new one: among those without a complete request."""
        return None if self.transport.is_closing() else (0, self._began_at)

    def evict(self) -> None:
        """Close, to make room for a new connection."""
        self.transport.abort()

    def shutdown(self) -> None:
        """Close: the server stops."""
        self.transport.abort()

    def _complete_handshake(self) -> bool:
        """Go on with the handshake; return whether it is complete."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._secure.flush()
            return False
        self._secure.flush()
        self._stop_counting()
        self._above = self._make_above()
        self._above.connection_made(self._secure)  # type: ignore[arg-type]  # it has all that is used
        return True

    def _decrypted(self) -> tuple[bytes, bool]:
        """Return what has come, and whether it was the end."""
        parts = []
        is_end = False
        try:
            while part := self._tls.read(_READ_BYTES):
                parts.append(part)
            is_end = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            is_end = True
        if self._outgoing.pending:
            self._secure.flush()
        return (parts[0] if len(parts) == 1 else b"".join(parts)), is_end

    def _fail(self) -> None:
        """Send the alert that says why, and close."""
        if self._above is None:
            HANDSHAKES_FAILED.add(1)
        self._secure.flush()
        self.transport.close()

    def _end_late(self) -> None:
        self._connections.report(SLOW_HANDSHAKE, self.address)
        self.transport.abort()

    def _stop_counting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._connections.close(self)
        self._server_state.connections.discard(self)
