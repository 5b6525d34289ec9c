"""Input that no program should send: each refusal names the pointer and the reason, and none is a fault."""

from collections.abc import AsyncIterator

import pytest

from tests.support.api import LIMITS, Served, raw_request
from tests.support.stage import Stage

DEEP = b'{"name":"a","payload":{"a":' + b"[" * 63 + b"]" * 63 + b"}}"

BODIES = [
    # what, body, status, pointer (None: the problem has no list of errors)
    ("no body", b"", 400, None),
    ("only spaces", b" \n", 400, None),
    ("no JSON", b"name=first", 400, None),
    ("half a document", b'{"name":"a"', 400, None),
    ("two documents", b'{"name":"a"}{"name":"b"}', 400, None),
    ("a byte order mark", b'\xef\xbb\xbf{"name":"a"}', 400, None),
    ("bad UTF-8", b'{"name":"\xff"}', 400, None),
    ("UTF-16", '{"name":"a"}'.encode("utf-16"), 400, None),
    ("a doubled key", b'{"name":"a","name":"b"}', 400, None),
    ("a doubled key written otherwise", b'{"name":"a","n\\u0061me":"b"}', 400, None),
    ("NaN", b'{"name":"a","delay_s":NaN}', 400, None),
    ("Infinity", b'{"name":"a","payload":{"x":-Infinity}}', 400, None),
    ("a number beyond doubles", b'{"name":"a","payload":{"x":1e400}}', 400, None),
    ("a huge integer", b'{"name":"a","payload":{"x":' + b"9" * 400 + b"}}", 400, None),
    ("just over 64 bits", b'{"name":"a","payload":{"x":9223372036854775808}}', 400, None),
    ("too deep", DEEP, 400, None),
    ("a NUL", b'{"name":"a\\u0000b"}', 422, "/name"),
    ("a NUL in a key", b'{"name":"a","payload":{"\\u0000":1}}', 422, "/payload/\\u0000"),
    ("a lone surrogate", b'{"name":"a","payload":{"x":["\\ud800"]}}', 422, "/payload/x/0"),
    ("an array", b"[]", 422, ""),
    ("null", b"null", 422, ""),
    ("a text", b'"name"', 422, ""),
    ("no name", b"{}", 422, "/name"),
    ("an empty name", b'{"name":""}', 422, "/name"),
    ("a long name", b'{"name":"' + b"x" * 201 + b'"}', 422, "/name"),
    ("a number for a name", b'{"name":1}', 422, "/name"),
    ("an unknown field", b'{"name":"a","nmae":1}', 422, "/nmae"),
    ("a priority beyond", b'{"name":"a","priority":10}', 422, "/priority"),
    ("true for a number", b'{"name":"a","priority":true}', 422, "/priority"),
    ("a fraction for a number", b'{"name":"a","priority":1.5}', 422, "/priority"),
    ("a bad queue", b'{"name":"a","queue":"No Spaces"}', 422, "/queue"),
    ("both times", b'{"name":"a","run_at":"2030-01-01T00:00:00Z","delay_s":1}', 422, "/delay_s"),
    ("no zone", b'{"name":"a","run_at":"2030-01-01T00:00:00"}', 422, "/run_at"),
    ("year 1", b'{"name":"a","run_at":"0001-01-01T00:00:00+14:00"}', 422, "/run_at"),
    ("year 9999", b'{"name":"a","run_at":"9999-12-31T23:59:59-14:00"}', 422, "/run_at"),
    ("a day that is none", b'{"name":"a","run_at":"2030-02-30T00:00:00Z"}', 422, "/run_at"),
    ("a label of another kind", b'{"name":"a","labels":{"n":1}}', 422, "/labels/n"),
    ("a payload of another kind", b'{"name":"a","payload":[1]}', 422, "/payload"),
    (
        "a long key",
        b'{"name":"a","idempotency_key":"' + b"k" * 256 + b'"}',
        422,
        "/idempotency_key",
    ),
]


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [case[1:] for case in BODIES],
    ids=[case[0] for case in BODIES],
)
async def test_a_bad_body_is_refused_with_the_pointer(
    api: Served, stage: Stage, body: bytes, status: int, pointer: str | None
) -> None:
    response = await api.post("/tasks", body)
    problem = response.json()
    assert (response.status_code, problem["status"]) == (status, status), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "detail", "instance"} <= problem.keys()
    if pointer is not None:
        assert pointer in [error["pointer"] for error in problem["errors"]]
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 0


async def test_unusual_but_valid_input_is_stored_as_it_came(api: Served) -> None:
    payload = {"x": [9223372036854775807, -9223372036854775808, 1e308, "\\u0000", "😀", {"": None}]}
    task = await api.create(name="Ω" * 200, payload=payload)
    assert (await api.get(f"/tasks/{task['id']}")).json()["payload"] == payload


@pytest.mark.parametrize("path", ["/tasks", "/task_service/api/v1/task/"])
async def test_a_body_over_the_limit_is_refused_however_it_comes(api: Served, path: str) -> None:
    async def in_parts() -> AsyncIterator[bytes]:
        for _ in range(LIMITS.body_bytes // 1000 + 2):
            yield b" " * 1000

    fits = b'{"name":"a"}'.ljust(LIMITS.body_bytes)
    assert (await api.post(path, fits)).status_code == 201
    assert (await api.post(path, fits + b" ")).status_code == 413
    chunked = await api.http.post(path, content=in_parts())
    assert chunked.status_code == 413
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\nconnection: close\r\n\r\n"
    assert b" 413 " in (await raw_request(api.url, head.encode()))[:20]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/html"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"content-type": "application/xml"}, 415),
        ({"content-type": "\xff"}, 415),
        ({"content-encoding": "gzip"}, 415),
        ({"content-encoding": "identity"}, 201),
        ({"idempotency-key": "\xff"}, 422),
        ({"idempotency-key": ""}, 422),
        ({"idempotency-key": "a\tb"}, 422),
        ({"idempotency-key": "k" * 256}, 422),
        ({"traceparent": "\xff"}, 201),
        ({"x-request-id": "\xff"}, 201),
        ({"x-anything": "\xff\xfe"}, 201),
        ({"accept": "\xff"}, 201),
    ],
)
async def test_odd_headers_are_refused_or_ignored(
    api: Served, headers: dict[str, str], status: int
) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    response = await api.http.post("/tasks", content=b'{"name":"a"}', headers=encoded)
    assert response.status_code == status, response.text


@pytest.mark.parametrize(
    ("headers", "came"),
    [
        ({"content-type": "Text/HTML; charset=utf-8"}, "it got text/html"),
        ({"content-type": "application/octet-stream"}, "it got application/octet-stream"),
        ({"content-type": "a/\x80b"}, "it got a/\\u0080b"),
        (
            {"content-type": "text/plain", "content-encoding": "br"},
            "text/plain with the encoding br",
        ),
        ({"content-encoding": "gzip"}, "it got no type with the encoding gzip"),
    ],
)
async def test_the_refusal_of_a_type_names_what_came_and_what_is_accepted(
    api: Served, headers: dict[str, str], came: str
) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    response = await api.http.post("/tasks", content=b'{"name":"a"}', headers=encoded)
    problem = response.json()
    assert (response.status_code, problem["type"]) == (415, "/problems/unsupported-media-type")
    assert problem["detail"].startswith("this path takes application/json, ")
    assert problem["detail"].endswith(came)


async def test_two_keys_or_two_different_ones_are_refused(api: Served) -> None:
    twice = [("idempotency-key", "a"), ("idempotency-key", "a")]
    assert (await api.post("/tasks", {"name": "a"}, headers=twice)).status_code == 422
    body = {"name": "a", "idempotency_key": "a"}
    differ = await api.post("/tasks", body, headers={"idempotency-key": "b"})
    assert differ.status_code == 422


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/tasks/%ff", 400),
        (b"/%c3%28", 400),
        (b"/tasks?name=%ff", 400),
        (b"/tasks?name=\xff", 400),
        (b"/task_service/api/v1/task/?status=%ff", 400),
        (b"/tasks/%00", 422),
        (b"/tasks/%F0%9F%98%80", 422),
        (b"/tasks/" + b"x" * 5000, 422),
        (b"/task_service/api/v1/task/%00/", 422),
        (b"/static/%00", 404),
        (b"/static/..%2f..%2fapp.py", 404),
        (b"/static/" + b"x" * 5000, 404),
        (b"/%00", 404),
        (b"//", 404),
        (b"/tasks/", 404),
        (b"/tasks?" + b"%" * 300, 422),
    ],
)
async def test_an_odd_address_is_refused(api: Served, target: bytes, status: int) -> None:
    request = b"GET " + target + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    response = await raw_request(api.url, request)
    assert response.startswith(b"HTTP/1.1 %d " % status), response[:300]


async def test_a_refusal_does_not_repeat_what_could_be_a_secret(api: Served) -> None:
    secret = "correct-horse-battery"  # noqa: S105 - it only looks like one
    responses = [
        await api.post("/tasks", {"name": "a", "description": 1, "payload": secret}),
        await api.post("/tasks", {"name": "a", "labels": {"k": [secret]}, "callback": secret}),
        await api.post("/tasks", b'{"name":"' + secret.encode()),
        await api.post("/tasks", {"name": "a"}, headers={"idempotency-key": secret * 20}),
    ]
    assert all(response.status_code in {400, 422} for response in responses)
    assert not any(secret in response.text for response in responses)
