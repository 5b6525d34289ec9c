"""Responses that the protocol sends itself, and what has to be closed after one."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from taskmill.domain.errors import Unavailable
from taskmill.runtime.http_access import DEFAULT_RESPONSE_HEADERS
from taskmill.runtime.uvicorn_internals import STATUS_LINE
from taskmill.wire.problems import problem_for_status, problem_json

_RETRY_AFTER_S: Final = 5.0


def refusal(status: HTTPStatus) -> bytes:
    """Return a whole response, after which the connection is closed."""
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        _, headers, body = problem_json(Unavailable(_RETRY_AFTER_S, "a free connection"))
    else:
        _, headers, body = problem_for_status(status)
    lines = [b"%s: %s\r\n" % header for header in DEFAULT_RESPONSE_HEADERS]
    lines += [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
    length = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
    return b"".join((STATUS_LINE[status], *lines, length, body))


async def send_before_continue(
    cycle: Any,  # noqa: ANN401 - the library's record of the request
    send: Callable[[Any], Awaitable[None]],
    message: Any,  # noqa: ANN401 - as it comes
) -> None:
    """Close after a response that is sent before `100 Continue`.

    The client may send the body or not, so what it sends next could be a body or a request.
    """
    if cycle.waiting_for_100_continue:
        cycle.keep_alive = False
    await send(message)
