"""Tasks of type http, from a worker to an endpoint."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import orjson
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from taskmill.domain.lifecycle import Status
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.signing import secret_of
from taskmill.domain.task import Task
from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.client import Outbound
from taskmill.outbound.signing import Signer
from taskmill.settings.outgoing import OutboundSettings
from taskmill.worker.push import Push
from tests.support.endpoint import Received, Responder, an_endpoint, never, ok, status
from tests.support.polling import eventually
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_worker, finished, in_status

SECRET = secret_of(b"s" * 32)
NOW_AGAIN = RetryPolicy(base=timedelta())
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@asynccontextmanager
async def a_pusher(
    stage: Stage,
    *,
    allow: tuple[str, ...] = ("127.0.0.1",),
    keys: tuple[str, ...] = (SECRET,),
    result_bytes: int = 100_000,
    longest_wait: timedelta = timedelta(hours=1),
    options: WorkerOptions | None = None,
) -> AsyncIterator[None]:
    """A worker that has the handler of type http."""
    outbound = Outbound(AddressRules(allow), OutboundSettings(response_bytes=4096))
    push = Push(
        outbound,
        Signer(keys),
        stage.clock,
        timeout_s=5,
        longest_wait=longest_wait,
        result_bytes=result_bytes,
    )
    options = options or WorkerOptions(result_bytes=100_000)
    try:
        async with a_worker(stage, {"http": push}, options):
            yield
    finally:
        await outbound.close()


async def pushed(stage: Stage, url: str, *, payload: dict[str, Any], **parts: Any) -> Task:  # noqa: ANN401 - of a draft
    """Create a push and return its task once it has ended."""
    text = orjson.dumps({"url": url, **payload}).decode()
    task = await stage.created(type="http", payload=text, retry=NOW_AGAIN, **parts)
    return await finished(stage, task.id)


def result_of(task: Task) -> dict[str, Any]:
    assert task.status is Status.SUCCEEDED, task.error
    result: dict[str, Any] = orjson.loads(task.result or "null")
    return result


def error_of(task: Task) -> tuple[str, str]:
    assert task.status is Status.FAILED
    error = orjson.loads(task.error or "null")
    return error["type"], error["message"]


async def test_a_push_sends_the_request_of_its_payload_and_its_result_is_the_response(
    stage: Stage,
) -> None:
    async with an_endpoint() as endpoint, a_pusher(stage):
        payload = {"method": "PUT", "headers": {"X-Mine": "1"}, "body": {"a": [1, "ö"]}}
        task = await pushed(stage, f"{endpoint.url}/x?y=z", payload=payload, traceparent=TRACE)
        [received] = endpoint.received
        assert (received.method, received.path) == ("PUT", "/x?y=z")
        assert orjson.loads(received.body) == {"a": [1, "ö"]}
        sent = received.headers
        assert {name: sent.get(name) for name in ("content-type", "x-mine", "traceparent")} == {
            "content-type": "application/json",
            "x-mine": "1",
            "traceparent": TRACE,
        }
        assert sent["webhook-id"] == f"{task.id}-1"
        assert {name: value for name, value in sent.items() if name.startswith("taskmill-")} == {
            "taskmill-task-id": str(task.id),
            "taskmill-run": "1",
            "taskmill-attempt": "1",
            "taskmill-claim-no": "1",
            "taskmill-hop": "1",
        }
        assert Webhook(SECRET).verify(received.body, sent) == {"a": [1, "ö"]}
        result = result_of(task)
        assert (result["status"], result["body_is"], result["body"]) == (200, "json", {"ok": True})
        assert result["headers"]["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    ("payload", "body", "kind"),
    [
        ({}, b"", None),
        ({"body": None}, b"null", "application/json"),
        ({"text": "héllo"}, "héllo".encode(), "text/plain; charset=utf-8"),
        ({"text": "a,b", "headers": {"content-type": "text/csv"}}, b"a,b", "text/csv"),
    ],
)
async def test_a_body_is_json_or_text_or_empty(
    stage: Stage, payload: dict[str, Any], body: bytes, kind: str | None
) -> None:
    async with an_endpoint() as endpoint, a_pusher(stage, keys=()):
        result_of(await pushed(stage, endpoint.url, payload=payload))
        [received] = endpoint.received
        assert received.body == body
        assert received.headers.get("content-type", "application/octet-stream") == (
            kind or "application/octet-stream"
        )
        assert "webhook-signature" not in received.headers


async def test_a_push_says_how_far_its_task_is_and_its_payload_can_not(stage: Stage) -> None:
    async with an_endpoint() as endpoint, a_pusher(stage):
        await pushed(stage, endpoint.url, payload={}, labels='{"taskmill.hop":"4"}')
        assert endpoint.received[0].headers["taskmill-hop"] == "5"
        payload = {"headers": {"Taskmill-Hop": "0"}}
        refused = await pushed(stage, endpoint.url, payload=payload)
        assert error_of(refused)[0] == "PayloadRefused"


async def test_what_may_change_is_tried_again_with_the_same_id(stage: Stage) -> None:
    codes = [503, 429, 408, 425, 500, 200]

    async def respond(_: Received) -> web.StreamResponse:
        return web.Response(status=codes.pop(0))

    async with an_endpoint(respond) as endpoint, a_pusher(stage):
        task = await pushed(stage, endpoint.url, payload={}, max_attempts=10)
        assert result_of(task)["status"] == 200
        assert task.attempt == 6
        assert set(endpoint.ids) == {f"{task.id}-1"}
        attempts = [one.headers["taskmill-attempt"] for one in endpoint.received]
        assert attempts == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("code", [400, 401, 404, 410, 422, 301, 302])
async def test_what_will_not_change_fails_at_once(stage: Stage, code: int) -> None:
    responses = status(code, Location="http://127.0.0.1/elsewhere?secret")
    async with an_endpoint(responses) as endpoint, a_pusher(stage):
        task = await pushed(stage, f"{endpoint.url}/a?secret", payload={}, max_attempts=5)
        kind, message = error_of(task)
        assert kind == "EndpointRefused"
        assert message.startswith(f"{endpoint.url} answered {code}")
        assert "secret" not in message
        assert len(endpoint.received) == 1


async def test_the_payload_defines_what_is_a_success_and_what_is_tried_again(stage: Stage) -> None:
    async with an_endpoint(status(404)) as endpoint, a_pusher(stage):
        payload: dict[str, Any] = {"expect": ["2xx", 404]}
        assert result_of(await pushed(stage, endpoint.url, payload=payload))["status"] == 404
        payload = {"retry_on": [404]}
        task = await pushed(stage, endpoint.url, payload=payload, max_attempts=3)
        assert (error_of(task)[0], task.attempt) == ("EndpointUnavailable", 3)
        endpoint.responds = status(503)
        task = await pushed(stage, endpoint.url, payload={"retry_on": []}, max_attempts=3)
        assert (error_of(task)[0], task.attempt) == ("EndpointRefused", 1)


async def test_retry_after_is_respected_within_bounds(stage: Stage) -> None:
    waits: list[Responder] = [status(429, Retry_After="1"), status(503, Retry_After="86400"), ok]

    async def respond(received: Received) -> web.StreamResponse:
        return await waits.pop(0)(received)

    bound = timedelta(seconds=1.5)
    async with an_endpoint(respond) as endpoint, a_pusher(stage, longest_wait=bound):
        task = await pushed(stage, endpoint.url, payload={}, max_attempts=3)
        assert result_of(task)["status"] == 200
        events = await stage.service.reading.events(task.id)
        planned = [
            (event.run_at - event.at).total_seconds()
            for event in events
            if event.event_type == "retry_scheduled"
        ]
        assert planned == pytest.approx([1, 1.5], abs=0.3)


async def test_a_request_without_a_response_is_tried_again(stage: Stage) -> None:
    async with an_endpoint(never) as endpoint, a_pusher(stage):
        task = await pushed(stage, endpoint.url, payload={"timeout_s": 0.2}, max_attempts=2)
        kind, message = error_of(task)
        assert (kind, task.attempt) == ("EndpointUnavailable", 2)
        assert message == f"{endpoint.url} did not answer within 0.2 s"
    async with a_pusher(stage):
        task = await pushed(stage, "http://127.0.0.1:1/", payload={}, max_attempts=2)
        assert (error_of(task)[0], task.attempt) == ("EndpointUnavailable", 2)


async def test_private_addresses_are_refused_for_good(stage: Stage) -> None:
    async with an_endpoint() as endpoint, a_pusher(stage, allow=()):
        for url in (endpoint.url, endpoint.url.replace("127.0.0.1", "localhost")):
            task = await pushed(stage, url, payload={}, max_attempts=5)
            kind, message = error_of(task)
            assert (kind, task.attempt) == ("AddressForbidden", 1)
            assert "TASKMILL_OUTBOUND__ALLOW" in message
        assert endpoint.received == []


async def test_a_payload_that_bypassed_validation_fails_at_once_and_shows_no_secret(
    stage: Stage,
) -> None:
    async with a_pusher(stage):
        task = await pushed(stage, "http://user:secret@127.0.0.1/", payload={}, max_attempts=5)
        kind, message = error_of(task)
        assert (kind, task.attempt) == ("PayloadRefused", 1)
        assert message.startswith("/payload/url: expected an absolute http or https address")
        assert "secret" not in message


async def test_the_timeout_of_the_task_and_a_cancel_end_a_push(stage: Stage) -> None:
    async with an_endpoint(never) as endpoint, a_pusher(stage):
        task = await pushed(stage, endpoint.url, payload={}, timeout=timedelta(seconds=0.2))
        assert error_of(task)[0] == "Timeout"
        text = orjson.dumps({"url": endpoint.url}).decode()
        waiting = await stage.created(type="http", payload=text)
        await in_status(stage, waiting.id, Status.IN_PROGRESS)

        async def has_come() -> bool:
            return len(endpoint.received) == 2

        await eventually(has_come, "the request")
        await stage.service.cancel(waiting.id)
        assert (await finished(stage, waiting.id)).status is Status.CANCELLED


@pytest.mark.parametrize(
    ("body", "kind", "shown"),
    [
        (b"", "application/json", ("none", None)),
        (b'{"a": 1.5}', "application/problem+json; charset=utf-8", ("json", {"a": 1.5})),
        (b'{"a": 1', "application/json", ("text", '{"a": 1')),
        (b'{"a": "\\u0000"}', "application/json", ("text", '{"a": "\\u0000"}')),
        (b"[" * 1000, "application/json", ("text", "[" * 1000)),
        (b'{"a": 1, "a": 2}', "application/json", ("text", '{"a": 1, "a": 2}')),
        (b"a\0b", "text/plain", ("text", "a\ufffdb")),
        (b"\xff\xfe", "application/octet-stream", ("base64", "//4=")),
        ("ö".encode() * 3000, "text/plain", ("cut", "ö" * 2048)),
    ],
)
async def test_whatever_the_response_is_it_can_be_stored(
    stage: Stage, body: bytes, kind: str, shown: tuple[str, object]
) -> None:
    async def respond(_: Received) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Type": kind})

    async with an_endpoint(respond) as endpoint, a_pusher(stage):
        result = result_of(await pushed(stage, endpoint.url, payload={}))
        assert (result["body_is"], result["body"]) == shown


async def test_a_success_with_too_large_a_response_stays_a_success(stage: Stage) -> None:
    async def respond(_: Received) -> web.StreamResponse:
        return web.Response(body=b"\x01" * 1000)

    async with an_endpoint(respond) as endpoint, a_pusher(stage, result_bytes=2000):
        result = result_of(await pushed(stage, endpoint.url, payload={}))
        assert (result["body_is"], result["body"]) == ("left_out", None)


async def test_a_new_run_has_an_id_of_its_own(stage: Stage) -> None:
    async with an_endpoint() as endpoint, a_pusher(stage):
        task = await pushed(stage, endpoint.url, payload={})
        await stage.service.retry(task.id)

        async def came_again() -> bool:
            return len(endpoint.received) == 2

        await eventually(came_again, "the second run")
        assert endpoint.ids == [f"{task.id}-1", f"{task.id}-2"]


async def test_connections_are_shared_by_pushes_to_one_endpoint(stage: Stage) -> None:
    async with an_endpoint() as endpoint, a_pusher(stage):
        for _ in range(3):
            await pushed(stage, endpoint.url, payload={})
        assert endpoint.connections == 1
