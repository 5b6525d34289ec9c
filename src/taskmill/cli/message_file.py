"""Reads creation messages for the broker: one JSON object, an array of them, or NDJSON.

Bodies go out as they were written. Only that they are JSON is checked here; the service validates the rest.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from uuid import uuid4

import orjson

from taskmill.amqp.confirmed_publisher import SentMessage
from taskmill.domain.errors import ConfigurationError

_MOST_SHOWN = 10
# A short string of AMQP; a key may have 255 characters, of up to four bytes each.
_LONGEST_ID_BYTES = 255
_WHITESPACE = " \t\r\n"


class NotJson(ConfigurationError):
    """The input, or some of its lines, are not JSON; none of it may be sent."""


def read_message_file(content: bytes) -> list[SentMessage]:
    """Return the messages of a file, numbered as its lines or, in an array, as its items.

    A message's id is the idempotency key in its body, else a new one: a file of bodies without keys that is sent
    twice creates its tasks twice.

    Raises:
        NotJson: It names all lines that are not JSON.
    """
    stripped = content.strip()
    if stripped.startswith(b"["):
        return [_message(number, item) for number, item in enumerate(_items(content), 1)]
    if _is_json(stripped):
        return [_message(1, stripped)]
    lines = [(n, line.strip()) for n, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    wrong = [f"line {number}: {why}" for number, line in lines if (why := _fault(line))]
    if wrong:
        more = [f"… and {len(wrong) - _MOST_SHOWN} more"] if len(wrong) > _MOST_SHOWN else []
        text = "\n".join(["nothing was published:", *wrong[:_MOST_SHOWN], *more])
        raise NotJson(text)
    return [_message(number, line) for number, line in lines]


def _items(content: bytes) -> Iterator[bytes]:
    """Cut an array into its items, each as it was written."""
    try:
        text = content.decode()
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotJson(f"nothing was published: this is not JSON: {error}") from None
    decoder = json.JSONDecoder()
    at = text.index("[") + 1
    while True:
        while text[at] in _WHITESPACE + ",":
            at += 1
        if text[at] == "]":
            return
        _, end = decoder.raw_decode(text, at)
        yield text[at:end].encode()
        at = end


def _message(number: int, body: bytes) -> SentMessage:
    value = orjson.loads(body) if _is_json(body) else None
    key = value.get("idempotency_key") if isinstance(value, dict) else None
    message_id = _fitting(key) if isinstance(key, str) and key else str(uuid4())
    return SentMessage(number=number, body=body, message_id=message_id)


def _fitting(key: str) -> str:
    """Return a message id for a key, which may be too long for one; the service reads the key from the body."""
    encoded = key.encode()
    return key if len(encoded) <= _LONGEST_ID_BYTES else sha256(encoded).hexdigest()


def _is_json(body: bytes) -> bool:
    return _fault(body) is None


def _fault(body: bytes) -> str | None:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return f"not JSON: {error}"
    return None
