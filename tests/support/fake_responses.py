"""The responses of the fake service."""

from datetime import UTC, datetime

import orjson
from starlette.responses import Response

from taskmill.wire.basics import PROBLEM_MEDIA_TYPE

START = datetime(2030, 1, 31, 9, tzinfo=UTC)


def json_response(body: object, status: int = 200) -> Response:
    """Make a JSON response."""
    return Response(orjson.dumps(body), status, media_type="application/json")


def problem(status: int, *, headers: dict[str, str] | None = None, **members: object) -> Response:
    """Make a problem response."""
    body = {"type": "/problems/test", "title": "No", "status": status, "detail": "", **members}
    return Response(orjson.dumps(body), status, headers, media_type=PROBLEM_MEDIA_TYPE)
