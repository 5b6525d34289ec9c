"""A span for each creation message, when traces are on: from when it is read until what it became is committed."""

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
    """Start a span for each message; drafts get its context in the place of their producer's.

    One that is never ended is never exported, as when the channel is gone: then the message comes again.
    """
    spans = [_start(traces, message) for message in messages]
    for span, draft in zip(spans, drafts, strict=True):
        if isinstance(draft, TaskDraft):
            draft.traceparent = span.traceparent
    return spans


def end_spans(spans: "Iterable[LiveSpan]", outcomes: Iterable[CreatedTask | Exception]) -> None:
    """End the spans, each with the task that its message became or the reason why it is refused."""
    for span, outcome in zip(spans, outcomes, strict=True):
        if isinstance(outcome, CreatedTask):
            span.set_attributes({"taskmill.task.id": str(outcome.task.id)})
        else:
            # What else may be raised could have parts of the message in its text.
            said = str(outcome) if isinstance(outcome, TaskmillError) else None
            span.fail(type(outcome).__name__, said)
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
