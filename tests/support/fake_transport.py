"""A transport that gives a client prepared responses, and the responses of services, proxies and broken lines."""

from typing import Any
from uuid import UUID

import httpx
import orjson

from taskmill.api.examples import RESPONSES
from taskmill.client import AsyncTaskmillClient, TaskmillClient
from taskmill.wire.basics import PROBLEM_MEDIA_TYPE

TASK: dict[str, Any] = {**RESPONSES["TaskView"], "finished_at": None}
ENDED = {**TASK, "status": "succeeded", "version": TASK["version"] + 1}


WAITING = {**TASK, "status": "new"}


ID = UUID(TASK["id"])


LOST = httpx.ReadError("reset")


def a_response(body: object, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


def refused(status: int, type_: str = "about:blank") -> httpx.Response:
    body = {"type": type_, "title": "No", "status": status, "detail": "no"}
    return httpx.Response(
        status,
        content=orjson.dumps(body),
        headers={"Content-Type": PROBLEM_MEDIA_TYPE, "Retry-After": "0"},
    )


def of_a_proxy(status: int) -> httpx.Response:
    return httpx.Response(status, html="<h1>Bad Gateway</h1>")


class FakeTransport:
    """Gives one response after the other, the last one for ever; records the requests."""

    def __init__(self, *responses: httpx.Response | httpx.RequestError) -> None:
        self.requests: list[httpx.Request] = []
        self._responses = list(responses)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]
        if isinstance(response, httpx.RequestError):
            raise response
        return response

    def client(self, retries: int = 3) -> TaskmillClient:
        return TaskmillClient(
            "http://taskmill", retries=retries, transport=httpx.MockTransport(self)
        )

    def async_client(self) -> AsyncTaskmillClient:
        return AsyncTaskmillClient(
            "http://taskmill", retries=0, transport=httpx.MockTransport(self)
        )
