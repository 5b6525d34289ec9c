"""The fast path: what goes by it, and what becomes of its requests, whatever connections and the database do."""

import asyncio
import re
from time import perf_counter

import httpx
import pytest

from taskmill.api.fast_calls import Call, Deadlines
from taskmill.api.fast_path import FastPath
from taskmill.api.request_record import RequestRecords
from taskmill.api.server import ApiServer
from taskmill.domain.errors import Unavailable
from taskmill.runtime.fast_path import FastRequest
from taskmill.runtime.offload import Offload
from taskmill.settings import LimitSettings, Settings
from tests.support.api import LogLines, Served, raw_request, serving
from tests.support.locks import until_blocked
from tests.support.polling import eventually
from tests.support.raw_requests import LAST, a_post, parsed_responses, sent
from tests.support.stage import Stage

IN_A_HURRY = Settings(limits=LimitSettings(request_timeout_s=0.5))


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


async def test_each_call_is_late_when_its_own_time_is_up() -> None:
    records = RequestRecords(Offload(), timeout_s=1)
    late, all_late, now = list[tuple[Call, float]](), asyncio.Event(), perf_counter

    def on_late(call: Call) -> None:
        late.append((call, now() - call.started))
        if len(late) == len(expected):
            all_late.set()

    deadlines, calls = Deadlines(0.2, on_late), list[Call]()
    for _ in range(5):
        calls.append(Call(records, FastRequest(None, b"GET", b"/a", []), {}, "GET", "/a"))
        deadlines.add(calls[-1])
        await asyncio.sleep(0.02)
    expected = calls[1::2]
    assert [deadlines.remove(call) for call in calls[::2]] == [True, True, True]
    async with asyncio.timeout(5):
        await all_late.wait()
    assert [call for call, _ in late] == expected
    assert all(0.2 <= waited < 1 for _, waited in late)
    assert not any(deadlines.remove(call) for call in calls)
    deadlines.add(calls[0])
    assert late[-1][0] is calls[0], "it is late already"


async def test_a_fault_is_only_logged(
    stage: Stage, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(stage.service) as served:
        known = await served.create()

        async def broken(_: object) -> list[None]:
            raise ZeroDivisionError("secret")

        monkeypatch.setattr(stage.service.reading._batch, "_flush_items", broken)
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

        monkeypatch.setattr(stage.service.reading._batch, "_flush_items", away)
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


ORDINARY = [
    a_post("a"),
    a_post("a", b"idempotency-key: a"),
    a_post("a", b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),
    a_post("a", b"prefer: wait=1"),
    sent("GET", "/tasks/{}", "if-none-match: *"),
    sent("GET", "/tasks/{}", "prefer: wait=1"),
    sent("GET", "/nowhere"),
    sent("DELETE", "/tasks/{}/a/b"),
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
    monkeypatch.setattr(stage.service.reading._batch, "_is_closed", True)
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
    monkeypatch.setattr(stage.service.reading._batch, "_max_waiting", 0)
    response = await api.get(f"/tasks/{known}")
    assert response.status_code == 503
    assert "room for more reads" in response.json()["detail"]


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
