"""A creation message from a broker: makes a draft of its body and properties, and the reply.

The body is exactly that of `POST /tasks`, read by the same code. The properties add to it: the message id is the
idempotency key, the priority is a default, an encoding is refused. Receiving and acknowledging is `intake`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from taskmill.domain.errors import InvalidInput, TaskmillError, TooLarge, Violation
from taskmill.domain.rejection import RefusedMessage
from taskmill.domain.task import TaskDraft
from taskmill.domain.task_fields import DEFAULT_QUEUE, DEFAULT_TYPE, HIGHEST_PRIORITY
from taskmill.wire.encoding import Fragment, encode_json
from taskmill.wire.fields import is_name
from taskmill.wire.masking import ShownTask
from taskmill.wire.problems import problem_json
from taskmill.wire.properties import PRIORITY_UNSET, storable_properties
from taskmill.wire.rules import DEFAULT_LIMITS, InputLimits, key_violations
from taskmill.wire.strict_json import parse
from taskmill.wire.tasks import created_json, to_draft
from taskmill.wire.wording import describe, safe_text

SOURCE: Final = "amqp"

_ENCODINGS: Final = frozenset({"", "identity", "utf-8", "utf8"})
_LONGEST_ID: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLimits:
    """The limits of a creation message."""

    body_bytes: int = 2**20
    input: InputLimits = DEFAULT_LIMITS


@dataclass(slots=True, kw_only=True)
class CreationMessage:
    """A message as it came. `others` are the properties without a meaning for the task.

    `unreadable` is why the properties could not be read, None when they could.
    """

    body: bytes
    message_id: str | None = None
    priority: int | None = None
    content_encoding: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)
    unreadable: str | None = None


def message_draft(message: CreationMessage, limits: MessageLimits) -> TaskDraft:
    """Return the draft that a message makes.

    Raises:
        TooLarge: The body is over the limit.
        MalformedJson: The body is not strict JSON.
        InvalidInput: Something is not allowed, in the body (JSON pointers) or in a property
            (`property:…`); all of it is named at once.
    """
    if len(message.body) > limits.body_bytes:
        raise TooLarge(limits.body_bytes)
    wrong = _wrong_properties(message, limits.input)
    if wrong and wrong[0].pointer == _ENCODING:
        raise InvalidInput(tuple(wrong))
    body = parse(message.body)
    try:
        draft = to_draft(
            _with_priority(body, message) if message.priority else body,
            header_key=None if wrong else _key_beside(body, message),
            source=SOURCE,
            traceparent=traceparent_of(message.headers),
            limits=limits.input,
        )
    except InvalidInput as error:
        if wrong:
            raise InvalidInput((*wrong, *error.violations)) from None
        raise
    if wrong:
        raise InvalidInput(tuple(wrong))
    return draft


_ENCODING: Final = "property:content_encoding"


def _wrong_properties(message: CreationMessage, limits: InputLimits) -> list[Violation]:
    """Return what is wrong with the properties, the encoding first: without it the body can't be read."""
    wrong: list[Violation] = []
    if message.content_encoding and message.content_encoding.lower() not in _ENCODINGS:
        expected = "no encoding, identity or utf-8"
        got = describe(message.content_encoding, reveal=True)
        wrong.append(Violation(pointer=_ENCODING, expected=expected, got=got))
    if message.unreadable is not None:
        expected = "properties as in AMQP 0-9-1, texts in UTF-8"
        wrong.append(Violation(pointer="property:", expected=expected, got=message.unreadable))
    if message.message_id:
        wrong.extend(key_violations("property:message_id", message.message_id, limits))
    if message.priority and not 0 < message.priority <= HIGHEST_PRIORITY:
        expected = f"0 (unset), or 1 to {HIGHEST_PRIORITY} (the most urgent)"
        got = f"the number {message.priority}"
        wrong.append(Violation(pointer="property:priority", expected=expected, got=got))
    return wrong


def _with_priority(body: object, message: CreationMessage) -> object:
    """Add the priority of the properties to the body: it is part of the request, and of its hash."""
    if isinstance(body, dict) and "priority" not in body and _is_priority(message.priority):
        return {**body, "priority": message.priority}
    return body


def _is_priority(priority: int | None) -> bool:
    return priority is not None and PRIORITY_UNSET < priority <= HIGHEST_PRIORITY


def _key_beside(body: object, message: CreationMessage) -> str | None:
    if isinstance(body, dict) and body.get("idempotency_key") is not None:
        return None
    return message.message_id or None


def traceparent_of(headers: Mapping[str, Any]) -> str | None:
    """Return the producer's trace context as it came."""
    value = headers.get("traceparent") if headers else None
    return value if isinstance(value, str) else None


def queue_of(message: CreationMessage, limits: MessageLimits) -> str | None:
    """Return the queue that a refused message is for, None where that can't be read."""
    if len(message.body) > limits.body_bytes:
        return None
    try:
        body = parse(message.body)
    except TaskmillError:
        return None
    if not isinstance(body, dict):
        return None
    if "queue" in body:
        return _name(body["queue"])
    kind = _name(body.get("type", DEFAULT_TYPE))
    if kind is None:
        return None
    contract = limits.input.contracts.get(kind)
    return (None if contract is None else contract.queue) or DEFAULT_QUEUE


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and is_name(value) else None


def refused_message(
    message: CreationMessage, error: Exception, queue: str | None = None
) -> RefusedMessage:
    """Return what is stored of a message for a queue that was refused because of `error`."""
    status, _, problem = problem_json(error)
    return RefusedMessage(
        source=SOURCE,
        message_id=safe_text(message.message_id, _LONGEST_ID) if message.message_id else None,
        body=message.body,
        properties=storable_properties(
            {
                **message.others,
                "priority": message.priority,
                "content_encoding": message.content_encoding,
                "headers": message.headers or None,
            }
        ),
        status=status,
        problem=problem.decode(),
        queue=queue,
    )


def bare_refusal(body: bytes, error: Exception) -> RefusedMessage:
    """Return what is stored of a message whose properties can't be stored."""
    status, _, problem = problem_json(error)
    return RefusedMessage(
        source=SOURCE,
        message_id=None,
        body=body,
        properties="{}",
        status=status,
        problem=problem.decode(),
    )


def stored_message(message: RefusedMessage) -> CreationMessage:
    """Return the creation message of a stored, refused one, to validate it again."""
    properties: dict[str, Any] = orjson.loads(message.properties)
    return CreationMessage(
        body=message.body,
        message_id=message.message_id,
        priority=properties.get("priority"),
        content_encoding=properties.get("content_encoding"),
        headers=properties.get("headers") or {},
    )


def edited_message(message: RefusedMessage, body: bytes, limits: MessageLimits) -> CreationMessage:
    """Return the creation message of a refused one with another body; of its properties only the trace stays.

    Its message id stays the idempotency key, if it can be one: a message with the same id makes no second task.
    """
    stored = stored_message(message)
    key = stored.message_id
    if key and any(key_violations("", key, limits.input)):
        key = None
    return CreationMessage(body=body, message_id=key, headers=stored.headers)


def created_reply(task: ShownTask, *, replayed: bool, warning: str | None) -> bytes:
    """Return the reply to a message whose task exists: 201, or 200 when an earlier message had made it."""
    status = 200 if replayed else 201
    return encode_json({"status": status, "task": Fragment(created_json(task, warning))})


def refused_reply(refused: RefusedMessage) -> bytes:
    """Return the reply to a message that was refused."""
    return encode_json({"status": refused.status, "problem": Fragment(refused.problem)})
