"""The responses of the fast path are those of the layers, whatever is sent."""

import re
from dataclasses import replace
from uuid import UUID

import pytest

from taskmill.domain.task import Task
from taskmill.observability.metrics import REQUESTS
from taskmill.wire.tasks import TaskView
from tests.support.api import LogLines, Served, raw_request
from tests.support.raw_requests import LAST, LONG_WAY, a_body, sent
from tests.support.stage import Stage


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
    "an unknown path": sent("GET", "/nowhere"),
    "an unknown path with a body": sent("PUT", "/tasks/a/b/c", "content-length: 2", body=b"{}"),
    "nearly a path": sent("POST", "/task", "content-length: 2", body=b"{}"),
    "an unknown page": sent("GET", "/ui/nothing"),
    "an unknown file": sent("GET", "/static/nothing"),
    "an unknown legacy path": sent("GET", "/task_service/nothing"),
    "an unknown path with a query": sent("GET", "/nowhere?a=1"),
    "an unknown path at another host": sent("GET", "/nowhere", host="host: evil.test\r\n"),
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
    quick_response, slow_response = [
        await raw_request(api.url, one + LAST) for one in (request, slow)
    ]
    assert without_what_differs(quick_response) == without_what_differs(slow_response)


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


async def test_a_task_that_cannot_be_rendered_is_a_fault_at_once(
    api: Served, stage: Stage, known: str, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = stage.service.reading._read

    async def misread(ids: list[UUID]) -> list[Task | None]:
        return [replace(task, created_at="never") for task in await read(ids) if task]  # type: ignore[arg-type]

    monkeypatch.setattr(stage.service.reading._batch, "_flush_items", misread)
    for headers in ({}, LONG_WAY):
        response = await api.get(f"/tasks/{known}", headers=headers, timeout=5)
        assert (response.status_code, response.json()["type"]) == (500, "/problems/internal-error")
    quick, slow = log_lines.named("request.failed")
    assert quick["exception"].splitlines()[-1] == slow["exception"].splitlines()[-1]


async def test_reads_and_unknown_paths_bury_nothing_where_lines_are_few(
    api: Served, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.api.request_record.leaves_out_reads", lambda: True)
    for headers in ({}, LONG_WAY):
        await api.get("/tasks", headers=headers)
        await api.get(f"/tasks/{UUID(int=0)}", headers=headers)
        await api.post("/nowhere", {}, headers=headers)
    lines = [(line["level"], line["status"]) for line in log_lines.named("request.served")]
    assert lines == [("debug", 200), ("info", 404), ("info", 404)] * 2
    monkeypatch.setattr("taskmill.api.request_record._UNKNOWN_INTERVAL_S", 60)
    for headers in ({}, LONG_WAY, {}):
        await api.get("/nowhere", headers=headers)
    unknown = log_lines.named("request.served")[len(lines) :]
    assert [line["level"] for line in unknown] == ["info", "debug", "debug"]
