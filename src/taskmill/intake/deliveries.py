"""Converts between the driver's messages and ours, for messages received, copies and replies.

It is the only module of the role that knows AMQP properties.
"""

from typing import Any, Final

import orjson
from aiormq import spec
from aiormq.abc import DeliveredMessage
from pamqp.common import FieldValue

from taskmill.amqp.headers import UnreadableHeader
from taskmill.domain.rejection import RefusedMessage
from taskmill.wire.messages import CreationMessage

Properties = spec.Basic.Properties

_PERSISTENT: Final = 2
_TRANSIENT: Final = 1
# These say nothing about the task; they are stored with a refused message.
_OTHERS: Final = (
    "content_type",
    "correlation_id",
    "reply_to",
    "timestamp",
    "message_type",
    "app_id",
    "user_id",
)
# Not `expiration`, with which the copy would vanish, and not `user_id`: the broker refuses another user's name.
_COPIED: Final = (
    "content_type",
    "content_encoding",
    "priority",
    "correlation_id",
    "reply_to",
    "message_id",
    "timestamp",
    "message_type",
    "app_id",
)
# The broker also routes a message to every queue that these name.
_ROUTING_HEADERS: Final = frozenset({"CC", "BCC"})
# A header frame is never split, and the largest frame is 128 KiB unless the broker is configured otherwise.
_MOST_HEADER_BYTES: Final = 64 * 1024
_MOST_PROBLEM_CHARACTERS: Final = 16 * 1024


def message_of(delivered: DeliveredMessage) -> CreationMessage:
    """Return a delivered message as a `CreationMessage`."""
    header = delivered.header
    properties = header.properties
    return CreationMessage(
        body=delivered.body,
        message_id=properties.message_id,
        priority=properties.priority,
        content_encoding=properties.content_encoding,
        headers=properties.headers or {},
        unreadable=header.trouble if isinstance(header, UnreadableHeader) else None,
    )


def other_properties(delivered: DeliveredMessage) -> dict[str, Any]:
    """Return the properties that say nothing about the task, to be shown with a rejection."""
    properties = delivered.header.properties
    return {name: getattr(properties, name) for name in _OTHERS}


def user_of(delivered: DeliveredMessage) -> str | None:
    """Return the broker's user that published a message, as the broker has verified; None if it does not say."""
    user: str | None = delivered.header.properties.user_id
    return user


def wants_reply(delivered: DeliveredMessage) -> bool:
    """Whether the producer asked for a reply."""
    return bool(delivered.header.properties.reply_to)


def reply_properties(delivered: DeliveredMessage) -> Properties:
    """Return the properties of the reply to a message."""
    return Properties(
        content_type="application/json",
        correlation_id=delivered.header.properties.correlation_id,
        delivery_mode=_TRANSIENT,
    )


def copy_properties(
    delivered: DeliveredMessage, refused: RefusedMessage, rejection_id: str
) -> Properties:
    """Return the properties of a refused message's copy: its own, and the problem.

    Headers that are too large together with ours, or that the driver can read but not write, are left out: the row
    has them.
    """
    ours: dict[str, FieldValue] = {
        "taskmill-problem": _short_problem(refused),
        "taskmill-status": refused.status,
        "taskmill-rejection-id": rejection_id,
    }
    original = delivered.header.properties
    copied = {name: getattr(original, name) for name in _COPIED}
    theirs = {
        name: value
        for name, value in (original.headers or {}).items()
        if name not in _ROUTING_HEADERS
    }
    copy = Properties(**copied, headers={**theirs, **ours}, delivery_mode=_PERSISTENT)
    return copy if _is_writable(copy) else Properties(headers=ours, delivery_mode=_PERSISTENT)


def _short_problem(refused: RefusedMessage) -> str:
    """Return the problem, without its list of errors if that is long; `detail` has the first one."""
    if len(refused.problem) <= _MOST_PROBLEM_CHARACTERS:
        return refused.problem
    problem: dict[str, object] = orjson.loads(refused.problem)
    problem.pop("errors", None)
    return orjson.dumps(problem).decode()


def _is_writable(properties: Properties) -> bool:
    try:
        return len(properties.marshal()) <= _MOST_HEADER_BYTES
    except Exception:  # noqa: BLE001 - whatever the encoder raises, the headers are the producer's
        return False
