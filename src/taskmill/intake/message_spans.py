"""A span for each creation message, if tracing is on: from reading it until its task or rejection is committed."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from aiormq.abc import DeliveredMessage

from taskmill.amqp.names import CREATE_QUEUE
from taskmill.domain.errors import TaskmillError
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import TaskDraft
from taskmill.intake.deliveries import message_of
from taskmill.wire.messages import traceparent_of

if TYPE_CHECKING:
    from taskmill.observability.traces import LiveSpan, Traces


def start_spans(
    traces: "Traces", messages: Sequence[DeliveredMessage], drafts: Sequence[TaskDraft | Exception]
) -> "list[LiveSpan]":
    """Start a span for each message; drafts get its context instead of their producer's.

    A span that is never ended is never exported, as when the channel is lost: then the message is delivered again.
    """
    spans = [_start(traces, message) for message in messages]
    for span, draft in zip(spans, drafts, strict=True):
        if isinstance(draft, TaskDraft):
            draft.traceparent = span.traceparent
    return spans


def end_spans(spans: "Iterable[LiveSpan]", outcomes: Iterable[CreatedTask | Exception]) -> None:
    """End the spans, each with the task made from its message or the reason for its refusal."""
    for span, outcome in zip(spans, outcomes, strict=True):
        if isinstance(outcome, CreatedTask):
            span.set_attributes({"taskmill.task.id": str(outcome.task.id)})
        else:
            # The text of any other error could contain parts of the message.
            text = str(outcome) if isinstance(outcome, TaskmillError) else None
            span.fail(type(outcome).__name__, text)
        span.end()


def _start(traces: "Traces", delivered: DeliveredMessage) -> "LiveSpan":
    message = message_of(delivered)
    attributes = {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": CREATE_QUEUE,
    }
    if message.message_id:
        attributes["messaging.message.id"] = message.message_id
    return traces.start(
        f"process {CREATE_QUEUE}",
        kind="consumer",
        traceparent=traceparent_of(message.headers),
        attributes=attributes,
    )
