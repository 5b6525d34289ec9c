"""Compresses large responses to reads (gzip), for clients that accept it.

Threads do it, a few at once: when all are busy the response is sent uncompressed. Only responses to GET are
compressed, and only JSON that comes in one piece: streams are passed on as they come.

The length of a compressed response reveals its content to an attacker who sees it and chooses a part of it
(BREACH). So no response to a GET may have a secret: those of webhooks are shown by the POST and the PATCH that
make them.
"""

import asyncio
import gzip
from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_BYTES: Final = 16 * 1024
"""Compressing less than this takes longer than sending it."""

VARY: Final = (b"vary", b"accept-encoding")
_ENCODED: Final = (b"content-encoding", b"gzip")
_AT_ONCE: Final = 2
# A page of 500 tasks (342 KB) is 7.7 times as short in 2.6 ms; with 6 8.7 times, in 5.8 ms (measured 2026-11-28).
_LEVEL: Final = 1
_OK: Final = 200

Headers = Iterable[tuple[bytes, bytes]]


def accepts_gzip(headers: Headers) -> bool:
    """Return whether a client accepts gzip."""
    offered: dict[bytes, bool] = {}
    for name, value in headers:
        if name == b"accept-encoding":
            for coding in value.lower().split(b","):
                name_of_coding, _, weight = coding.partition(b";")
                offered[name_of_coding.strip()] = weight.replace(b" ", b"").rstrip(b"0.") != b"q="
    return offered.get(b"gzip", offered.get(b"*", False))


def encoded_headers(headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of a response whose body is compressed: its entity tag becomes weak."""
    return (
        *((name, _weak(value) if name == b"etag" else value) for name, value in headers),
        _ENCODED,
    )


def _weak(tag: bytes) -> bytes:
    return tag if tag.startswith(b"W/") else b"W/" + tag


class Compressor:
    """The threads that compress; the fast path and the layer share them."""

    def __init__(self) -> None:
        self._running = 0

    def begin(self, body: bytes) -> "asyncio.Future[bytes] | None":
        """Begin to compress; None when all threads are busy."""
        if self._running >= _AT_ONCE:
            return None
        self._running += 1
        loop = asyncio.get_running_loop()
        pending = loop.run_in_executor(None, _compressed, body)
        pending.add_done_callback(self._count_down)
        return pending

    def _count_down(self, _: "asyncio.Future[bytes]") -> None:
        self._running -= 1


def _compressed(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)


class Compression:
    """The layer that compresses the inner layers' responses to reads."""

    def __init__(self, app: ASGIApp, compressor: Compressor) -> None:
        self._app = app
        self._compressor = compressor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def pass_on(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _may_be_compressed(message):
                start = message
                return
            if start is not None:
                begun, start = start, None
                message = await self._compress(scope, begun, message)
                await send(begun)
            await send(message)

        await self._app(scope, receive, pass_on)

    async def _compress(self, scope: Scope, start: Message, message: Message) -> Message:
        """Return the body to send, and set the head's headers to match it."""
        body: bytes = message.get("body", b"")
        if message.get("more_body", False) or len(body) < LEAST_BYTES:
            return message
        headers = start["headers"] = [*start["headers"], VARY]
        pending = self._compressor.begin(body) if accepts_gzip(scope["headers"]) else None
        if pending is None:
            return message
        compressed = await pending
        others = (header for header in headers if header[0] != b"content-length")
        length = (b"content-length", b"%d" % len(compressed))
        start["headers"] = [*encoded_headers(others), length]
        return {**message, "body": compressed}


def _may_be_compressed(start: Message) -> bool:
    headers = dict(start["headers"])
    return (
        start["status"] == _OK
        and headers.get(b"content-type", b"").startswith(b"application/json")
        and b"content-encoding" not in headers
    )
