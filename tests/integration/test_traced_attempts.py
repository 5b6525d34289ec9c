"""Attempts in a trace: one span each, which ends with the attempt's outcome."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from taskmill.app import Context, PermanentFailure, RetryLater
from taskmill.domain.lifecycle import Status
from taskmill.domain.task import Task
from taskmill.worker.handlers import Handler
from tests.support.api import LogLines, serving
from tests.support.polling import eventually
from tests.support.spans import (
    CALLER,
    PARENT_ID,
    TRACE_ID,
    Spans,
    exceptions,
    ids,
    parent_ids,
    spans,
)
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_worker, finished, in_status

__all__ = ["spans"]

Payload = Mapping[str, Any]


async def succeeds(_: Context) -> None:
    """Succeed without a result."""


async def attempted(
    stage: Stage,
    spans: Spans,
    handler: Handler,
    options: WorkerOptions | None = None,
    **parts: Any,  # noqa: ANN401 - the fields of a draft
) -> tuple[Task, list[ReadableSpan]]:
    """Run one task until it has ended; return it and its attempts' spans."""
    options = replace(options or WorkerOptions(), traces=spans.traces)
    async with a_worker(stage, {"work": handler}, options):
        task = await finished(
            stage, (await stage.created(type="work", traceparent=CALLER, **parts)).id
        )
    return task, spans.named("process work")


async def test_each_attempt_has_a_span_and_a_failed_one_has_its_error(
    stage: Stage, spans: Spans
) -> None:
    async def second_time(context: Context) -> None:
        if context.attempt == 1:
            raise ValueError("no such customer\ud800\x00")

    task, attempts = await attempted(stage, spans, second_time, max_attempts=2)
    assert task.status is Status.SUCCEEDED
    first, second = attempts
    assert {parent_ids(first), parent_ids(second)} == {(TRACE_ID, PARENT_ID)}
    numbers = [
        (a["taskmill.task.attempt"], a["taskmill.task.claim_no"])
        for a in (first.attributes or {}, second.attributes or {})
    ]
    assert numbers == [(1, 1), (2, 2)]
    assert (first.status.status_code, second.status.status_code) == (
        StatusCode.ERROR,
        StatusCode.UNSET,
    )
    message = "no such customer\\ud800\\x00"
    assert first.status.description == message
    assert (first.attributes or {})["error.type"] == "ValueError"
    [exception] = exceptions(first)
    assert (exception["exception.type"], exception["exception.message"]) == (
        "builtins.ValueError",
        message,
    )
    assert 'raise ValueError("no such customer' in str(exception["exception.stacktrace"])
    assert exceptions(second) == []


async def too_late(_: Context) -> None:
    await asyncio.Event().wait()


async def retries_later(_: Context) -> None:
    raise RetryLater("the mail server is away", after=timedelta(0))


async def gives_up(_: Context) -> None:
    raise PermanentFailure("no such address")


async def returns_what_is_no_json(_: Context) -> object:
    return object()


@pytest.mark.parametrize(
    ("handler", "outcome", "error"),
    [
        (too_late, "failed", "Timeout"),
        (retries_later, "retry", "RetryLater"),
        (gives_up, "permanent", "PermanentFailure"),
        (returns_what_is_no_json, "permanent", "ResultNotJson"),
    ],
)
async def test_every_kind_of_failure_is_an_error(
    stage: Stage, spans: Spans, handler: Handler, outcome: str, error: str
) -> None:
    timeout = timedelta(milliseconds=200) if handler is too_late else None
    task, [span] = await attempted(stage, spans, handler, timeout=timeout)
    assert task.status is Status.FAILED
    assert span.status.status_code is StatusCode.ERROR
    attributes = span.attributes or {}
    assert (attributes["taskmill.task.outcome"], attributes["error.type"]) == (outcome, error)
    assert orjson.loads(task.error or "")["message"] == span.status.description
    [exception] = exceptions(span)
    assert str(exception["exception.type"]).endswith(error)


async def test_a_cancelled_attempt_is_no_error(stage: Stage, spans: Spans) -> None:
    options = WorkerOptions(traces=spans.traces)
    async with a_worker(stage, {"work": too_late}, options):
        made = await stage.created(type="work")
        await in_status(stage, made.id, Status.IN_PROGRESS)
        await stage.service.cancel(made.id)
        span = await spans.one("process work")
        await finished(stage, made.id)
    assert (span.attributes or {})["taskmill.task.outcome"] == "cancelled"
    assert (span.status.status_code, exceptions(span)) == (StatusCode.UNSET, [])


async def test_an_abandoned_handler_s_span_ends_with_its_attempt(
    stage: Stage, spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    may_end, has_ended = asyncio.Event(), asyncio.Event()

    async def stubborn(_: Context) -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue
        has_ended.set()
        raise ValueError("too late")

    options = WorkerOptions(traces=spans.traces, timeout_s=0.1)
    async with a_worker(stage, {"work": stubborn}, options):
        made = await stage.created(type="work", timeout=timedelta(milliseconds=100))
        span = await spans.one("process work")
        await finished(stage, made.id)
        may_end.set()
        await has_ended.wait()
    assert (span.attributes or {})["error.type"] == "Timeout"
    assert [exception["exception.type"] for exception in exceptions(span)] == ["Timeout"]
    assert spans.all() == [span]
    # The library warns of whatever is recorded on a span that has ended.
    assert [one for one in caplog.records if one.name.startswith("opentelemetry")] == []


async def test_an_attempt_that_is_handed_back_is_no_error(stage: Stage, spans: Spans) -> None:
    options = WorkerOptions(traces=spans.traces, grace_s=0)
    async with a_worker(stage, {"work": too_late}, options):
        made = await stage.created(type="work")
        await in_status(stage, made.id, Status.IN_PROGRESS)
    [span] = spans.named("process work")
    assert (span.attributes or {})["taskmill.task.outcome"] == "interrupted"
    assert span.status.status_code is StatusCode.UNSET


async def test_what_no_handler_should_raise_ends_its_span_as_a_failure(
    stage: Stage, spans: Spans
) -> None:
    async def breaks(_: Context) -> None:
        raise SystemExit(3)

    task, [span] = await attempted(stage, spans, breaks)
    assert task.status is Status.FAILED
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "SystemExit"


async def test_spans_and_log_lines_of_a_handler_belong_to_its_attempt(
    stage: Stage, spans: Spans, log_lines: LogLines
) -> None:
    async def calls(context: Context) -> None:
        context.logger.info("handler.said")
        with spans.library.start_as_current_span("SELECT"):
            await asyncio.to_thread(in_a_thread)

    def in_a_thread() -> None:
        spans.library.start_span("in a thread").end()

    async with serving(stage.service, traces=spans.traces) as api:
        async with a_worker(stage, {"work": calls}, WorkerOptions(traces=spans.traces)):
            await api.create(type="work")
            process = await spans.one("process work")
            await eventually(lines(log_lines, "task.succeeded"), "the end is logged")
        create = await spans.one("POST /tasks")
    [select], [inner] = spans.named("SELECT"), spans.named("in a thread")
    assert parent_ids(select) == ids(process)
    assert parent_ids(inner) == ids(select)
    for event, span in (
        ("handler.said", process),
        ("task.succeeded", process),
        ("request.served", create),
    ):
        [line] = [one for one in log_lines.named(event) if one.get("path") in {None, "/tasks"}]
        assert (line["trace_id"], line["span_id"]) == ids(span), event
    for event in ("task.created", "task.claimed"):  # of batches, which belong to no single task
        assert all("trace_id" not in line for line in log_lines.named(event))


def lines(log_lines: LogLines, event: str) -> Any:  # noqa: ANN401 - what `eventually` takes
    async def probe() -> list[dict[str, Any]]:
        return log_lines.named(event)

    return probe


@pytest.mark.parametrize("rubbish", ["00-abc-def-01", "", "\u2603" * 500])
async def test_an_invalid_stored_context_begins_a_trace(
    stage: Stage, spans: Spans, rubbish: str
) -> None:
    options = WorkerOptions(traces=spans.traces)
    made = await stage.created(type="work", traceparent=rubbish)
    async with a_worker(stage, {"work": succeeds}, options):
        assert (await finished(stage, made.id)).status is Status.SUCCEEDED
    [span] = spans.named("process work")
    assert span.parent is None
