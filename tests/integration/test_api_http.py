"""What every request has in common: ids, logs, methods, deadlines, outages, and connections."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from taskmill.api.app import create_app
from taskmill.api.server import ApiServer
from taskmill.domain.errors import ConfigurationError
from taskmill.operations.feed import Feed
from taskmill.operations.read import TaskReading
from taskmill.operations.service import TaskService
from taskmill.runtime.http_protocol import LARGEST_DISCARD_BYTES
from taskmill.runtime.request_clock import Pace
from taskmill.settings import DatabaseSettings, LimitSettings, Settings
from taskmill.storage.database import Database
from tests.support.api import SETTINGS, LogLines, Served, raw_request, serving
from tests.support.locks import until_blocked
from tests.support.polling import eventually
from tests.support.pulling import a_pull
from tests.support.stage import Stage, a_creation, a_rejections, a_webhooks

IN_A_HURRY = Settings(limits=LimitSettings(request_timeout_s=0.5))
HEAD = b" HTTP/1.1\r\nhost: localhost\r\n"
CHUNKS = b'c\r\n{"name":"a"}\r\n0\r\n\r\n'


async def test_a_valid_request_id_comes_back_and_another_is_replaced(api: Served) -> None:
    sent = await api.get("/healthz", headers={"x-request-id": "abc-1:2/3"})
    assert sent.headers["x-request-id"] == "abc-1:2/3"
    made = set()
    for odd in ("", "a b", "x" * 129, "<script>", "ё".encode()):
        response = await api.get("/nowhere", headers={"x-request-id": odd})
        assert re.fullmatch(r"[0-9a-f]{16}", response.headers["x-request-id"])
        made.add(response.headers["x-request-id"])
    assert len(made) == 5


async def test_each_request_is_one_log_line_under_its_id(log_lines: LogLines, api: Served) -> None:
    await api.get("/tasks?name=secret", headers={"x-request-id": "r1"})
    created = await api.post("/tasks", {"name": "a"}, headers={"x-request-id": "r2"})
    await api.get("/healthz")
    await api.http.head("/nowhere")
    listed, posted, healthy, missing = log_lines.named("request.served")
    assert (listed["level"], listed["method"], listed["path"], listed["status"]) == (
        "info",
        "GET",
        "/tasks",
        200,
    )
    assert listed["request_id"] == "r1"
    assert 0 < listed["duration_ms"] < 5000
    assert (posted["request_id"], posted["task_id"]) == ("r2", created.json()["id"])
    assert (healthy["level"], healthy["path"]) == ("debug", "/healthz")
    assert (missing["method"], missing["status"]) == ("HEAD", 404)


async def test_tasks_that_were_created_together_are_logged_without_a_request_id(
    log_lines: LogLines, api: Served
) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            headers = {"x-request-id": f"r{number}"}
            group.create_task(api.post("/tasks", {"name": "a"}, headers=headers))
    created = log_lines.named("task.created")
    assert len(created) == 10
    assert all("request_id" not in line for line in created)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/tasks", "GET, HEAD, POST"),
        ("OPTIONS", "/tasks", "GET, HEAD, POST"),
        ("POST", "/tasks/x", "GET, HEAD, PATCH"),
        ("POST", "/tasks/x/explain", "GET, HEAD"),
        ("DELETE", "/tasks/x/cancel", "POST"),
        ("HEAD", "/tasks/x/cancel", "POST"),
        ("POST", "/queues/x", "DELETE, PATCH"),
        ("POST", "/docs", "GET, HEAD"),
    ],
)
async def test_another_method_is_refused_with_the_allowed_ones(
    api: Served, method: str, path: str, allowed: str
) -> None:
    response = await api.http.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    if method != "HEAD":
        assert response.json()["type"] == "/problems/method-not-allowed"


async def test_an_unknown_path_is_a_problem(api: Served) -> None:
    for path in ("/nowhere", "/tasks/x/y/z", "/favicon.ico"):
        response = await api.get(path)
        assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")
        assert response.json()["instance"] == path


async def test_a_request_that_takes_too_long_times_out(stage: Stage) -> None:
    await stage.created()
    async with serving(stage.service, IN_A_HURRY) as served, stage.sql.transaction():
        await stage.sql.execute("LOCK TABLE taskmill.task IN ACCESS EXCLUSIVE MODE")
        for late in (
            await served.post("/tasks", {"name": "a"}),
            await served.get("/tasks"),
            await served.get("/task_service/api/v1/task/"),
        ):
            assert late.status_code == 503
            assert late.headers["retry-after"] == "1"
            assert "try again" in late.json()["detail"]
        lines = await served.post(
            "/tasks/batch", b'{"name":"a"}', headers={"content-type": "application/x-ndjson"}
        )
        assert (lines.status_code, lines.json()["status"]) == (200, 503)
        assert (await served.get("/healthz")).status_code == 200


async def test_a_slow_sender_has_longer_than_the_service(stage: Stage) -> None:
    await stage.created()
    async with serving(stage.service, IN_A_HURRY) as served:

        async def slowly() -> AsyncIterator[bytes]:
            for part in (b'{"na', b'me":', b'"a"}'):
                await asyncio.sleep(0.25)  # the wait itself is what is tested
                yield part

        assert (await served.http.post("/tasks", content=slowly())).status_code == 201


async def test_without_a_database_every_response_is_503_and_the_process_lives(stage: Stage) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/nowhere", DatabaseSettings())
    creation = a_creation(nowhere, stage.clock, stage.ids)
    refused = a_rejections(nowhere, creation, stage.ids)
    async with (
        creation,
        TaskReading(nowhere) as reading,
        serving(TaskService(nowhere, creation, reading, refused), IN_A_HURRY) as served,
    ):
        task = "/tasks/01970000-0000-7000-8000-000000000000"
        for request in (
            served.post("/tasks", {"name": "a"}),
            served.post("/tasks", {"name": "a", "idempotency_key": "k"}),
            served.post("/tasks/batch", [{"name": "a"}]),
            served.get(task),
            served.get("/tasks"),
            served.get(f"{task}/events"),
            served.get(f"{task}/explain"),
            served.post(f"{task}/cancel"),
            served.post(f"{task}/retry"),
            served.get("/stats"),
            served.get("/queues"),
            served.get("/workers"),
            served.get("/readyz"),
            served.get("/task_service/api/v1/task/"),
        ):
            response = await request
            assert response.status_code == 503, response.url
            assert int(response.headers["retry-after"]) >= 1
        assert (await served.get("/healthz")).status_code == 200
    await nowhere.close()


async def test_a_fault_is_logged_and_reveals_nothing_to_the_client(
    log_lines: LogLines, api: Served, stage: Stage
) -> None:
    await stage.sql.execute("ALTER TABLE taskmill.queue RENAME TO elsewhere")
    for path in ("/queues", "/task_service/api/v1/task/"):
        headers = {"x-request-id": "r1"}
        if path == "/queues":
            response = await api.get(path, headers=headers)
            assert response.json()["type"] == "/problems/internal-error"
        else:
            response = await api.post(path, {"name": "a"}, headers=headers)
            assert list(response.json()) == ["detail"]
        assert response.status_code == 500
        assert "taskmill.queue" not in response.text
    failed = log_lines.named("request.failed")
    assert len(failed) == 2
    assert all(line["request_id"] == "r1" for line in failed)
    assert all("UndefinedTable" in line["exception"] for line in failed)


async def test_a_client_that_goes_away_is_logged_and_does_no_harm(
    log_lines: LogLines, api: Served
) -> None:
    head = b"POST /tasks" + HEAD + b"content-length: 100\r\n\r\n{"
    with pytest.raises(TimeoutError):
        await raw_request(api.url, head, timeout_s=0.2)

    async def is_logged() -> bool:
        return len(log_lines.named("request.abandoned")) == 1

    await eventually(is_logged, "the abandoned request is in the log")
    assert not log_lines.named("request.failed")
    await api.create()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"BREW /healthz" + HEAD + b"\r\n", 400),
        (b"GET /\xff" + HEAD + b"\r\n", 400),
        (b"POST /tasks" + HEAD + b"content-length: -1\r\n\r\n", 400),
        (b"POST /tasks" + HEAD + b"content-length: 9" + b"9" * 30 + b"\r\n\r\n", 400),
        (b"POST /tasks" + HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /tasks" + HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n" + CHUNKS, 400),
        (b"POST /tasks" + HEAD + b"transfer-encoding: , chunked\r\n\r\n" + CHUNKS, 400),
        (b"POST /tasks" + HEAD + b"transfer-encoding: identity\r\n\r\n" + CHUNKS, 400),
        (b"POST /tasks" + HEAD + b"transfer-encoding: chunked, chunked\r\n\r\n" + CHUNKS, 400),
        (b"POST /tasks" + HEAD + b"transfer-encoding: chunked\r\n" * 2 + b"\r\n" + CHUNKS, 400),
        (
            b"POST /tasks"
            + HEAD
            + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n"
            + CHUNKS,
            400,
        ),
        (b"POST /tasks HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKS, 400),
        (b"CONNECT a:80" + HEAD + b"\r\n", 405),
        (b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * 15_000, 431),
    ],
)
async def test_malformed_http_gets_a_response_and_ends_the_connection(
    api: Served, request_bytes: bytes, status: int
) -> None:
    response = await raw_request(api.url, request_bytes)
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"application/problem+json" in head
    assert b'"status":%d' % status in body


@pytest.mark.parametrize("wish", [b"h2c", b"websocket"])
async def test_an_upgrade_is_ignored(api: Served, wish: bytes) -> None:
    body = b'{"name":"upgraded"}'
    upgrade = b"upgrade: %s\r\nconnection: Upgrade, HTTP2-Settings\r\n" % wish
    head = b"POST /tasks" + HEAD + upgrade + b"content-length: %d\r\n\r\n" % len(body)
    follow = b"GET /healthz" + HEAD + b"connection: close\r\n\r\n"
    for parts in (
        (head + body + follow,),
        (head, body + follow),
        (head, body[:5], body[5:], follow),
    ):
        response = await raw_request(api.url, *parts)
        assert response.count(b"HTTP/1.1 201 ") == 1, response
        assert b'"name":"upgraded"' in response
        assert response.count(b"HTTP/1.1 200 ") == 1


async def test_pipelined_requests_get_responses_in_order(api: Served) -> None:
    ids = b"".join(b"GET /healthz" + HEAD + b"x-request-id: r%d\r\n\r\n" % n for n in range(50))
    last = b"GET /healthz" + HEAD + b"connection: close\r\n\r\n"
    response = await raw_request(api.url, ids + last)
    assert re.findall(rb"x-request-id: r(\d+)", response) == [b"%d" % n for n in range(50)]


async def test_a_response_comes_in_one_piece(api: Served) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /healthz" + HEAD + b"\r\n")
    assert (await reader.read(65536)).endswith(b'{"status":"ok"}')
    writer.write(b"HEAD /healthz" + HEAD + b"\r\n")
    assert (await reader.read(65536)).endswith(b"\r\n\r\n")
    writer.close()


async def test_a_client_that_expects_100_continue_gets_it(api: Served) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /tasks" + HEAD + b"content-length: 12\r\nexpect: 100-continue\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b'{"name":"a"}')
    assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 201 Created\r\n"
    assert b"connection: close" not in await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def test_after_a_refusal_without_100_continue_the_connection_is_closed(
    api: Served,
) -> None:
    """It may leave out a body that is refused from its head; what it sends next would pass for that."""
    length = b"content-length: %d\r\n" % 2**30
    expecting = b"POST /tasks/batch" + HEAD + length + b"expect: 100-continue\r\n\r\n"
    response = await raw_request(api.url, expecting)
    assert response.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in response


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /healthz",
        b"GET /healthz" + HEAD + b"\r\n",
        b"GET /healthz" + HEAD + b"\r\nGET /hea",
        b"POST /tasks" + HEAD + b"content-length: 9999999\r\n\r\n   ",
    ],
)
async def test_a_connection_on_which_nothing_comes_is_closed(api: Served, begun: bytes) -> None:
    pace = Pace(head_s=0.2, body_s=0.2)
    server = ApiServer(api.app, host="127.0.0.1", port=0, keep_alive_s=0.2, pace=pace)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(stop))
        await server.started.wait()
        await raw_request(str(server.url), begun)  # it ends when the server closes
        stop.set()


async def test_a_connection_stays_open_while_requests_come_and_is_closed_when_none_does(
    api: Served,
) -> None:
    server = ApiServer(api.app, host="127.0.0.1", port=0, keep_alive_s=0.3)
    stop, now = asyncio.Event(), asyncio.get_running_loop().time
    async with asyncio.TaskGroup() as group, asyncio.timeout(10):
        group.create_task(server.run(stop))
        await server.started.wait()
        url = httpx.URL(str(server.url))
        reader, writer = await asyncio.open_connection(url.host, url.port)
        began_at = last_at = now()
        while last_at - began_at < 1:
            writer.write(b"HEAD /healthz" + HEAD + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
            last_at = now()
        assert await reader.read() == b""
        assert 0.25 < now() - last_at < 1
        writer.close()
        stop.set()


async def test_a_refused_upload_is_not_read_for_ever(api: Served) -> None:
    size = LARGEST_DISCARD_BYTES * 4
    head = b"POST /tasks" + HEAD + b"content-length: %d\r\n\r\n" % size
    response = b""
    try:
        response = await raw_request(api.url, head, *([b" " * 65536] * (size // 65536)))
    except ConnectionError:
        return  # it was cut while we were still sending
    assert b" 413 " in response[:20]


async def test_requests_in_flight_are_served_before_the_end(stage: Stage) -> None:
    feed = Feed(stage.database, SETTINGS.feed, retained_days=7)
    app = create_app(
        stage.service,
        feed=feed,
        pull=a_pull(stage.database),
        webhooks=a_webhooks(stage.database),
        settings=SETTINGS,
    )
    server, stop = ApiServer(app, host="127.0.0.1", port=0), asyncio.Event()

    async def is_closed() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", int(httpx.URL(url).port or 0))
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:  # between accepting and closing
            return False
        writer.close()
        return False

    async with httpx.AsyncClient() as http, asyncio.TaskGroup() as group:
        running = group.create_task(server.run(stop))
        await server.started.wait()
        url = str(server.url)
        async with stage.sql.transaction():
            await stage.sql.execute("LOCK TABLE taskmill.queue IN ACCESS EXCLUSIVE MODE")
            pending = group.create_task(http.get(f"{url}/queues"))
            await until_blocked(stage)
            stop.set()
            await eventually(is_closed, "nothing listens any more")
            assert not running.done()
        # The lock is gone: the request under way ends, and then the server.
        assert (await pending).status_code == 200


async def test_a_port_in_use_is_reported_with_advice(api: Served) -> None:
    port = int(api.url.rsplit(":", 1)[1])
    second = ApiServer(api.app, host="127.0.0.1", port=port)
    with pytest.raises(ConfigurationError, match=rf"port {port}: .*port 0 picks a free one"):
        await second.run(asyncio.Event())
    for host in ("203.0.113.1", "no such host"):
        with pytest.raises(ConfigurationError, match="can't listen on"):
            await ApiServer(api.app, host=host, port=0).run(asyncio.Event())


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "localhost"])  # noqa: S104 - a free port, for a moment
async def test_the_logged_address_can_be_used(api: Served, host: str) -> None:
    server, stop = ApiServer(api.app, host=host, port=0), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(stop))
        await server.started.wait()
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{server.url}/healthz")).status_code == 200
        stop.set()
