"""Converts a response to a task's result: its status, some headers, and its body in a form that can be stored."""

from base64 import b64encode
from typing import Any, Final

from taskmill.domain.errors import TaskmillError
from taskmill.outbound.http_messages import Response
from taskmill.wire.strict_json import parse
from taskmill.wire.wording import safe_text

_STORED_HEADERS: Final = (
    *("content-type", "date", "etag", "last-modified", "location", "retry-after"),
    *("request-id", "x-request-id"),
)
_LONGEST_HEADER: Final = 1000
_JSON: Final = ("application/json", "+json")


def as_result(response: Response) -> dict[str, Any]:
    """Return a response as the result of the task that made the request.

    `body_is` says what `body` holds: `json`, `text`, `base64` (a body that is not text), `cut` (the beginning of a
    body that was longer than allowed, as text), or `none`.
    """
    body_is, body = _body(response)
    return {
        "status": response.status,
        "headers": _headers(response),
        "body_is": body_is,
        "body": body,
    }


def excerpt(response: Response, longest: int) -> str:
    """Return the beginning of a response's body for an error message: printable and short."""
    return safe_text(response.body[: 4 * longest].decode("utf-8", "replace"), longest)


def _headers(response: Response) -> dict[str, str]:
    return {
        name: safe_text(response.headers[name], _LONGEST_HEADER)
        for name in _STORED_HEADERS
        if name in response.headers
    }


def _body(response: Response) -> tuple[str, Any]:
    if not response.body:
        return "none", None
    if response.is_cut:
        return "cut", response.body.decode("utf-8", "replace").replace(
            "\x00", "\N{REPLACEMENT CHARACTER}"
        )
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.endswith(_JSON):
        try:
            return "json", parse(response.body)
        except TaskmillError:
            pass
    try:
        return "text", _text(response.body)
    except UnicodeDecodeError:
        return "base64", b64encode(response.body).decode()


def _text(body: bytes) -> str:
    """Return a body as text that PostgreSQL can store. Raises `UnicodeDecodeError`."""
    return body.decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
