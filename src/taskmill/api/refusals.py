"""Refusals by HTTP's rules, and the response to every error that a request can meet."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from starlette.exceptions import HTTPException

from taskmill.api.responses import JSON, RawResponse, problem_response
from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.errors import TaskmillError
from taskmill.domain.rate_limits import RateLimitExceeded
from taskmill.runtime.http_access import Refusal
from taskmill.wire.legacy import legacy_error_json
from taskmill.wire.problems import problem_for_status, problem_json
from taskmill.wire.rate_limits import rate_limit_headers

LEGACY_PREFIX: Final = "/task_service/"
"""Where the legacy API's addresses are."""

_CHALLENGE: Final = {"www-authenticate": "Bearer"}


class Refused(Exception):
    """The request is refused by HTTP's own rules, before tasks are involved."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def raise_if_refused(refusal: Refusal | None) -> None:
    """Raise `Refused` for a refusal, if there is one."""
    if refusal is not None:
        raise Refused(refusal.status, refusal.detail)


class ClientGone(Exception):
    """The client closed the connection before its request was complete: there is nobody to respond to."""


def unsupported_form(accepted: Collection[str], came: str) -> Refused:
    """Return the refusal of a body's type, with the accepted ones and what came."""
    detail = (
        f"this path takes {', '.join(sorted(accepted))}, without a content encoding; it got {came}"
    )
    return Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)


def error_response(error: Exception, path: str) -> RawResponse:
    """Return the response to an error. An unexpected one is a 500 that reveals nothing.

    Below the legacy API's addresses it has the legacy form.
    """
    response = _problem(error, path)
    if path.startswith(LEGACY_PREFIX):
        response.body = legacy_error_json(response.status, response.body)
        response.headers = (JSON, *(header for header in response.headers if header[0] != JSON[0]))
    return response


def _problem(error: Exception, path: str) -> RawResponse:
    if isinstance(error, Refused):
        response = problem_response(problem_for_status(error.status, path, error.detail))
        return _with_headers(response, error.headers)
    if isinstance(error, HTTPException):
        response = problem_response(problem_for_status(error.status_code, path))
        return _with_headers(response, error.headers or {})
    response = problem_response(problem_json(error, path))
    if isinstance(error, RateLimitExceeded):
        response.headers = (*response.headers, *rate_limit_headers(error.usage))
    return _with_headers(response, _CHALLENGE) if isinstance(error, NotAuthenticated) else response


def _with_headers(response: RawResponse, headers: Mapping[str, str]) -> RawResponse:
    own = ((name.encode(), value.encode()) for name, value in headers.items())
    response.headers = (*response.headers, *own)
    return response


def is_expected(error: Exception) -> bool:
    """Return whether the error has a response of its own, and is not a fault of the service."""
    return isinstance(error, TaskmillError | Refused | HTTPException)
