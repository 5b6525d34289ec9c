"""Creation messages that are hostile: broken JSON, wrong types, huge values, and properties of every kind."""

import json
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from pamqp.commands import Basic

from tests.fuzz.mutation import mutated
from tests.support.hostile import Unreadable

_OVER_THE_LIMIT = 2**20 + 1
_TASKS: Sequence[dict[str, Any]] = (
    {"name": "fuzz"},
    {"name": "a report", "queue": "reports", "priority": 7, "payload": {"delay_s": 0.01}},
    {"name": "later", "run_at": "2030-01-01T00:00:00Z", "expires_at": "2030-01-02T00:00:00Z"},
    {"name": "labels", "labels": {"team": "finance", "ü": "\U0001f600"}, "max_attempts": 3},
    {"name": "retries", "retry": {"base_s": 1, "factor": 2, "max_s": 10, "jitter": 0.5}},
    {"name": "pushed", "type": "http", "payload": {"url": "http://127.0.0.1:1/", "method": "POST"}},
    {"name": "called back", "callback_url": "http://127.0.0.1:1/", "timeout_s": 1, "max_losses": 0},
)
_WRONG: Sequence[Any] = (
    None,
    True,
    -1,
    0,
    1e308,
    2**63,
    -(2**63) - 1,
    "",
    "x" * 300,
    "\x00",
    "\ud800",
    "\u202e",
    [],
    {},
    [[]],
    {"a": None},
    "2030-02-30T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:60+14:00",
    "http://[::1",
    "file:///etc/passwd",
)
_FIELDS = (
    "name",
    "queue",
    "type",
    "priority",
    "payload",
    "run_at",
    "labels",
    "retry",
    "max_attempts",
)
_MORE_FIELDS = (
    "timeout_s",
    "expires_at",
    "callback_url",
    "idempotency_key",
    "max_losses",
    "nonsense",
)
_HEADER_VALUES: Sequence[Any] = (
    True,
    -128,
    2**15,
    2**31,
    2**62,
    1.5,
    float("nan"),
    float("inf"),
    Decimal("3.14"),
    "text",
    "\x00",
    "ü" * 1_000,
    bytearray(b"\xff\x00"),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2106, 2, 7, tzinfo=UTC),
    None,
    [1, "two", None, [3, {"four": 5}]],
    {"nested": {"deeper": {"x": [None]}}},
)
_UNREADABLE: Sequence[tuple[str, bytes]] = (
    ("message_id", b"\x03\xff\xfe\xfd"),
    ("timestamp", b"\xff" * 8),
    ("headers", struct.pack(">I", 4) + b"\x01kX\x00"),
    ("headers", struct.pack(">I", 7) + b"\x01kS\x00\x00\x00\xff"),
    ("headers", struct.pack(">I", 9) + b"\x02\xff\xfeS\x00\x00\x00\x01\xff"),
    ("headers", struct.pack(">I", 11) + b"\x01kT" + b"\xff" * 8),
    ("correlation_id", b"\x02\xc0\x80"),
    ("content_encoding", b"\x04\xff\xfe\xfd\xfc"),
    ("user_id", b"\x02\xff\xfe"),
    ("reply_to", b"\x01\xff"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A message. It is stored once, whatever happens to the broker, if it `has_id`."""

    body: bytes
    properties: Basic.Properties
    has_id: bool = True

    @property
    def shown(self) -> str:
        """What reproduces it."""
        return f"{bytes(self.properties.marshal())!r} {self.body[:2_000]!r}"


def a_message(producer: str, rng: random.Random) -> Hostile:
    """Return the next message of a producer, which RabbitMQ knows by this name."""
    body = rng.choice(_BODIES)(rng)
    if rng.random() < 0.02:
        name, value = rng.choice(_UNREADABLE)
        return Hostile(body=body, properties=Unreadable(name, value), has_id=False)
    return Hostile(body=body, properties=_properties(producer, rng))


def _properties(producer: str, rng: random.Random) -> Basic.Properties:
    """Return properties with an id that no other message has, mostly valid."""
    unique = f"{rng.getrandbits(96):024x}"
    message_ids = (f"{unique * 10}", f"{unique}\x00", f"{unique}\u202e")
    # One to four of these, so that most messages are not refused because of them.
    odd: dict[str, Any] = {
        "message_id": rng.choice(message_ids),
        "priority": rng.choice((0, 3, 9, 10, 255)),
        "content_encoding": rng.choice(("", "utf-8", "gzip", "\x00")),
        "content_type": rng.choice(("application/json", "\x00")),
        "correlation_id": rng.choice((unique, "\x00", "ü" * 100)),
        "reply_to": rng.choice(("nowhere", "amq.rabbitmq.reply-to.x", "\x00")),
        "expiration": "600000",
        "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
        "message_type": "x" * 255,
        "app_id": "\x00",
        "user_id": None,
        "headers": _headers(rng),
    }
    chosen = dict(rng.sample(sorted(odd.items()), rng.choice((0, 0, 1, 2, 4))))
    return Basic.Properties(**{"message_id": unique, "user_id": producer, **chosen})


def _headers(rng: random.Random) -> dict[str, Any]:
    names = ("traceparent", "taskmill-status", "x-delay", "BCC-", "\x00", "ü" * 30)
    return {rng.choice(names): rng.choice(_HEADER_VALUES) for _ in range(rng.randint(0, 4))}


def _valid(rng: random.Random) -> bytes:
    return orjson.dumps(rng.choice(_TASKS))


def _wrong_types(rng: random.Random) -> bytes:
    task = dict(rng.choice(_TASKS))
    for name in rng.sample((*_FIELDS, *_MORE_FIELDS), rng.randint(1, 3)):
        task[name] = (
            _unique(rng.choice(_WRONG), rng) if name == "idempotency_key" else rng.choice(_WRONG)
        )
    return _json(task)


def _unique(value: Any, rng: random.Random) -> Any:  # noqa: ANN401 - any JSON
    """A key of the body that is valid must not be that of another message."""
    return f"{value}{rng.getrandbits(96):x}" if isinstance(value, str) else value


def _json(value: object) -> bytes:
    # Not orjson, which refuses lone surrogates.
    return json.dumps(value).encode()


def _mutated(rng: random.Random) -> bytes:
    return mutated(_valid(rng), rng, times=5)


def _deep(rng: random.Random) -> bytes:
    depth = rng.choice((10, 60, 200, 1_000, 100_000))
    opened, closed = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return b'{"name":"deep","payload":' + opened * depth + b"1" + closed * depth + b"}"


def _huge_number(rng: random.Random) -> bytes:
    number = rng.choice((b"9" * 5_000, b"1e" + b"9" * 100, b"0." + b"1" * 5_000, b"-" + b"9" * 19))
    return b'{"name":"number","payload":{"n":' + number + b"}}"


def _not_utf_8(rng: random.Random) -> bytes:
    return b'{"name":"' + rng.randbytes(rng.randint(1, 30)).replace(b'"', b"") + b'"}'


def _another_encoding(rng: random.Random) -> bytes:
    return '{"name": "ü"}'.encode(rng.choice(("utf-16", "utf-32", "latin-1", "utf-8-sig", "utf-7")))


def _long(rng: random.Random) -> bytes:
    size = rng.choice((5_000, 100_000)) if rng.random() < 0.95 else _OVER_THE_LIMIT
    return b'{"name":"long","payload":{"text":"' + b"x" * size + b'"}}'


def _many_fields(rng: random.Random) -> bytes:
    fields = {f"f{number}": number for number in range(rng.choice((70, 1_000)))}
    place = rng.choice(("labels", "payload", "nonsense"))
    return _json({"name": "many", place: fields})


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randint(0, 200))


_BODIES: Sequence[Callable[[random.Random], bytes]] = (
    _valid,
    _valid,
    _valid,
    _wrong_types,
    _wrong_types,
    _wrong_types,
    _mutated,
    _mutated,
    _mutated,
    _deep,
    _huge_number,
    _not_utf_8,
    _another_encoding,
    _long,
    _many_fields,
    _noise,
)
