"""Requests to the fake service: recorded, and refused when a test wants that."""

from starlette.requests import Request
from starlette.responses import Response

from tests.support.fake_responses import problem


class FakeRequests:
    """Records requests, and the refusals that are prepared for the next ones."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything, for the next test."""
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.refusals: list[Response | None] = []

    def refuse_next(
        self, status: int, headers: dict[str, str] | None = None, **members: object
    ) -> None:
        """Respond to the next request with a problem."""
        headers = headers or ({"Retry-After": "0"} if status == 503 else {})
        self.refusals.append(problem(status, headers=headers, **members))

    def serve_next(self) -> None:
        """Serve the next request as usual, before those that are to be refused."""
        self.refusals.append(None)

    async def record(self, request: Request) -> Response | None:
        """Record a request; returns the refusal prepared for it, if any."""
        body = await request.body()
        self.requests.append((request.method, str(request.url), dict(request.headers), body))
        return self.refusals.pop(0) if self.refusals else None
