"""Reads responses: the result, a refusal, or what no Taskmill service would send."""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import httpx

from taskmill.client.errors import NotAccepted, Unexpected
from taskmill.client.json_text import read_json
from taskmill.client.reading import reader_of
from taskmill.client.refusal_kinds import PATH_NOT_FOUND, refusal
from taskmill.client.tries import retry_after_s
from taskmill.client.views.problems import Problem
from taskmill.wire.basics import LINES_MEDIA_TYPE, PROBLEM_MEDIA_TYPE

T = TypeVar("T")

NOT_MODIFIED: Final = 304
_ERROR: Final = 400
_NO_CONTENT: Final = 204
_MEDIA_TYPES: Final = ("application/json", LINES_MEDIA_TYPE, PROBLEM_MEDIA_TYPE)


def reader(model: type[T]) -> Callable[[httpx.Response], T]:
    """Return a function that reads a body of this model; it raises ValueError for any other."""
    read = reader_of(model)
    return lambda response: cast(T, read(read_json(response.content)))


def read_response(response: httpx.Response, read: Callable[[httpx.Response], T]) -> T:
    """Read a response with `read`.

    Raises:
        NotAccepted: The service refused the request.
        Unexpected: It is not the response of a Taskmill service.
    """
    has_body = response.status_code not in (NOT_MODIFIED, _NO_CONTENT)
    media_type = response.headers.get("Content-Type", "").partition(";")[0]
    if has_body and media_type not in _MEDIA_TYPES:
        raise _unexpected(response, f"{media_type or 'no content type'} instead of JSON")
    if has_body and response.is_redirect:
        raise _unexpected(response, "a redirect instead of a response")
    try:
        if response.status_code >= _ERROR:
            raise _refusal(response)
        return read(response)
    except ValueError as error:
        raise _unexpected(response, str(error)) from error


def _refusal(response: httpx.Response) -> NotAccepted:
    problem = reader(Problem)(response)
    changes: dict[str, Any] = {"status": response.status_code}
    if problem.type == PATH_NOT_FOUND:
        address = response.request.url.copy_with(userinfo=b"", query=None)
        changes["detail"] = f"{problem.detail or problem.title}: {address}"
    if problem.retry_after_s is None and "Retry-After" in response.headers:
        changes["retry_after_s"] = retry_after_s(response)
    return refusal(problem.replace(**changes))


def _unexpected(response: httpx.Response, what: str) -> Unexpected:
    return Unexpected(str(response.request.url), response.status_code, what)
