"""Requests are counted by the route as documented, whatever path, method or status came."""

import asyncio

import pytest

from taskmill.observability.metrics import REQUEST_TIME, REQUESTS
from tests.support.api import Served, raw_request
from tests.support.exposition import Page
from tests.support.polling import eventually

NOBODY = "0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("POST", "/tasks", "/tasks", "4xx"),
        ("GET", "/tasks", "/tasks", "2xx"),
        ("GET", f"/tasks/{NOBODY}", "/tasks/{id}", "4xx"),
        ("GET", f"/tasks/{NOBODY}/events", "/tasks/{id}/events", "4xx"),
        ("GET", "/tasks/short", "/tasks/{id}", "4xx"),
        ("HEAD", "/healthz", "/healthz", "2xx"),
        ("DELETE", "/tasks", "/tasks", "4xx"),
        ("PATCH", "/queues/none", "/queues/{name}", "4xx"),
        ("GET", "/task_service/api/v1/task/", "/task_service/api/v1/task/", "2xx"),
        (
            "GET",
            f"/task_service/api/v1/task/{NOBODY}/",
            "/task_service/api/v1/task/{uid}/",
            "4xx",
        ),
        ("GET", "/static/nothing.js", "_other", "4xx"),
        ("GET", "/nothing", "_other", "4xx"),
        ("GET", f"/{NOBODY}", "_other", "4xx"),
        ("GET", "/", "_other", "3xx"),
        ("PROPFIND", "/tasks", "/tasks", "4xx"),
    ],
)
async def test_a_request_is_counted_by_its_route(
    api: Served, method: str, path: str, route: str, status: str
) -> None:
    label = method if method != "PROPFIND" else "_other"
    requests, times = REQUESTS.value(label, route, status), REQUEST_TIME.count(label, route)
    await api.http.request(method, path)
    assert REQUESTS.value(label, route, status) - requests == 1
    assert REQUEST_TIME.count(label, route) - times == 1


async def test_a_client_that_leaves_is_counted_as_gone(api: Served) -> None:
    before = REQUESTS.value("POST", "/tasks", "gone")
    head = b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    host, port = api.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(head + b"Content-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()

    async def counted() -> bool:
        return REQUESTS.value("POST", "/tasks", "gone") - before == 1

    await eventually(counted, "the client that left is counted")


async def test_ids_and_paths_never_become_labels(api: Served) -> None:
    for path in (f"/tasks/{NOBODY}", "/hushed-up/path", f"/queues/{NOBODY}"):
        await api.get(path)
    await raw_request(
        api.url, b"GET /%00hushed-up HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    text = (await api.get("/metrics")).text
    assert NOBODY not in text
    assert "hushed-up" not in text
    page = Page(text)
    assert page.value("taskmill_http_requests_in_flight") == 1
    assert page.faults() == []
