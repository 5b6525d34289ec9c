"""Traces, from whoever asks for a task to its handler, on a real database and a real broker."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from starlette.types import Message, Receive, Scope, Send

from taskmill.api.tracing import TracingMiddleware
from taskmill.app import Context
from taskmill.domain.lifecycle import Status
from tests.support.api import LogLines, Served, raw_request, serving
from tests.support.intake import producing, taking_in, until_counted
from tests.support.polling import eventually
from tests.support.spans import (
    CALLER,
    PARENT_ID,
    TRACE_ID,
    UNSAMPLED,
    Spans,
    ids,
    parent_ids,
    spans,
)
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_worker, finished

__all__ = ["spans"]

Payload = Mapping[str, Any]
HOSTILE = [
    "rubbish",
    "\xff\xfe",
    "",
    f"ff-{TRACE_ID}-{PARENT_ID}-01",
    f"00-{'0' * 32}-{PARENT_ID}-01",
    f"00-{TRACE_ID}-{'0' * 16}-01",
    CALLER + "-more",
    CALLER.upper(),
    "0" * 7_000,
]


async def succeeds(_: Context) -> None:
    """Do nothing, well."""


async def stored(stage: Stage) -> list[str | None]:
    """The contexts of all tasks, in the order of their creation."""
    rows = await stage.sql.fetch("SELECT traceparent FROM taskmill.task ORDER BY id")
    return [row["traceparent"] for row in rows]


async def test_a_handler_is_traced_as_the_child_of_the_request_that_created_its_task(
    stage: Stage, spans: Spans
) -> None:
    options = WorkerOptions(traces=spans.traces)
    async with serving(stage.service, traces=spans.traces) as api:
        async with a_worker(stage, {"work": succeeds}, options):
            body = {"name": "a", "type": "work", "queue": "reports"}
            response = await api.post("/tasks", body, headers={"traceparent": CALLER})
            assert response.status_code == 201
            task = response.json()
            process = await spans.one("process work")
        create = await spans.one("POST /tasks")
    assert parent_ids(create) == (TRACE_ID, PARENT_ID)
    assert parent_ids(process) == ids(create)
    assert ids(process)[0] == TRACE_ID
    assert (create.kind, process.kind) == (SpanKind.SERVER, SpanKind.CONSUMER)
    assert dict(create.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/tasks",
        "url.path": "/tasks",
        "url.scheme": "http",
        "http.response.status_code": 201,
        "taskmill.task.id": task["id"],
    }
    assert dict(process.attributes or {}) == {
        "messaging.system": "taskmill",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "reports",
        "messaging.message.id": task["id"],
        "messaging.client.id": "worker",
        "taskmill.task.type": "work",
        "taskmill.task.run": 1,
        "taskmill.task.attempt": 1,
        "taskmill.task.claim_no": 1,
        "taskmill.task.outcome": "succeeded",
    }
    assert process.status.status_code is StatusCode.UNSET


async def test_without_a_caller_s_context_the_request_begins_a_trace(
    stage: Stage, spans: Spans
) -> None:
    async with serving(stage.service, traces=spans.traces) as api:
        async with a_worker(stage, {"work": succeeds}, WorkerOptions(traces=spans.traces)):
            await api.create(type="work")
            process = await spans.one("process work")
        create = await spans.one("POST /tasks")
    assert create.parent is None
    assert parent_ids(process) == ids(create)


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_context_that_is_not_valid_begins_a_trace_too(
    stage: Stage, spans: Spans, hostile: str
) -> None:
    async with serving(stage.service, traces=spans.traces) as api:
        headers = {"traceparent": hostile.encode("latin-1")}
        response = await api.post("/tasks", {"name": "a"}, headers=headers)
        assert response.status_code == 201
        create = await spans.one("POST /tasks")
    assert create.parent is None
    trace_id, span_id = ids(create)
    assert trace_id != TRACE_ID
    [stored_context] = await stored(stage)
    assert stored_context is not None
    assert stored_context.startswith(f"00-{trace_id}-{span_id}-")


async def test_two_contexts_are_none(stage: Stage, spans: Spans) -> None:
    twice = [("traceparent", CALLER), ("traceparent", CALLER)]
    async with serving(stage.service) as untraced:
        assert (await untraced.post("/tasks", {"name": "a"}, headers=twice)).status_code == 201
    async with serving(stage.service, traces=spans.traces) as traced:
        assert (await traced.post("/tasks", {"name": "b"}, headers=twice)).status_code == 201
        create = await spans.one("POST /tasks")
    assert create.parent is None
    first, second = await stored(stage)
    assert first is None
    assert second is not None
    assert TRACE_ID not in second


async def test_a_trace_that_is_not_sampled_makes_no_span_and_is_stored(
    stage: Stage, spans: Spans
) -> None:
    seen: list[bool] = []

    async def reads_nothing(_: Context) -> None:
        with spans.library.start_as_current_span("inside") as inside:
            seen.append(inside.is_recording())
            assert f"{inside.get_span_context().trace_id:032x}" == TRACE_ID

    async with (
        serving(stage.service, traces=spans.traces) as api,
        a_worker(stage, {"work": reads_nothing}, WorkerOptions(traces=spans.traces)),
    ):
        body = {"name": "a", "type": "work"}
        response = await api.post("/tasks", body, headers={"traceparent": UNSAMPLED})
        task = await finished(stage, UUID(response.json()["id"]))
    assert task.status is Status.SUCCEEDED
    assert await stored(stage) == [UNSAMPLED]
    assert seen == [False]
    assert spans.all() == []


async def test_all_tasks_of_a_batch_and_of_the_earlier_address_belong_to_their_request(
    stage: Stage, spans: Spans
) -> None:
    lines = b'{"name": "c"}\n{"name": "d"}\n'
    headers = {"traceparent": CALLER}
    async with serving(stage.service, traces=spans.traces) as api:
        array = await api.post("/tasks/batch", [{"name": "a"}, {"name": "b"}], headers=headers)
        ndjson = {**headers, "content-type": "application/x-ndjson"}
        each = await api.post("/tasks/batch", lines, headers=ndjson)
        assert (array.status_code, each.status_code) == (201, 200)
        for address in ("/task_service/api/v1/task", "/task_service/api/v1/task/"):
            assert (await api.post(address, {"name": "e"}, headers=headers)).status_code == 201

        async def four() -> bool:
            return len(spans.all()) == 4

        await eventually(four, "a span for each request")
    batches = spans.named("POST /tasks/batch")
    earlier = spans.named("POST /task_service/api/v1/task/")
    expected = [ids(span)[1] for span in [batches[0]] * 2 + [batches[1]] * 2 + earlier]
    assert [
        (stored_context or "").split("-")[2] for stored_context in await stored(stage)
    ] == expected
    assert {parent_ids(span) for span in spans.all()} == {(TRACE_ID, PARENT_ID)}


async def test_with_traces_off_every_address_keeps_the_caller_s_context(
    stage: Stage, api: Served
) -> None:
    headers = {"traceparent": CALLER}
    ndjson = {**headers, "content-type": "application/x-ndjson"}
    await api.post("/tasks", {"name": "a"}, headers=headers)
    await api.post("/tasks/batch", [{"name": "b"}], headers=headers)
    await api.post("/tasks/batch", b'{"name": "c"}\n', headers=ndjson)
    await api.post("/task_service/api/v1/task/", {"name": "d"}, headers=headers)
    assert await stored(stage) == [CALLER] * 4


async def test_a_refused_request_is_no_failure_of_the_service(stage: Stage, spans: Spans) -> None:
    async with serving(stage.service, traces=spans.traces) as api:
        assert (await api.post("/tasks", {"name": ""})).status_code == 422
        create = await spans.one("POST /tasks")
        for path in ("/tasks", "/stats"):
            assert (await api.get(path)).status_code == 200
    assert (create.attributes or {})["http.response.status_code"] == 422
    assert create.status.status_code is StatusCode.UNSET
    assert "taskmill.task.id" not in (create.attributes or {})
    assert spans.all() == [create]


async def test_a_handler_is_traced_as_the_child_of_the_message_that_created_its_task(
    stage: Stage, spans: Spans, broker_url: str
) -> None:
    options = WorkerOptions(traces=spans.traces)
    async with (
        producing(broker_url) as producer,
        taking_in(stage, broker_url, traces=spans.traces),
        a_worker(stage, {"work": succeeds}, options),
    ):
        body = {"name": "a", "type": "work"}
        await producer.send(body, message_id="order-1", headers={"traceparent": CALLER})
        process = await spans.one("process work")
        taken = await spans.one("process taskmill.tasks.create")
    assert parent_ids(taken) == (TRACE_ID, PARENT_ID)
    assert parent_ids(process) == ids(taken)
    assert taken.kind is SpanKind.CONSUMER
    [task_id] = [row["id"] for row in await stage.sql.fetch("SELECT id FROM taskmill.task")]
    assert dict(taken.attributes or {}) == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "taskmill.tasks.create",
        "messaging.message.id": "order-1",
        "taskmill.task.id": str(task_id),
    }


async def test_a_refused_message_is_an_error_and_hostile_headers_are_none(
    stage: Stage, spans: Spans, broker_url: str
) -> None:
    hostile = [
        "rubbish",
        bytearray(b"\xff"),
        7,
        ["a"],
        {"traceparent": CALLER},
        None,
        CALLER + "\n",
    ]
    async with producing(broker_url) as producer, taking_in(stage, broker_url, traces=spans.traces):
        for one in hostile:
            await producer.send({"name": "a"}, headers={"traceparent": one})
        await producer.send({"name": ""}, headers={"traceparent": CALLER})
        await until_counted(stage, len(hostile), 1)
    found = spans.named("process taskmill.tasks.create")
    [refused] = [span for span in found if span.parent is not None]
    assert parent_ids(refused) == (TRACE_ID, PARENT_ID)
    assert refused.status.status_code is StatusCode.ERROR
    assert (refused.attributes or {})["error.type"] == "InvalidInput"
    assert len(found) == len(hostile) + 1
    assert len({ids(span)[0] for span in found}) == len(found)


async def test_an_unsampled_message_keeps_its_context(
    stage: Stage, spans: Spans, broker_url: str
) -> None:
    async with producing(broker_url) as producer, taking_in(stage, broker_url, traces=spans.traces):
        await producer.send({"name": "a"}, headers={"traceparent": UNSAMPLED})
        await until_counted(stage, 1, 0)
    assert await stored(stage) == [UNSAMPLED]
    assert spans.all() == []


async def test_a_pipelined_request_does_not_belong_to_the_one_before_it(
    stage: Stage, spans: Spans, log_lines: LogLines
) -> None:
    body = b'{"name": "a"}'
    post = b"POST /tasks HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    get = b"GET /stats HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    async with serving(stage.service, traces=spans.traces) as api:
        responses = await raw_request(api.url, post + get)
    assert (responses.count(b"HTTP/1.1 201"), responses.count(b"HTTP/1.1 200")) == (1, 1)
    lines = {line["path"]: line for line in log_lines.named("request.served")}
    assert "trace_id" in lines["/tasks"]
    assert "trace_id" not in lines["/stats"]


@pytest.mark.parametrize("status", [200, 503])
async def test_a_request_that_the_service_fails_is_an_error(spans: Spans, status: int) -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})

    await TracingMiddleware(app, spans.traces)(a_request(), nothing_comes, into_nowhere)
    [span] = spans.all()
    assert (span.attributes or {})["http.response.status_code"] == status
    assert (span.attributes or {}).get("error.type") == ("503" if status == 503 else None)
    assert (span.status.status_code is StatusCode.ERROR) == (status == 503)


async def test_a_request_without_a_response_ends_its_span(spans: Spans) -> None:
    async def leaves(_: Scope, __: Receive, ___: Send) -> None:
        """Do what the edge does when the client is gone."""

    async def breaks(_: Scope, __: Receive, ___: Send) -> None:
        raise TimeoutError

    await TracingMiddleware(leaves, spans.traces)(a_request(), nothing_comes, into_nowhere)
    with pytest.raises(TimeoutError):
        await TracingMiddleware(breaks, spans.traces)(a_request(), nothing_comes, into_nowhere)
    assert len(spans.all()) == 2
    for span in spans.all():
        assert "http.response.status_code" not in (span.attributes or {})


def a_request() -> Scope:
    return {"type": "http", "method": "POST", "path": "/tasks", "scheme": "http", "headers": []}


async def nothing_comes() -> Message:
    raise AssertionError


async def into_nowhere(_: Message) -> None:
    """Take an answer that nobody reads."""
