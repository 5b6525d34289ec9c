"""Reads the bodies of requests: the right form, within the limit, in time. Parsing is `wire`'s."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope

from taskmill.api.refusals import ClientGone, unsupported_form
from taskmill.domain.errors import InvalidInput, TooLarge
from taskmill.runtime.body_memory import grown
from taskmill.runtime.http_scope import DEADLINE
from taskmill.wire.batches import LINES_MEDIA_TYPES
from taskmill.wire.wording import safe_text

# Nothing here takes forms or text, but that is what curl's -d and `fetch` in JavaScript say of whatever they send.
# Pages of any site may send both without asking first: they have been refused before (`runtime.http_access`).
_SAID_UNASKED: Final = frozenset({"application/x-www-form-urlencoded", "text/plain"})
JSON_TYPES: Final = frozenset({"application/json"}) | _SAID_UNASKED
BATCH_TYPES: Final = JSON_TYPES | LINES_MEDIA_TYPES

FORM_HEADERS: Final = {
    b"content-type": "content_type",
    b"content-length": "content_length",
    b"content-encoding": "content_encoding",
}
"""The headers that say what a body is, and the parts of a `Form` that they fill."""

_USUAL_TYPES: Final = frozenset({None, b"", b"application/json"})


@dataclass(slots=True)
class Form:
    """What a request's headers say of its body."""

    content_type: bytes | None = None
    content_length: bytes | None = None
    content_encoding: bytes | None = None

    @property
    def media_type(self) -> str | None:
        """The content type without parameters."""
        if self.content_type is None:
            return None
        return self.content_type.partition(b";")[0].strip().lower().decode("latin-1")

    def check(self, accepted: frozenset[str]) -> None:
        """Raise `Refused` unless the body comes in one of the accepted types; none given is fine."""
        if self.content_encoding not in {None, b"identity"}:
            raise unsupported_form(accepted - _SAID_UNASKED, self._shown)
        if self.content_type in _USUAL_TYPES:
            return
        media_type = self.media_type or ""
        is_json = media_type.startswith("application/") and media_type.endswith("+json")
        if media_type not in accepted and not is_json:
            raise unsupported_form(accepted - _SAID_UNASKED, self._shown)

    @property
    def _shown(self) -> str:
        """What came, in words."""
        media_type = safe_text(self.media_type or "no type")
        if self.content_encoding in {None, b"identity"}:
            return media_type
        return (
            f"{media_type} with the encoding {safe_text(self.content_encoding.decode('latin-1'))}"
        )


def traceparent_of(scope: Scope) -> str | None:
    """Return the caller's trace context as it came; several are none, as the standard says."""
    sent = [value for name, value in scope["headers"] if name == b"traceparent"]
    return sent[0].decode("latin-1") if len(sent) == 1 else None


def form_of(scope: Scope) -> Form:
    """Read what the headers say of the body."""
    form = Form()
    for name, value in scope["headers"]:
        if name in FORM_HEADERS:
            setattr(form, FORM_HEADERS[name], value)
    return form


async def read_json_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """Return a JSON body.

    Raises:
        Refused: its type is another.
        TooLarge: it is over the limit; the rest was not read.
    """
    form = form_of(scope)
    form.check(JSON_TYPES)
    return await read_body(scope, receive, form.content_length, limit_bytes)


async def read_body(
    scope: Scope, receive: Receive, content_length: bytes | None, limit_bytes: int
) -> bytes:
    """Return the body, which most often has come with the request's head already.

    Raises:
        TooLarge: it is over the limit, or says that it will be; the rest was not read.
        Unavailable: there is no memory for it beside other bodies.
        ClientGone: it will never come.
    """
    if content_length is not None and _says_more_than(content_length, limit_bytes):
        raise TooLarge(limit_bytes)
    if content_length is None:
        message = await receive()
    elif content_length == b"0":
        return b""
    else:
        message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientGone
    if len(body) > limit_bytes:
        raise TooLarge(limit_bytes)
    grown(scope, len(body))
    if not message.get("more_body", False):
        return body
    async with _clock_stopped(scope):
        return await _read_rest(scope, receive, body, limit_bytes)


def _says_more_than(content_length: bytes, limit_bytes: int) -> bool:
    # The server has checked that it is a number before anybody else reads it; other servers may not.
    return content_length.isdigit() and (
        len(content_length) > 18 or int(content_length) > limit_bytes  # noqa: PLR2004 - fits in 64 bits
    )


async def _read_rest(scope: Scope, receive: Receive, begun: bytes, limit_bytes: int) -> bytes:
    parts, size = [begun], len(begun)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > limit_bytes:
            raise TooLarge(limit_bytes)
        grown(scope, len(part))
        if not message.get("more_body", False):
            return b"".join(parts)


@asynccontextmanager
async def _clock_stopped(scope: Scope) -> AsyncIterator[None]:
    """Stop the request's deadline while its body comes, which the server sees to; then start it anew."""
    now = asyncio.get_running_loop().time
    deadline: asyncio.Timeout | None = scope.get(DEADLINE)
    if deadline is None or (ends_at := deadline.when()) is None:
        yield
        return
    left_s = ends_at - now()
    deadline.reschedule(None)
    try:
        yield
    finally:
        deadline.reschedule(now() + left_s)


def header_text(name: str, value: bytes) -> str:
    """Return a header's value as text. Raises `InvalidInput` when it is not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidInput.at(f"header:{name}", "text in UTF-8", "other bytes") from None
