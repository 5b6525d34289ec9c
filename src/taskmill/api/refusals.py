"""Refusals that only HTTP knows, and the answer to every error that a request can meet."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import orjson
from starlette.exceptions import HTTPException

from taskmill.api.answers import JSON, Answer, from_problem
from taskmill.domain.errors import TaskmillError
from taskmill.runtime.http_access import Refusal
from taskmill.wire.answers import answer_json
from taskmill.wire.legacy import legacy_error_json
from taskmill.wire.problems import problem_for_status, problem_json

EARLIER: Final = "/task_service/"
"""Where the earlier service's addresses are."""


class Refused(Exception):
    """The request is refused by HTTP's own rules, before anything is known of tasks."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def raise_refusal(refusal: Refusal | None) -> None:
    """Raise `Refused` for a request that is not let in, if there is a reason."""
    if refusal is not None:
        raise Refused(refusal.status, refusal.detail)


class ClientGone(Exception):
    """The client closed the connection before its request was complete: nobody waits for an answer."""


def unsupported_form(accepted: Collection[str], came: str) -> Refused:
    """Say which content types would have been taken, and what came."""
    detail = (
        f"this path takes {', '.join(sorted(accepted))}, without a content encoding; it got {came}"
    )
    return Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)


def answer_to(error: Exception, path: str) -> Answer:
    """Return the answer to an error; one that nobody foresaw is a 500 that tells nothing.

    Below the earlier service's addresses it has the earlier form.
    """
    if not path.startswith(EARLIER):
        return _problem(error, path)
    if isinstance(error, TaskmillError):
        return from_problem(legacy_error_json(error))
    answer = _problem(error, path)
    is_missing = answer.status == HTTPStatus.NOT_FOUND
    detail = "Not found" if is_missing else orjson.loads(answer.body)["detail"]
    answer.body = answer_json({"detail": detail})
    answer.headers = (JSON, *(header for header in answer.headers if header[0] != JSON[0]))
    return answer


def _problem(error: Exception, path: str) -> Answer:
    if isinstance(error, Refused):
        answer = from_problem(problem_for_status(error.status, path, error.detail))
        return _with_headers(answer, error.headers)
    if isinstance(error, HTTPException):
        answer = from_problem(problem_for_status(error.status_code, path))
        return _with_headers(answer, error.headers or {})
    return from_problem(problem_json(error, path))


def _with_headers(answer: Answer, headers: Mapping[str, str]) -> Answer:
    own = ((name.encode(), value.encode()) for name, value in headers.items())
    answer.headers = (*answer.headers, *own)
    return answer


def is_foreseen(error: Exception) -> bool:
    """Tell whether the error is an answer, rather than a fault of the service."""
    return isinstance(error, TaskmillError | Refused | HTTPException)
