"""Which of the refusals a problem is raised as: the class of its type, else the one of its status."""

from collections.abc import Iterator, Mapping
from typing import Final

from taskmill.client.errors import NotAccepted
from taskmill.client.refusals import (
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    HeadersTooLarge,
    MethodNotAllowed,
    Misdirected,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    PathNotFound,
    RequestTimedOut,
    ServiceFailed,
    ServiceUnavailable,
    TooLarge,
    TooManyRequests,
    Unprocessable,
    UnsupportedMediaType,
    UriTooLong,
    VersionMismatch,
)
from taskmill.client.views.problems import Problem

PATH_NOT_FOUND: Final = "/problems/not-found"

BY_STATUS: Final[Mapping[int, type[NotAccepted]]] = {
    400: BadRequest,
    401: NotAuthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    406: NotAcceptable,
    408: RequestTimedOut,
    409: Conflict,
    410: Gone,
    412: VersionMismatch,
    413: TooLarge,
    414: UriTooLong,
    415: UnsupportedMediaType,
    421: Misdirected,
    422: Unprocessable,
    429: TooManyRequests,
    431: HeadersTooLarge,
    500: ServiceFailed,
    503: ServiceUnavailable,
}
"""The class of each HTTP status, for types that have none of their own."""


def _descendants(kind: type[NotAccepted]) -> Iterator[type[NotAccepted]]:
    for child in kind.__subclasses__():
        yield from (child, *_descendants(child))


_BY_NAME: Final = {kind.__name__: kind for kind in _descendants(NotAccepted)}


def refusal_class(problem_type: str, status: int) -> type[NotAccepted]:
    """Return the class of a type of problem: the one of its name, else that of its status."""
    if problem_type == PATH_NOT_FOUND:
        return PathNotFound
    slug = problem_type.rpartition("/")[2]
    name = "".join(map(str.capitalize, slug.split("-")))
    return _BY_NAME.get(name) or BY_STATUS.get(status, NotAccepted)


def refusal(problem: Problem) -> NotAccepted:
    """Return the error that a problem is."""
    return refusal_class(problem.type, problem.status)(problem)
