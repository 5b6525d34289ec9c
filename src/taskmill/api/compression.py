"""Compresses large answers to reads (gzip), for clients that take them so.

It is done in threads, a few at once: when all are busy the answer goes as it is. Only answers to GET are
compressed, and only JSON that comes in one piece: streams go on as they come.

The length of what is compressed tells of its content, to whoever can see it and choose a part of it (BREACH). So
no secret may ever be in an answer to a GET: those of webhooks are shown by the POST and the PATCH that make them.
"""

import asyncio
import gzip
from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_BYTES: Final = 16 * 1024
"""What is shorter is sent sooner than it is compressed."""

VARY: Final = (b"vary", b"accept-encoding")
_ENCODED: Final = (b"content-encoding", b"gzip")
_AT_ONCE: Final = 2
# A page of 500 tasks (342 KB) is 7.7 times as short in 2.6 ms; with 6 8.7 times, in 5.8 ms (measured 2026-11-28).
_LEVEL: Final = 1
_OK: Final = 200

Headers = Iterable[tuple[bytes, bytes]]


def takes_gzip(headers: Headers) -> bool:
    """Tell whether a client takes what is compressed."""
    offered: dict[bytes, bool] = {}
    for name, value in headers:
        if name == b"accept-encoding":
            for coding in value.lower().split(b","):
                what, _, weight = coding.partition(b";")
                offered[what.strip()] = weight.replace(b" ", b"").rstrip(b"0.") != b"q="
    return offered.get(b"gzip", offered.get(b"*", False))


def encoded_headers(headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of an answer as they are when its body is compressed: its tag is a weak one then."""
    return (
        *((name, _weak(value) if name == b"etag" else value) for name, value in headers),
        _ENCODED,
    )


def _weak(tag: bytes) -> bytes:
    return tag if tag.startswith(b"W/") else b"W/" + tag


class Compressor:
    """The threads that compress; both ways to an answer share them."""

    def __init__(self) -> None:
        self._running = 0

    def begin(self, body: bytes) -> "asyncio.Future[bytes] | None":
        """Begin to compress; None when as many as may are at it."""
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
    """The layer that compresses what layers within answer to reads."""

    def __init__(self, app: ASGIApp, compressor: Compressor) -> None:
        self._app = app
        self._compressor = compressor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def passed_on(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _may_be_compressed(message):
                start = message
                return
            if start is not None:
                begun, start = start, None
                message = await self._joined(scope, begun, message)
                await send(begun)
            await send(message)

        await self._app(scope, receive, passed_on)

    async def _joined(self, scope: Scope, start: Message, message: Message) -> Message:
        """Return the body as it is to be sent, and have the head say what it is."""
        body: bytes = message.get("body", b"")
        if message.get("more_body", False) or len(body) < LEAST_BYTES:
            return message
        headers = start["headers"] = [*start["headers"], VARY]
        pending = self._compressor.begin(body) if takes_gzip(scope["headers"]) else None
        if pending is None:
            return message
        compressed = await pending
        kept = (header for header in headers if header[0] != b"content-length")
        length = (b"content-length", b"%d" % len(compressed))
        start["headers"] = [*encoded_headers(kept), length]
        return {**message, "body": compressed}


def _may_be_compressed(start: Message) -> bool:
    headers = dict(start["headers"])
    return (
        start["status"] == _OK
        and headers.get(b"content-type", b"").startswith(b"application/json")
        and b"content-encoding" not in headers
    )
