"""A page for every error: what happened, and how to go on."""

from http import HTTPStatus
from math import ceil
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from taskmill.dashboard.pages import login
from taskmill.dashboard.view import View, accepts_gzip
from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.api_keys import without_secrets
from taskmill.domain.errors import InvalidInput, TaskmillError, Unavailable
from taskmill.domain.job_errors import JobLimitReached, JobNotFound
from taskmill.domain.rate_limits import RateLimitExceeded
from taskmill.observability.logs import get_logger
from taskmill.wire.problems import problem_json
from taskmill.wire.rate_limits import rate_limit_headers
from taskmill.wire.wording import safe_text

log = get_logger(__name__)

_LONGEST_PATH: Final = 200
_KNOWN: Final = {400, 403, 404, 405, 409, 413, 422, 503}
_DRAWN_S: Final = 1.0


def error_response(view: View, error: Exception) -> Response:
    """Return the page for an error; an unexpected one is logged, and shown as such."""
    if isinstance(error, NotAuthenticated):
        return login.challenge(view)
    if isinstance(error, RateLimitExceeded):
        return _limited_page(view, error)
    status = _status(view, error)
    is_outage = status == HTTPStatus.SERVICE_UNAVAILABLE
    key = _key(view, error, status)
    response = view.page(
        "error.html",
        status=status,
        title=view.t(f"error.{key}.title"),
        explanation=view.t(f"error.{key}.text"),
        details=_details(error),
        # The page reloads by itself, which must not repeat an action.
        is_outage=is_outage and view.is_safe,
        is_view=view.is_safe,
    )
    response.headers.update(_headers(error))
    return response


def _headers(error: Exception) -> dict[str, str]:
    """Return the headers that go with an error."""
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException):
        headers.update(error.headers or {})
    if isinstance(error, Unavailable):
        headers["retry-after"] = f"{max(round(error.retry_after_s), 1)}"
    return headers


def _limited_page(view: View, error: RateLimitExceeded) -> Response:
    """Return the page for a request too many: drawn once a second for each kind of reader, as there may be floods.

    Nothing of the request is in it: its links lead to the address that the browser shows, or to the first page.
    """
    preferences, now = view.preferences, view.context.clock.monotonic()
    reader = (
        *(preferences.language, preferences.theme, view.wants_fragment, view.is_safe),
        accepts_gzip(view.request.headers),
    )
    drawn = view.context.limited_pages.get(reader)
    if drawn is None or now >= drawn[0]:
        drawn = view.context.limited_pages[reader] = (now + _DRAWN_S, _draw_limited(view))
    page = drawn[1]
    headers = dict(page.headers) | {
        "retry-after": f"{max(ceil(error.retry_after_s), 1)}",
        **{name.decode(): value.decode() for name, value in rate_limit_headers(error.usage)},
    }
    return Response(page.body, page.status_code, headers)


def _draw_limited(view: View) -> Response:
    return view.page(
        "error.html",
        status=HTTPStatus.TOO_MANY_REQUESTS,
        title=view.t("error.429.title"),
        explanation=view.t("error.429.text"),
        details=[],
        is_outage=False,
        is_view=view.is_safe,
        here="" if view.is_safe else view.href("/"),
        path="",
        base="",
    )


def _key(view: View, error: Exception, status: int) -> str:
    """Return the key of the texts for an error."""
    if isinstance(error, JobLimitReached):
        return "jobs"
    if isinstance(error, JobNotFound):
        return "job"
    if status == HTTPStatus.SERVICE_UNAVAILABLE and not view.is_safe:
        return "503.action"
    return f"{status}" if status in _KNOWN else "500"


def _status(view: View, error: Exception) -> int:
    if isinstance(error, HTTPException):
        return error.status_code
    if isinstance(error, TaskmillError):
        return problem_json(error)[0]
    path = without_secrets(safe_text(view.request.scope["path"], _LONGEST_PATH))
    log.error("request.failed", method=view.request.method, path=path, exc_info=error)
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _details(error: Exception) -> list[str]:
    if isinstance(error, InvalidInput):
        return [str(violation) for violation in error.violations]
    return (
        [str(error)]
        if isinstance(error, TaskmillError) and not isinstance(error, Unavailable)
        else []
    )
