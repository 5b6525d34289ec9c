"""Requests that take long to read delay no others: the event loop's thread does little of it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from inspect import iscoroutinefunction
from time import perf_counter
from urllib.parse import urlencode

import orjson
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from taskmill.domain.errors import Unavailable
from taskmill.runtime.offload import Offload
from taskmill.settings import LimitSettings, Settings
from tests.support.api import Served, serving
from tests.support.attackers import raw_connections
from tests.support.event_loops import Watched
from tests.support.pages import serving_pages
from tests.support.polling import eventually
from tests.support.stage import Stage, a_creation

JSON_LINES = {"content-type": "application/x-ndjson"}
FIELDS = {f"f{number:07d}": 1 for number in range(60_000)}
SMALL = b'{"name":"a"}'


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Served]:
    """A server with the limits that it has by default."""
    async with serving(stage.service, Settings()) as served:
        await served.create()
        yield served


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/tasks", orjson.dumps({"name": "x", **FIELDS}), {}, 422),
        ("/tasks", orjson.dumps({"name": "x", "labels": FIELDS}), {}, 422),
        ("/tasks", orjson.dumps({"name": "x", "retry": FIELDS}), {}, 422),
        ("/tasks", orjson.dumps({"name": "x", "payload": FIELDS}), {}, 201),
        ("/tasks", orjson.dumps({"name": "x", "payload": FIELDS, "idempotency_key": "k"}), {}, 201),
        ("/tasks", b'{"name":"x","payload":{"a":[' + b"[]," * 340_000 + b"1]}}", {}, 201),
        ("/tasks", b'{"name":"x","payload":{"a":' + b"[" * 1_000_000, {}, 400),
        ("/tasks/batch", b"[" + b'{"a":1},' * 200_000 + b"{}]", {}, 422),
        ("/tasks/batch", b"[" * 8_000_000, {}, 400),
        ("/tasks/batch", b"[" + b'{"name":"a","x":1},' * 3_000 + b"{}]", {}, 422),
        ("/tasks/batch", b'{"a":1}\n' * 5_000, JSON_LINES, 200),
        ("/tasks/batch", (orjson.dumps({"name": "x", **FIELDS}) + b"\n") * 5, JSON_LINES, 200),
    ],
    ids=lambda value: value[:24].decode() if isinstance(value, bytes) else None,
)
async def test_a_large_request_leaves_the_loop_free(
    api: Served, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    with Watched() as watched:
        response = await api.http.post(path, content=body, headers=headers)
    assert response.status_code == status, response.text[:200]
    # Before requests were read in steps these took 0.09 to 0.7.
    assert watched.longest_s < 0.08
    if status == 422:
        assert len(response.json()["errors"]) <= 20
        assert len(response.content) < 20_000


NOWHERE = "01970000-0000-7000-8000-000000000000"
LARGER = LimitSettings(body_bytes=8 * 1024**2, request_timeout_s=60)
CLAIM = {"lease_id": NOWHERE, "claim_no": 1}
SCHEMA = {
    "type": "object",
    "properties": {f"p{n}": {"pattern": f"^a{n}{{1,50}}$"} for n in range(900)},
}


def many_fields() -> dict[str, int]:
    """Made when a test needs it: every process that collects tests would keep what is made before."""
    return {f"f{number:07d}": 1 for number in range(500_000)}


@pytest.mark.parametrize(
    ("path", "make_body", "status"),
    [
        (f"/tasks/{NOWHERE}/fail", lambda: {**CLAIM, "error": {}, **many_fields()}, 422),
        (f"/tasks/{NOWHERE}/logs", lambda: {**CLAIM, "first": 1, "lines": [many_fields()]}, 422),
        (f"/tasks/{NOWHERE}/finish", lambda: {**CLAIM, "result": many_fields()}, 422),
        ("/types/x", lambda: {"payload_schema": many_fields()}, 422),
        ("/types/x", lambda: {"payload_schema": {}, **many_fields()}, 422),
        ("/types/x", lambda: {"payload_schema": SCHEMA}, 200),
    ],
    ids=["fail", "logs", "finish", "schema", "type", "compiled"],
)
async def test_large_bodies_are_validated_on_the_offload_thread_too(
    stage: Stage, path: str, make_body: Callable[[], object], status: int
) -> None:
    content = orjson.dumps(make_body())
    async with serving(stage.service, Settings(limits=LARGER)) as api:
        await api.create()
        with Watched() as watched:
            method = "PUT" if path.startswith("/types") else "POST"
            response = await api.http.request(method, path, content=content)
    assert response.status_code == status, response.text[:200]
    # Eight times as large as bodies usually may be, so that the difference shows: it was 0.1 to 0.4.
    assert watched.longest_s < 0.08


@pytest.mark.parametrize(
    ("path", "make_values"),
    [
        ("", lambda: {"name": "x", "mode": "json", "payload": '{"a":[' + "[]," * 700_000 + "1]}"}),
        ("", lambda: {"name": "x", "mode": "json", "payload": "[" * 2_000_000}),
        ("", lambda: {"name": "x", "labels": "a\n" * 1_000_000}),
        ("", lambda: {"name": "x", "description": "a" * 6_000_000}),
        (
            "/snippets",
            lambda: {"name": "x", "mode": "json", "payload": '{"a":[' + "1," * 2_000_000 + "1]}"},
        ),
        (
            "/payload",
            lambda: {
                "name": "x",
                "mode": "json",
                "to": "fields",
                "payload": orjson.dumps(many_fields()).decode(),
            },
        ),
    ],
    ids=["arrays", "depth", "labels", "description", "snippets", "fields"],
)
async def test_a_large_form_leaves_the_loop_free(
    stage: Stage, path: str, make_values: Callable[[], dict[str, str]]
) -> None:
    content = urlencode(make_values()).encode()
    async with serving_pages(stage, Settings(limits=LARGER)) as pages:
        await pages.get("/ui/create")
        with Watched() as watched:
            response = await pages.post(f"/ui/create{path}", content, timeout=60)
    assert response.status_code < 500
    assert watched.longest_s < 0.08


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/tasks/cancel"),
        ("POST", "/tasks/retry"),
        ("POST", "/webhooks"),
        ("PATCH", f"/webhooks/{NOWHERE}"),
        ("POST", "/leases"),
        ("POST", f"/leases/{NOWHERE}/renew"),
        ("PATCH", "/queues/mail"),
        ("PATCH", "/schedules/report"),
        ("POST", "/schedules/report/backfill"),
        ("POST", f"/tasks/{NOWHERE}/progress"),
        ("POST", f"/tasks/{NOWHERE}/cancelled"),
    ],
)
async def test_endpoints_with_small_bodies_refuse_large_ones(
    api: Served, method: str, path: str
) -> None:
    read = await api.http.request(method, path, content=orjson.dumps({"x": "y" * 65_000}))
    assert read.status_code == 422, read.text
    refused = await api.http.request(method, path, content=orjson.dumps({"x": "y" * 70_000}))
    assert (refused.status_code, refused.json()["limit"]) == (413, 65_536)


def calls_of(dependant: Dependant) -> Iterator[Callable[..., object]]:
    """What the framework calls for an endpoint: itself, and all that it depends on."""
    if dependant.call is not None:
        yield dependant.call
    for one in dependant.dependencies:
        yield from calls_of(one)


def test_nothing_that_the_framework_calls_runs_on_a_thread(api: Served) -> None:
    routes = [one.original_route for one in iter_route_contexts(api.app.framework.routes)]
    calls = {
        call for one in routes if isinstance(one, APIRoute) for call in calls_of(one.dependant)
    }
    assert len(calls) > 50
    assert [one.__qualname__ for one in calls if not iscoroutinefunction(one)] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tasks", orjson.dumps({"name": "x", **FIELDS})),
        ("/tasks", b"{" * 70_000),
        ("/tasks/batch", b"[" + b"{}," * 10_000 + b"{}]"),
        ("/tasks/batch", orjson.dumps([{"name": "x", "type": f"t{n}"} for n in range(3)])),
        ("/tasks/batch", orjson.dumps([{"name": "x", "queue": f"q{n}"} for n in range(3)])),
    ],
    ids=["fields", "no JSON", "array", "types", "queues"],
)
async def test_refusals_that_take_long_come_late(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, path: str, body: bytes
) -> None:
    async with a_creation(
        stage.database, stage.clock, stage.ids, queue_limit=2, type_limit=2
    ) as creation:
        monkeypatch.setattr(stage.service, "creation", creation)
        monkeypatch.setattr("taskmill.api.errors.REFUSAL_DELAY_S", 0.5)
        async with serving(stage.service, Settings()) as api:
            await api.create()
            began = perf_counter()
            response = await api.http.post(path, content=body)
            assert perf_counter() - began >= 0.5
    assert response.status_code in {400, 422}


async def test_small_requests_are_served_while_a_large_one_is_read(api: Served) -> None:
    batch = (
        b"[" + b",".join([orjson.dumps({"name": "x", "payload": {"t": "y" * 3000}})] * 9_000) + b"]"
    )
    large = asyncio.create_task(  # noqa: TID251 - a test
        api.http.post("/tasks/batch", content=batch + b"}")
    )
    served = 0
    while not large.done():
        assert (await api.post("/tasks", SMALL)).status_code == 201
        served += 1
    assert (await large).status_code == 400
    assert served > 10


async def test_when_too_many_wait_a_request_gets_a_retry_after() -> None:
    offload = Offload(most_waiting=1)
    may_go = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait() -> str:
        asyncio.run_coroutine_threadsafe(may_go.wait(), loop).result()
        return "done"

    first = asyncio.create_task(offload.run(wait))  # noqa: TID251 - a test
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await offload.run(wait)
    may_go.set()
    assert await first == "done"
    assert await offload.run_if_large(1, lambda: "here") == "here"


async def test_requests_served_without_the_thread_are_counted(api: Served, stage: Stage) -> None:
    offload = stage.service.offload
    before = offload.responses
    await api.post("/tasks", SMALL)
    await api.http.get("/queues")
    assert offload.responses == before + 2
    large = orjson.dumps({"name": "x", **FIELDS})
    assert (await api.http.post("/tasks", content=large)).status_code == 422
    assert offload.responses == before + 2


async def test_many_large_requests_of_one_address_do_not_delay_one_of_another(
    api: Served, stage: Stage
) -> None:
    body = b'{"name":"x","a":"' + b"x" * 70_000 + b'"}'
    head = b"POST /tasks HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    request = head + b"content-length: %d\r\n\r\n" % len(body) + body
    offload, may_go, served = stage.service.offload, threading.Event(), list[str]()

    async def send_large(address: str) -> None:
        async with raw_connections(api.url, 1, request, address) as [line]:
            assert (await line.read_to_end(60)).startswith(b"HTTP/1.1 422 ")
            served.append(address)

    async with asyncio.TaskGroup() as group:
        group.create_task(offload.run(lambda: may_go.wait(60)))
        for _ in range(5):
            group.create_task(send_large("127.0.0.2"))
        await eventually(lambda: waiting(offload, 6), "five wait")
        group.create_task(send_large("127.0.0.3"))
        await eventually(lambda: waiting(offload, 7), "six wait")
        may_go.set()
    assert served.index("127.0.0.3") < 4


async def waiting(offload: Offload, count: int) -> bool:
    return offload._count == count
