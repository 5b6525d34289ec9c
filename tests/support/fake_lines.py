"""Many tasks in requests of lines, and responses to them that may be cut."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import orjson

from taskmill.client import AsyncTaskmillClient, TaskmillClient
from tests.support.fake_service import FakeService

LINES = {"Content-Type": "application/x-ndjson"}
ID = "0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"


AWAY = {
    "type": "/problems/unavailable",
    "title": "Away",
    "status": 503,
    "detail": "away",
    "retry_after_s": 0,
}


def named(*names: str) -> Iterator[dict[str, Any]]:
    return ({"name": name} for name in names)


class Lines(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A response for so many tasks; a cut one ends in a lost connection."""

    def __init__(self, count: int, *, is_cut: bool) -> None:
        self._count = count
        self._is_cut = is_cut

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self._count):
            yield b'{"line":%d,"status":201,"id":"%s"}\n' % (number + 1, ID.encode())
        if self._is_cut:
            yield b'{"line":%d,"sta' % (self._count + 1)
            raise httpx.ReadError("cut")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def lines_for(count: int, *, is_cut: bool = False) -> httpx.Response:
    return httpx.Response(200, headers=LINES, stream=Lines(count, is_cut=is_cut))


class FakeResponses:
    """Gives one response after the other, the last one for ever; records the names that were sent."""

    def __init__(self, *responses: Callable[[int], httpx.Response]) -> None:
        self.sent: list[list[str]] = []
        self._responses = list(responses)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        names = [orjson.loads(line)["name"] for line in request.content.splitlines()]
        self.sent.append(names)
        respond = self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]
        return respond(len(names))

    def client(self, retries: int = 3) -> TaskmillClient:
        return TaskmillClient("http://x", retries=retries, transport=httpx.MockTransport(self))

    def async_client(self, retries: int = 3) -> AsyncTaskmillClient:
        transport = httpx.MockTransport(self)
        return AsyncTaskmillClient("http://x", retries=retries, transport=transport)


def cut_after(count: int) -> Callable[[int], httpx.Response]:
    return lambda _: lines_for(count, is_cut=True)


def sent(service: FakeService) -> list[list[str]]:
    """The names in each request."""
    return [
        [orjson.loads(line)["name"] for line in body.splitlines()]
        for _, _, _, body in service.requests
    ]
