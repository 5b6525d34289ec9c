"""A response as endpoints return it, and how it is sent. Its body is rendered in `wire`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import Response
from starlette.types import Send

from taskmill.wire.masking import ShownTask
from taskmill.wire.tasks import task_etag, task_json

Header = tuple[bytes, bytes]

JSON: Final[Header] = (b"content-type", b"application/json")


@dataclass(slots=True)
class RawResponse:
    """Status, body and headers; `content-length` is added on the way out.

    `task_id` goes into the request's log line, so that its log leads to the task's.
    """

    status: int
    body: bytes
    headers: tuple[Header, ...] = field(default=(JSON,))
    task_id: str | None = None

    async def send(self, send: Send) -> None:
        """Send it as an ASGI response."""
        headers = list(self.headers)
        if self.status != 304:  # noqa: PLR2004 - the length of a 304 would be that of the body it leaves out
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})

    def to_starlette(self) -> Response:
        """Convert it to Starlette's response class."""
        response = Response(self.body, self.status)
        length = response.raw_headers if self.status != 304 else []  # noqa: PLR2004 - as in `send`
        response.raw_headers = [*self.headers, *length]
        return response


def task_response(task: ShownTask, status: int = 200) -> RawResponse:
    """Respond with a task and its entity tag."""
    return RawResponse(status, task_json(task), (JSON, (b"etag", task_etag(task).encode())))


def problem_response(problem: tuple[int, Mapping[str, str], bytes]) -> RawResponse:
    """Make a response of what `wire.problems` rendered."""
    status, headers, body = problem
    encoded = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return RawResponse(status, body, encoded)
