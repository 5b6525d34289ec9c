"""Reads the bodies of requests: of an accepted type, within the limit, in time. `wire` parses them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope

from taskmill.api.refusals import ClientGone, unsupported_form
from taskmill.domain.errors import InvalidInput, TooLarge
from taskmill.runtime.body_memory import count_body_bytes
from taskmill.runtime.http_scope import DEADLINE
from taskmill.wire.batches import LINES_MEDIA_TYPES
from taskmill.wire.hops import hop_in
from taskmill.wire.wording import safe_text

# No endpoint takes forms or text, but these are the default types of curl's -d and of `fetch` in JavaScript.
# A page of any site may send both without a preflight; `runtime.http_access` has refused such requests before.
_DEFAULT_TYPES: Final = frozenset({"application/x-www-form-urlencoded", "text/plain"})
JSON_TYPES: Final = frozenset({"application/json"}) | _DEFAULT_TYPES
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
    """A request's headers that describe its body."""

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
        """Raise `Refused` unless the body has an accepted type, or none is given."""
        if self.content_encoding not in {None, b"identity"}:
            raise unsupported_form(accepted - _DEFAULT_TYPES, self._shown)
        if self.content_type in _USUAL_TYPES:
            return
        media_type = self.media_type or ""
        is_json = media_type.startswith("application/") and media_type.endswith("+json")
        if media_type not in accepted and not is_json:
            raise unsupported_form(accepted - _DEFAULT_TYPES, self._shown)

    @property
    def _shown(self) -> str:
        """The type and encoding for a refusal's text."""
        media_type = safe_text(self.media_type or "no type")
        if self.content_encoding in {None, b"identity"}:
            return media_type
        return (
            f"{media_type} with the encoding {safe_text(self.content_encoding.decode('latin-1'))}"
        )


def traceparent_of(scope: Scope) -> str | None:
    """Return the caller's trace context as it came; None when the header is repeated, as the standard says."""
    sent = [value for name, value in scope["headers"] if name == b"traceparent"]
    return sent[0].decode("latin-1") if len(sent) == 1 else None


def hop_of_request(scope: Scope, limit: int) -> int:
    """Return how many requests of Taskmill led to this one, as it says. Raises `InvalidInput` above the limit."""
    return hop_in([value for name, value in scope["headers"] if name == b"taskmill-hop"], limit)


def form_of(scope: Scope) -> Form:
    """Return the headers that describe the body."""
    form = Form()
    for name, value in scope["headers"]:
        if name in FORM_HEADERS:
            setattr(form, FORM_HEADERS[name], value)
    return form


async def read_json_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """Return a JSON body.

    Raises:
        Refused: its type is not accepted.
        TooLarge: it is over the limit; what follows was not read.
    """
    form = form_of(scope)
    form.check(JSON_TYPES)
    return await read_body(scope, receive, form.content_length, limit_bytes)


async def read_body(
    scope: Scope, receive: Receive, content_length: bytes | None, limit_bytes: int
) -> bytes:
    """Return the body. Most bodies have come together with the request's head.

    Raises:
        TooLarge: it is over the limit, or its content-length is; what follows was not read.
        Unavailable: there is no memory for it beside other bodies.
        ClientGone: the client has disconnected.
    """
    if content_length is not None and _is_length_over(content_length, limit_bytes):
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
    count_body_bytes(scope, len(body))
    if not message.get("more_body", False):
        return body
    async with _deadline_paused(scope):
        return await _read_remaining(scope, receive, body, limit_bytes)


def _is_length_over(content_length: bytes, limit_bytes: int) -> bool:
    # Our server has checked that it is a number; others may not.
    return content_length.isdigit() and (
        len(content_length) > 18 or int(content_length) > limit_bytes  # noqa: PLR2004 - fits in 64 bits
    )


async def _read_remaining(scope: Scope, receive: Receive, begun: bytes, limit_bytes: int) -> bytes:
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
        count_body_bytes(scope, len(part))
        if not message.get("more_body", False):
            return b"".join(parts)


@asynccontextmanager
async def _deadline_paused(scope: Scope) -> AsyncIterator[None]:
    """Pause the request's deadline while its body comes: the server limits that time itself."""
    now = asyncio.get_running_loop().time
    deadline: asyncio.Timeout | None = scope.get(DEADLINE)
    if deadline is None or (ends_at := deadline.when()) is None:
        yield
        return
    remaining_s = ends_at - now()
    deadline.reschedule(None)
    try:
        yield
    finally:
        deadline.reschedule(now() + remaining_s)


def header_text(name: str, value: bytes) -> str:
    """Return a header's value as text. Raises `InvalidInput` when it is not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidInput.at(f"header:{name}", "text in UTF-8", "other bytes") from None
