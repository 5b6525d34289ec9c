"""Trouble between a client and a service: on the way, in the process, and with arguments."""

import asyncio
import copy
import json
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import Enum, IntEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import orjson
import pytest
from pydantic import BaseModel

from taskmill.api.examples import RESPONSES
from taskmill.client import (
    AsyncTaskmillClient,
    ClientError,
    NotAllCreated,
    ServiceUnavailable,
    StillRunning,
    TaskmillClient,
    TaskNotFound,
    Unexpected,
    Unreachable,
)
from taskmill.client.calls import json_bytes, plain
from taskmill.domain.lifecycle import Status
from taskmill.wire.problems import MEDIA_TYPE

TASK: dict[str, Any] = {**RESPONSES["TaskView"], "finished_at": None}
ENDED = {**TASK, "status": "succeeded", "version": TASK["version"] + 1}
ID = UUID(TASK["id"])


def a_response(body: object, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


def refused(status: int, type_: str = "about:blank") -> httpx.Response:
    body = {"type": type_, "title": "No", "status": status, "detail": "no"}
    return httpx.Response(
        status, content=orjson.dumps(body), headers={"Content-Type": MEDIA_TYPE, "Retry-After": "0"}
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


LOST = httpx.ReadError("reset")
WAITING = {**TASK, "status": "new"}


class Counted(BaseHTTPRequestHandler):
    """Responds like a service without queues; records each request's port, which is its connection."""

    protocol_version = "HTTP/1.1"
    ports: list[int]

    def do_GET(self) -> None:
        """Respond."""
        self.ports.append(self.client_address[1])
        body = b'{"items":[]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def counted() -> Iterator[ThreadingHTTPServer]:
    Counted.ports = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Counted) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


FORKS = """
import os, sys
from taskmill.client import TaskmillClient

client = TaskmillClient(sys.argv[1])
client.queues()
if os.fork() == 0:
    client.queues()
    os._exit(0)
assert os.wait()[1] == 0
client.queues()
"""


def test_a_fork_has_connections_of_its_own(counted: ThreadingHTTPServer) -> None:
    """On a shared one, each process may read the responses of the other."""
    url = f"http://127.0.0.1:{counted.server_port}"
    subprocess.run([sys.executable, "-c", FORKS, url], check=True, timeout=60)  # noqa: S603 - our own program
    before, forked, after = Counted.ports
    assert before == after != forked


async def test_many_may_wait_at_once() -> None:
    """More than httpx has connections for: the service responds to none before it has all requests."""
    at_once, all_came = 150, asyncio.Barrier(150)
    body = orjson.dumps(ENDED)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await all_came.wait()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=at_once)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with (
        server,
        AsyncTaskmillClient(url, timeout_s=5, retries=0) as client,
        asyncio.TaskGroup() as group,
    ):
        waits = [group.create_task(client.wait(ID)) for _ in range(at_once)]
    assert {wait.result().status for wait in waits} == {Status.SUCCEEDED}


async def serve_tasks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond to everything with one task, once for each connection."""
    body = orjson.dumps(ENDED)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
    writer.close()


async def test_cancelled_calls_leave_no_connection_taken() -> None:
    """A call of httpcore that is cancelled between getting and using its connection keeps it for ever."""
    server = await asyncio.start_server(serve_tasks, "127.0.0.1", 0, backlog=1000)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, AsyncTaskmillClient(url, retries=0) as client:
        for steps in [8, 9, 10, 11, 12] * 3:
            async with asyncio.TaskGroup() as group:
                given_up = [group.create_task(client.get(ID)) for _ in range(100)]
                for _ in range(steps):
                    await asyncio.sleep(0)
                for call in given_up:
                    call.cancel()
        async with asyncio.timeout(20):
            assert (await client.get(ID)).id == ID


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxys_error_while_the_service_is_away_is_tried_again(status: int) -> None:
    transport = FakeTransport(of_a_proxy(status), a_response(TASK))
    assert transport.client().get(ID).id == ID
    once = FakeTransport(of_a_proxy(status))
    with pytest.raises(Unexpected, match=f"HTTP {status}"):
        once.client().cancel(ID)
    assert len(once.requests) == 1


def test_a_response_that_can_not_be_decoded_is_no_response() -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    broken = httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"no gzip"))
    with pytest.raises(Unreachable, match="can't be decoded"):
        FakeTransport(broken).client(retries=0).stats()


def test_a_wait_outlasts_the_service_going_away() -> None:
    transport = FakeTransport(
        a_response(WAITING), LOST, of_a_proxy(502), refused(503), a_response(ENDED)
    )
    assert transport.client(retries=0).wait(ID).status is Status.SUCCEEDED
    assert len(transport.requests) == 5


async def test_a_wait_outlasts_the_service_going_away_asynchronously() -> None:
    transport = FakeTransport(a_response(WAITING), LOST, a_response(ENDED))
    async with transport.async_client() as client:
        assert (await client.wait(ID)).status is Status.SUCCEEDED
    assert len(transport.requests) == 3


def test_a_wait_ends_in_time_though_the_service_stays_away() -> None:
    transport = FakeTransport(a_response(WAITING), LOST)
    with pytest.raises(StillRunning):
        transport.client().wait(ID, timeout_s=0.2)


def test_a_wait_ends_when_the_service_refuses() -> None:
    transport = FakeTransport(a_response(WAITING), refused(404, "/problems/task-not-found"))
    with pytest.raises(TaskNotFound):
        transport.client().wait(ID)
    with pytest.raises(Unreachable):
        FakeTransport(LOST).client(retries=0).wait(ID)


STREAM = {"Content-Type": "text/event-stream"}


def a_stream(data: object) -> httpx.Response:
    content = b"id: 1.1\nevent: change\ndata: %b\n\n" % orjson.dumps(data)
    return httpx.Response(200, headers=STREAM, content=content)


@pytest.mark.parametrize("away", [of_a_proxy(502), of_a_proxy(503), refused(503)])
def test_a_feed_goes_on_when_a_proxy_reaches_the_service_again(away: httpx.Response) -> None:
    change = RESPONSES["ChangeView"]
    transport = FakeTransport(a_stream(change), away, a_stream({**change, "cursor": "1.2"}))
    feed = transport.client(retries=0).feed()
    assert [next(feed).cursor, next(feed).cursor] == [change["cursor"], "1.2"]
    feed.close()


def test_a_change_of_another_version_is_the_clients_error() -> None:
    feed = (
        FakeTransport(a_stream({**RESPONSES["ChangeView"], "event": "sublimated"})).client().feed()
    )
    with pytest.raises(Unexpected, match="event"):
        next(feed)


@pytest.mark.parametrize(
    "away", [(of_a_proxy(502), Unexpected), (refused(503), ServiceUnavailable)]
)
def test_a_feed_that_never_connected_raises_the_error(
    away: tuple[httpx.Response, type[ClientError]],
) -> None:
    with pytest.raises(away[1]):
        next(FakeTransport(away[0]).client(retries=1).feed())


ERRORS: list[ClientError] = [
    Unreachable("http://taskmill", "refused"),
    Unexpected("http://taskmill", 502, "HTML"),
    StillRunning(ID, Status.NEW, 3.0),
    NotAllCreated([ID, None], {}, is_cut=True),
]


def sent_over(error: ClientError) -> ClientError:
    arrived: ClientError = pickle.loads(pickle.dumps(error))  # noqa: S301 - it is our own
    return arrived


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("copied", [sent_over, copy.copy])
def test_an_error_crosses_to_another_process(
    error: ClientError, copied: Callable[[ClientError], ClientError]
) -> None:
    arrived = copied(error)
    assert (type(arrived), str(arrived), vars(arrived)) == (type(error), str(error), vars(error))


def test_a_password_in_the_address_is_not_shown() -> None:
    url = "http://ann:s3@cret@taskmill"
    silent = httpx.MockTransport(FakeTransport(LOST))
    with pytest.raises(Unreachable) as lost:
        TaskmillClient(url, retries=0, transport=silent).stats()
    page = httpx.MockTransport(FakeTransport(httpx.Response(200, html="<html>")))
    with pytest.raises(Unexpected) as strange:
        TaskmillClient(url, transport=page).stats()
    for text in (str(lost.value), lost.value.url, str(strange.value), strange.value.url):
        assert "taskmill" in text
        assert "cret" not in text


@pytest.mark.parametrize("url", ["http://a..b", f"http://{'a' * 64}.org", "http://host/\udcff"])
def test_an_address_that_no_connection_takes_is_refused_at_once(url: str) -> None:
    with pytest.raises(Unreachable, match="not an address"):
        TaskmillClient(url)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:1"),
        ("HTTP_PROXY", "http://127.0.0.1:none"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
    ],
)
def test_an_unusable_environment_is_an_error(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    for kind in (TaskmillClient, AsyncTaskmillClient):
        with pytest.raises(Unreachable, match="environment"):
            kind("http://taskmill")


class Colour(Enum):
    RED = "red"


class Order(BaseModel):
    at: datetime


def test_a_payload_is_converted_to_json() -> None:
    transport = FakeTransport(a_response(TASK, 201))
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    payload = {
        "order": Order(at=moment),
        "at": moment,
        "day": date(2030, 1, 1),
        "pause": timedelta(minutes=1),
        "id": ID,
        "colour": Colour.RED,
        "some": {1},
    }
    transport.client().create("a task", payload=payload)
    assert orjson.loads(transport.requests[0].content)["payload"] == {
        "order": {"at": "2030-01-01T00:00:00Z"},
        "at": "2030-01-01T00:00:00+00:00",
        "day": "2030-01-01",
        "pause": "PT1M",
        "id": str(ID),
        "colour": "red",
        "some": [1],
    }


class Level(IntEnum):
    HIGH = 9


class Text(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int
    y: float


@dataclass
class Size:
    width: int


@pytest.mark.parametrize(
    "value",
    [
        {"a": [None, True, 1, -1.5, "", "null", 'ä\u2028\x00\ud800"', (1, 2)]},
        {"large": 2**70, "small": -(2**63), "tiny": 1e-310, "huge": 1.5e308, "zero": -0.0},
        {1: "a", False: "b", None: "c", 1.5: "d"},
        {Text("key"): Text("value")},
        [Level.HIGH, Point(1, 2.0), OrderedDict(a=1)],
    ],
)
def test_json_is_what_the_standard_library_makes_of_it(value: object) -> None:
    assert json.loads(json_bytes(value)) == json.loads(json.dumps(value))


def test_what_json_lacks_is_written_alike_wherever_it_is() -> None:
    """Even beside values that only the standard library writes."""
    moment = datetime(2030, 1, 1, 12, 30, 15, 120, tzinfo=timezone(timedelta(hours=2)))
    values = [
        moment,
        date(2030, 1, 1),
        time(1, 2),
        ID,
        Colour.RED,
        Size(3),
        moment.replace(tzinfo=None),
    ]
    for value in values:
        [alone] = orjson.loads(json_bytes([value]))
        [beside, _] = orjson.loads(json_bytes([value, None]))
        assert alone == beside == plain(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_lacks_are_refused_wherever_they_are(number: float) -> None:
    for value in (number, [number], {"a": {"b": (number,)}}, [number, 2**70], [Colour.RED, number]):
        with pytest.raises(ValueError, match="compliant"):
            json_bytes(value)


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_the_result_is_unexpected(status: int) -> None:
    with pytest.raises(Unexpected, match=f"HTTP {status}"):
        FakeTransport(httpx.Response(status)).client().stats()


@pytest.mark.parametrize("value", [object(), b"\xff", float("nan"), len])
def test_what_can_not_be_json_is_not_sent(value: object) -> None:
    transport = FakeTransport(a_response(TASK, 201))
    with pytest.raises(ValueError, match=r"serialize|decode|compliant"):
        transport.client().create("a task", payload={"value": value})
    assert transport.requests == []


def test_an_empty_key_of_the_callers_own_is_sent_alone() -> None:
    transport = FakeTransport(a_response(TASK, 201))
    transport.client().create("a task", idempotency_key="")
    assert "Idempotency-Key" not in transport.requests[0].headers
    assert orjson.loads(transport.requests[0].content)["idempotency_key"] == ""


def test_an_empty_key_in_a_batch_is_sent_as_it_is() -> None:
    transport = FakeTransport(a_response({"ids": [str(ID), str(ID)]}, 201))
    tasks: list[dict[str, str | None]] = [
        {"name": "a", "idempotency_key": key} for key in ("", None)
    ]
    transport.client().create_batch(tasks)
    first, second = orjson.loads(transport.requests[0].content)
    assert first["idempotency_key"] == ""
    assert second["idempotency_key"]


def test_a_filter_given_as_an_iterator_holds_for_every_page() -> None:
    pages = [{"items": [TASK], "total": 2, "next_cursor": cursor} for cursor in ("c", None)]
    transport = FakeTransport(*map(a_response, pages))
    found = list(transport.client().list(status=iter(["new", "failed"]), label={"a=1": 0}.keys()))
    assert len(found) == 2
    for request in transport.requests:
        assert request.url.params.get_list("status") == ["new", "failed"]
        assert request.url.params.get_list("label") == ["a=1"]


def test_a_filter_given_as_an_iterator_holds_for_every_step() -> None:
    step = {"matched": 1, "changed": 1, "asked": 0, "dry_run": False}
    first = {**step, "is_complete": False, "next_cursor": "c"}
    transport = FakeTransport(
        a_response(first), a_response({**step, "is_complete": True, "next_cursor": None})
    )
    done = transport.client().cancel_matching(label=iter(["a=1"]), status="new")
    assert done.changed == 2
    sent = [orjson.loads(request.content) for request in transport.requests]
    assert [(one["label"], one["status"]) for one in sent] == [(["a=1"], ["new"])] * 2


def test_bytes_that_are_no_text_can_be_searched_for() -> None:
    transport = FakeTransport(a_response({"items": [], "total": 0, "next_cursor": None}))
    transport.client().page(name=os.fsdecode(b"a\xff"))
    assert transport.requests[0].url.params["name"] == "a\ufffd"
