"""Requests that are answered without a coroutine: all of one has come, and a callback writes its answer.

Which requests go this way is a `FastPath`'s matter. What it does not take, or gives back, goes to the app.
"""

from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

Header = tuple[bytes, bytes]


class FastPath(Protocol):
    """What answers requests in this way; it must never block."""

    def takes(self, method: bytes, url: bytes) -> bool:
        """Tell from its first line whether a request may go this way."""
        ...

    def begin(self, request: "FastRequest") -> bool:
        """Begin with a request that has come whole; `respond` is called later. False leaves it to the app."""
        ...


class FastRequest:
    """One request, in the place of the library's own record of it; it has what the library sets there.

    `headers` have names in lower case.
    """

    __slots__ = (
        "_connection",
        "body",
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
        self.body = bytearray()
        self.more_body = True
        self.is_begun = False
        self.keep_alive = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False

    @property
    def message_event(self) -> "_Unheard":
        """What the library wakes up a coroutine with."""
        return _UNHEARD

    def respond(self, status: int, headers: tuple[Header, ...], body: bytes) -> None:
        """Write the answer, unless the client has gone; then let go of what an idle connection need not hold."""
        connection, self._connection = self._connection, None
        self.body = bytearray()
        transport = connection.transport
        self.response_started = self.response_complete = True
        if not transport.is_closing():
            parts = [STATUS_LINE[status]]
            for name, value in (*connection.server_state.default_headers, *headers):
                parts += (name, b": ", value, b"\r\n")
            if not self.keep_alive:
                parts.append(b"connection: close\r\n")
            parts.append(b"content-length: %d\r\n\r\n" % len(body))
            parts.append(body)
            transport.write_whole(b"".join(parts))
            if not self.keep_alive:
                transport.close()
        connection.on_response_complete()


class _Unheard:
    def set(self) -> None:
        """Wake up nobody."""


_UNHEARD = _Unheard()
