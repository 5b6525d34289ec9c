"""The fast path: its responses are those of the layers, whatever the connection does."""

import asyncio
import re
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest

from taskmill.api.fast_path import FastPath
from taskmill.api.server import ApiServer
from taskmill.domain.errors import Unavailable
from taskmill.domain.task import Task
from taskmill.observability.metrics import REQUESTS
from taskmill.runtime.fast_path import FastRequest
from taskmill.settings import LimitSettings, Settings
from taskmill.wire.tasks import TaskView
from tests.support.api import LogLines, Served, raw_request, serving
from tests.support.locks import until_blocked
from tests.support.polling import eventually
from tests.support.stage import Stage

IN_A_HURRY = Settings(limits=LimitSettings(request_timeout_s=0.5))
LAST = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
# A request with this header goes through the layers, and gets the same response.
LONG_WAY = {"content-encoding": "identity"}


def a_post(name: str, *headers: bytes) -> bytes:
    body = orjson.dumps({"name": name})
    lines = (
        b"POST /tasks HTTP/1.1",
        b"host: localhost",
        b"content-length: %d" % len(body),
        *headers,
    )
    return b"\r\n".join((*lines, b"", body))


def parsed_responses(raw: bytes) -> list[tuple[int, dict[str, Any]]]:
    """The statuses and JSON bodies of the responses on one connection."""
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        [length] = re.findall(rb"content-length: (\d+)", head)
        found.append((int(head.split()[1]), orjson.loads(rest[: int(length)])))
        raw = rest[int(length) :]
    return found


@pytest.fixture
async def known(api: Served) -> str:
    """A task of a queue that the service has seen: after that, creating is one statement."""
    return str((await api.create(name="known"))["id"])


@pytest.mark.usefixtures("known")
async def test_both_paths_give_the_same_response(api: Served, log_lines: LogLines) -> None:
    quick, slow = [
        await api.post("/tasks", {"name": "a", "payload": {"n": 1}}, headers=headers)
        for headers in ({}, LONG_WAY)
    ]
    assert quick.status_code == slow.status_code == 201
    assert set(quick.headers) == set(slow.headers)
    assert list(quick.json()) == list(slow.json()) == list(TaskView.model_fields)
    path = quick.headers["location"]
    read, read_slowly = await api.get(path), await api.get(path, headers=LONG_WAY)
    assert read.json() == read_slowly.json() == quick.json()
    assert set(read.headers) == set(read_slowly.headers)
    posted, posted_slowly, got, got_slowly = log_lines.named("request.served")
    for one, other in ((posted, posted_slowly), (got, got_slowly)):
        assert one.keys() == other.keys()
        assert (one["method"], one["status"]) == (other["method"], other["status"])
    assert posted["task_id"] == quick.json()["id"]
    assert posted["request_id"] == quick.headers["x-request-id"]


@pytest.mark.usefixtures("known")
async def test_both_paths_refuse_alike_and_are_counted_alike(api: Served) -> None:
    nobody = "/tasks/0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"
    before = REQUESTS.value("GET", "/tasks/{id}", "4xx")
    for headers in ({}, LONG_WAY):
        refused = await api.post("/tasks", {"name": ""}, headers=headers)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/name")
        broken = await api.post("/tasks", b'{"name":', headers=headers)
        assert (broken.status_code, broken.json()["type"]) == (400, "/problems/malformed-json")
        missing = await api.get(nobody, headers=headers)
        assert (missing.status_code, missing.json()["type"]) == (404, "/problems/task-not-found")
        assert missing.json()["instance"] == nobody
        assert re.fullmatch(r"[0-9a-f]{16}", missing.headers["x-request-id"])
        large = await api.post("/tasks", {"name": "a", "description": "x" * 5000}, headers=headers)
        assert large.status_code == 413
    assert REQUESTS.value("GET", "/tasks/{id}", "4xx") == before + 2


async def test_requests_that_come_at_once_get_responses_in_order(api: Served, known: str) -> None:
    read = f"GET /tasks/{known} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
    posts = [a_post(f"{number}", b"x-request-id: r%d" % number) for number in range(5)]
    raw = await raw_request(api.url, read + b"".join(posts) + read + LAST)
    assert re.findall(rb"x-request-id: r(\d)", raw) == [b"0", b"1", b"2", b"3", b"4"]
    (first, *made, again, _) = parsed_responses(raw)
    assert first == again == (200, (await api.get(f"/tasks/{known}")).json())
    assert [(status, task["name"]) for status, task in made] == [(201, f"{n}") for n in range(5)]


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("position", [10, -13, -5, -1])
async def test_a_request_may_come_in_pieces(api: Served, position: int) -> None:
    whole = a_post("pieces")
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(whole[:position])
    await writer.drain()
    await asyncio.sleep(0.05)  # no other way to have the parts arrive as two
    writer.write(whole[position:] + LAST)
    [(status, task), _] = parsed_responses(await reader.read())
    assert (status, task["name"]) == (201, "pieces")
    writer.close()
    listed = (await api.get("/tasks?name=pieces")).json()
    assert listed["total"] == 1


@pytest.mark.usefixtures("known")
async def test_a_task_is_created_though_its_client_leaves(api: Served, stage: Stage) -> None:
    async with stage.sql.transaction():
        await stage.sql.execute("LOCK TABLE taskmill.task IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TimeoutError):
            await raw_request(api.url, a_post("left alone"), timeout_s=0.2)

    async def is_there() -> bool:
        found = await api.get("/tasks?name=left alone")
        return bool(found.json()["total"] == 1)

    await eventually(is_there, "what was begun is done")


async def test_late_requests_get_responses_one_after_the_other(stage: Stage) -> None:
    await stage.created()
    async with serving(stage.service, IN_A_HURRY) as served:
        known = (await served.create())["id"]
        async with stage.sql.transaction():
            await stage.sql.execute("LOCK TABLE taskmill.task IN ACCESS EXCLUSIVE MODE")
            async with asyncio.TaskGroup() as group:
                first = group.create_task(served.post("/tasks", {"name": "a"}))
                await asyncio.sleep(0.2)  # so that the second is not late with the first
                second = await served.get(f"/tasks/{known}")
                assert first.done()
            for late in (first.result(), second):
                assert (late.status_code, late.headers["retry-after"]) == (503, "1")
                assert "a response within 0.5 s" in late.json()["detail"]
        assert (await served.get(f"/tasks/{known}")).status_code == 200


async def test_a_fault_is_only_logged(
    stage: Stage, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(stage.service) as served:
        known = await served.create()

        async def broken(_: object) -> list[None]:
            raise ZeroDivisionError("secret")

        monkeypatch.setattr(stage.service._reading._batch, "_flush_items", broken)
        response = await served.get(f"/tasks/{known['id']}")
    assert (response.status_code, response.json()["type"]) == (500, "/problems/internal-error")
    assert "secret" not in response.text
    [line] = log_lines.named("request.failed")
    assert "ZeroDivisionError: secret" in line["exception"]
    assert line["request_id"] == response.headers["x-request-id"]


async def test_an_outage_is_a_503(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(stage.service) as served:
        known = await served.create()

        async def away(_: object) -> list[None]:
            raise Unavailable(7, "the database")

        monkeypatch.setattr(stage.service._reading._batch, "_flush_items", away)
        response = await served.get(f"/tasks/{known['id']}")
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")


async def test_requests_in_flight_get_responses_before_the_server_ends(
    api: Served, stage: Stage, known: str
) -> None:
    server, stop = ApiServer(api.app, host="127.0.0.1", port=0), asyncio.Event()

    async def is_closing() -> bool:
        try:
            await http.get(f"{server.url}/healthz")
        except httpx.TransportError:
            return True
        return False

    async with httpx.AsyncClient() as http, asyncio.TaskGroup() as group:
        running = group.create_task(server.run(stop))
        await server.started.wait()
        async with stage.sql.transaction():
            await stage.sql.execute("LOCK TABLE taskmill.task IN ACCESS EXCLUSIVE MODE")
            pending = group.create_task(http.get(f"{server.url}/tasks/{known}"))
            await until_blocked(stage)
            stop.set()
            await eventually(is_closing, "the server listens no more")
            assert not running.done()
        response = await pending
        assert (response.status_code, response.headers["connection"]) == (200, "close")


def sent(
    method: str,
    path: str,
    *lines: str,
    body: bytes = b"",
    version: str = "1.1",
    host: str = "host: localhost\r\n",
) -> bytes:
    head = (f"{method} {path} HTTP/{version}\r\n{host}x: y", *lines)
    return "\r\n".join((*head, "", "")).encode() + body


def a_body(body: bytes, *lines: str) -> bytes:
    return sent("POST", "/tasks", f"content-length: {len(body)}", *lines, body=body)


def without_what_differs(raw: bytes) -> bytes:
    """Remove ids, times and entity tags."""
    raw = re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"ID", raw)
    raw = re.sub(rb"[0-9-]{10}T[0-9:.]+Z", b"TIME", raw)
    return re.sub(
        rb"(?i)(date|x-request-id|etag|content-length): [^\r]+|\"number\":[0-9]+", b"", raw
    )


CHUNKED = ("transfer-encoding: chunked",)
SHAPES = {
    "nothing": a_body(b""),
    "no length": sent("POST", "/tasks"),
    "chunked": sent("POST", "/tasks", *CHUNKED, body=b'7\r\n{"name"\r\n5\r\n:"a"}\r\n0\r\n\r\n'),
    "with a trailer": sent(
        "POST", "/tasks", *CHUNKED, body=b'c\r\n{"name":"a"}\r\n0\r\nx-request-id: t\r\n\r\n'
    ),
    "broken chunk": sent("POST", "/tasks", *CHUNKED, body=b"c\r\n{}\r\n\r\n0\r\n\r\n"),
    "both lengths": sent("POST", "/tasks", *CHUNKED, "content-length: 2", body=b"{}"),
    "two types": a_body(b'{"name":"a"}', "content-type: application/json", "content-type: text/x"),
    "a charset": a_body(b'{"name":"a"}', "content-type: application/json; charset=utf-8"),
    "no JSON": a_body(b'{"name":"a"}{'),
    "deep": a_body(b"[" * 2000),
    "twice a name": a_body(b'{"name":"a","name":"b"}'),
    "a NUL": a_body(b'{"name":"\\u0000"}'),
    "half a character": a_body(b'{"name":"\\ud800"}'),
    "no text": a_body(b'{"name":"\xff"}'),
    "a large number": a_body(b'{"name":"a","payload":1e999}'),
    "a mark": a_body(b'\xef\xbb\xbf{"name":"a"}'),
    "a key": a_body(b'{"name":"a","idempotency_key":"\\u0001"}'),
    "too much": a_body(b'{"name":"%s"}' % (b"x" * 5000)),
    "unsound id": a_body(b'{"name":"a"}', "x-request-id: a b"),
    "1.0": sent("POST", "/tasks", "content-length: 12", body=b'{"name":"a"}', version="1.0"),
    "another host": sent("GET", "/tasks/{}", host="host: evil.test\r\n"),
    "no host": sent("GET", "/tasks/{}", host=""),
    "two hosts": sent("GET", "/tasks/{}", host="host: localhost\r\nhost: localhost\r\n"),
    "an absolute target": sent("GET", "http://evil.test/tasks/{}"),
    "another site": a_body(b'{"name":"a"}', "sec-fetch-site: cross-site"),
    "another origin": a_body(b'{"name":"a"}', "origin: http://evil.test"),
    "an expectation": a_body(b'{"name":"a"}', "expect: 100-continue"),
    "GET with a body": sent("GET", "/tasks/{}", "content-length: 5", body=b"hello"),
    "HEAD": sent("HEAD", "/tasks/{}"),
    "capitals": sent("GET", "/tasks/0197A3B2-6C4E-7D21-8F10-2A9B3C4D5E6F"),
    "no UUID": sent("GET", "/tasks/0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6x"),
    "a query": sent("GET", "/tasks/0197a3b2-6c4e-7d21-8f10-2a9b3c4?a=%20"),
    "escapes": sent("GET", "/tasks/0197a3b2-6c4e-7d21-8f10-2a9b3c4d%ff6f"),
    "a fragment": sent("GET", "/tasks/{}#a"),
    "two keys": a_body(b'{"name":"a"}', "idempotency-key: a", "idempotency-key: b"),
    "an empty key": a_body(b'{"name":"a"}', "idempotency-key: "),
    "a long key": a_body(b'{"name":"a"}', f"idempotency-key: {'k' * 300}"),
    "a key here and there": a_body(b'{"name":"a","idempotency_key":"a"}', "idempotency-key: b"),
    "a bad key and body": a_body(b'{"name":""}', "idempotency-key: "),
    "a trace": a_body(b'{"name":"a"}', f"traceparent: 00-{'a' * 32}-{'b' * 16}-01"),
    "no trace": a_body(b'{"name":"a"}', "traceparent: x"),
    "two traces": a_body(b'{"name":"a"}', "traceparent: x", "traceparent: y"),
    "a preference": sent("GET", "/tasks/{}", "prefer: wait=1"),
    "any tag": sent("GET", "/tasks/{}", "if-none-match: *"),
    "another tag": sent("GET", "/tasks/{}", 'if-none-match: "7.7", W/"1"'),
    "two tags": sent("GET", "/tasks/{}", 'if-none-match: "7.7"', "if-none-match: *"),
    "a preference and another tag": sent(
        "GET", "/tasks/{}", "prefer: wait=1", 'if-none-match: "7.7"'
    ),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
async def test_both_paths_respond_alike_to_anything(api: Served, known: str, shape: bytes) -> None:
    request = shape.replace(b"{}", known.encode()) if b"/tasks/{}" in shape else shape
    slow = request.replace(b"host: localhost", b"host: localhost\r\ncontent-encoding: identity", 1)
    quick_answer, slow_answer = [await raw_request(api.url, one + LAST) for one in (request, slow)]
    assert without_what_differs(quick_answer) == without_what_differs(slow_answer)


@pytest.mark.usefixtures("known")
async def test_both_paths_treat_keys_and_tags_alike(api: Served) -> None:
    for first, second in (({}, LONG_WAY), (LONG_WAY, {})):
        key = {"idempotency-key": f"key {len(first)}"}
        made = await api.post("/tasks", {"name": "a"}, headers={**key, **first})
        again = await api.post("/tasks", {"name": "a"}, headers={**key, **second})
        assert (made.status_code, again.status_code) == (201, 200)
        assert made.json() == again.json()
        for headers in (first, second):
            refused = await api.post("/tasks", {"name": "b"}, headers={**key, **headers})
            assert refused.json()["type"] == "/problems/idempotency-conflict"
            tag = {"if-none-match": made.headers["etag"]}
            same = await api.get(made.headers["location"], headers={**tag, **headers})
            assert (same.status_code, same.content) == (304, b"")
            assert same.headers["etag"] == made.headers["etag"]
            assert "content-length" not in same.headers


ORDINARY = [
    a_post("a"),
    a_post("a", b"idempotency-key: a"),
    a_post("a", b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),
    a_post("a", b"prefer: wait=1"),
    sent("GET", "/tasks/{}", "if-none-match: *"),
    sent("GET", "/tasks/{}", "prefer: wait=1"),
]
UNUSUAL = [
    a_post("a", b"sec-fetch-site: same-origin"),
    a_post("a", b"origin: http://localhost"),
    a_post("a", b"content-encoding: identity"),
    sent("GET", "/tasks/{}", "if-none-match: *", "prefer: wait=1"),
]


@pytest.mark.parametrize(
    ("request_bytes", "is_fast"),
    [*((one, True) for one in ORDINARY), *((one, False) for one in UNUSUAL)],
)
async def test_what_careful_clients_send_goes_by_the_fast_path(
    api: Served, known: str, monkeypatch: pytest.MonkeyPatch, request_bytes: bytes, *, is_fast: bool
) -> None:
    begun, begin = list[bool](), FastPath.begin

    def noted(path: FastPath, request: FastRequest) -> bool:
        begun.append(begin(path, request))
        return begun[-1]

    monkeypatch.setattr(FastPath, "begin", noted)
    await raw_request(api.url, request_bytes.replace(b"{}", known.encode()) + LAST)
    assert begun == [is_fast]


async def test_a_failure_to_begin_on_the_fast_path_is_a_fault_and_no_bad_request(
    api: Served, stage: Stage, known: str, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.service._reading._batch._queue, "_is_closed", True)
    response = await api.get(f"/tasks/{known}")
    assert (response.status_code, response.json()["type"]) == (500, "/problems/internal-error")
    [line] = log_lines.named("request.failed")
    assert "the queue is closed" in line["exception"]


async def test_a_failure_on_the_way_to_the_fast_path_makes_no_task_twice(
    api: Served, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert known

    monkeypatch.setattr(api.app.fast_path, "_records", None)
    assert (await api.post("/tasks", {"name": "once"})).status_code == 201
    assert (await api.get("/tasks?name=once")).json()["total"] == 1


async def test_too_many_reads_get_a_retry_after(
    api: Served, stage: Stage, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.service._reading._batch, "_max_waiting", 0)
    response = await api.get(f"/tasks/{known}")
    assert response.status_code == 503
    assert "room for more reads" in response.json()["detail"]


async def test_a_task_that_cannot_be_rendered_is_a_fault_at_once(
    api: Served, stage: Stage, known: str, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = stage.service._reading._read

    async def misread(ids: list[UUID]) -> list[Task | None]:
        return [replace(task, created_at="never") for task in await read(ids) if task]  # type: ignore[arg-type]

    monkeypatch.setattr(stage.service._reading._batch, "_flush_items", misread)
    for headers in ({}, LONG_WAY):
        response = await api.get(f"/tasks/{known}", headers=headers, timeout=5)
        assert (response.status_code, response.json()["type"]) == (500, "/problems/internal-error")
    quick, slow = log_lines.named("request.failed")
    assert quick["exception"].splitlines()[-1] == slow["exception"].splitlines()[-1]


@pytest.mark.usefixtures("known")
async def test_a_response_after_the_grace_time_does_no_harm(api: Served, stage: Stage) -> None:
    server, stop = ApiServer(api.app, host="127.0.0.1", port=0, grace_s=0.1), asyncio.Event()
    unretrieved: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unretrieved.append(context))

    async def received() -> bytes:
        try:
            return await raw_request(str(server.url), a_post("cut") + a_post("never"))
        except ConnectionError:
            return b""

    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.run(stop))
        await server.started.wait()
        async with stage.sql.transaction():
            await stage.sql.execute("LOCK TABLE taskmill.task IN ACCESS EXCLUSIVE MODE")
            position = group.create_task(received())
            await until_blocked(stage)
            stop.set()
            await running
            assert await position == b""

    async def is_there() -> bool:
        return bool((await api.get("/tasks?name=cut")).json()["total"] == 1)

    await eventually(is_there, "what was begun is done")
    assert (await api.get("/tasks?name=never")).json()["total"] == 0
    assert unretrieved == []
