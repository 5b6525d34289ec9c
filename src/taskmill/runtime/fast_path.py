"""Requests that are served without a coroutine: when one has come completely, callbacks write its response.

A `FastHandler` decides which requests it serves. The others go to the app.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, Protocol

from taskmill.runtime.http_access import DEFAULT_RESPONSE_HEADERS
from taskmill.runtime.uvicorn_internals import STATUS_LINE

Header = tuple[bytes, bytes]

_DEFAULT_LINES: Final = b"".join(b"%s: %s\r\n" % header for header in DEFAULT_RESPONSE_HEADERS)
_NOT_MODIFIED: Final = int(HTTPStatus.NOT_MODIFIED)


class FastHandler(Protocol):
    """Serves requests by callbacks; it must never block."""

    def accepts(self, method: bytes, url: bytes) -> bool:
        """Return whether it may serve a request with this first line."""
        ...

    def begin(self, request: "FastRequest") -> bool:
        """Begin to serve a complete request; `respond` is called later. False leaves it to the app."""
        ...


class FastRequest:
    """One request, in the place of uvicorn's `RequestResponseCycle`, with the attributes that uvicorn sets.

    The names of `headers` are in lower case. `client` is the client's address if proxies are trusted.
    """

    __slots__ = (
        "_connection",
        "body",
        "client",
        "disconnected",
        "headers",
        "is_begun",
        "keep_alive",
        "method",
        "more_body",
        "response_complete",
        "response_started",
        "url",
    )

    def __init__(
        self,
        connection: Any,  # noqa: ANN401 - the protocol, which knows this module
        method: bytes,
        url: bytes,
        headers: list[Header],
    ) -> None:
        self._connection = connection
        self.method = method
        self.url = url
        self.headers = headers
        self.client: str | None = None
        self.body = bytearray()
        self.more_body = True
        self.is_begun = False
        self.keep_alive = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False

    @property
    def message_event(self) -> "_NoEvent":
        """The event that uvicorn sets to wake a coroutine; here there is none."""
        return _NO_EVENT

    @property
    def host(self) -> str:
        """The client's address, empty if it has none; only before the response."""
        if self.client is not None:
            return self.client
        peer = self._connection.client
        return peer[0] if peer else ""

    def digest(self, authorization: bytes, digest_of: Callable[[bytes], bytes]) -> bytes:
        """Return the digest of the `Authorization`, made once while a connection sends the same."""
        connection = self._connection
        if connection.digested[0] != authorization:
            connection.digested = authorization, digest_of(authorization)
        digest: bytes = connection.digested[1]
        return digest

    def respond(self, status: int, headers: tuple[Header, ...], body: bytes) -> None:
        """Write the response, unless the client has gone, and free what an idle connection does not need.

        `headers` are without the `DEFAULT_RESPONSE_HEADERS`.
        """
        connection, self._connection = self._connection, None
        self.body = bytearray()
        transport = connection.transport
        self.response_started = self.response_complete = True
        if not transport.is_closing():
            parts = [STATUS_LINE[status]]
            for name, value in connection.server_state.default_headers:
                parts += (name, b": ", value, b"\r\n")
            parts.append(_DEFAULT_LINES)
            for name, value in headers:
                parts += (name, b": ", value, b"\r\n")
            if not self.keep_alive:
                parts.append(b"connection: close\r\n")
            if status != _NOT_MODIFIED:
                parts.append(b"content-length: %d\r\n" % len(body))
            parts += (b"\r\n", body)
            transport.write_whole(b"".join(parts))
            if not self.keep_alive:
                transport.close()
        connection.on_response_complete()


class _NoEvent:
    def set(self) -> None:
        """Do nothing."""


_NO_EVENT = _NoEvent()
