"""Small changes of bytes, as they are likely to find what a parser forgot."""

import random
from collections.abc import Callable, Sequence

_VALUES: Sequence[bytes] = (
    b"null",
    b"true",
    b"-1",
    b"0",
    b"-0",
    b"1e400",
    b"-1e-400",
    b"1" * 400,
    b"9223372036854775808",
    b"-9223372036854775809",
    b"NaN",
    b"Infinity",
    b'""',
    b'"\\u0000"',
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"' + "\u202e\ufeff\U0001f600".encode() + b'"',
    b'"' + b"x" * 5_000 + b'"',
    b"[]",
    b"{}",
    b"[" * 200 + b"]" * 200,
    b"[" * 3_000,
    b'{"a":' * 100 + b"1" + b"}" * 100,
    b'{"a":1,"a":2}',
    b"[1,]",
    b'"2030-02-30T25:61:61Z"',
    b'"00000000-0000-0000-0000-000000000000"',
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\x00",
    b"/* */",
)
_SEPARATORS = b'{}[]:,"'


def mutated(data: bytes, rng: random.Random, *, times: int = 3) -> bytes:
    """Return the bytes after one to `times` small changes."""
    for _ in range(rng.randint(1, times)):
        data = rng.choice(_CHANGES)(data, rng)
    return data


def _flip(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) or 1)
    return data[:at] + bytes((rng.randrange(256),)) + data[at + 1 :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.randbytes(rng.randint(1, 8)) + data[at:]


def _delete(data: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + data[at + rng.randint(1, 8) :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randint(0, len(data))]


def _double(data: bytes, rng: random.Random) -> bytes:
    start = rng.randint(0, len(data))
    end = min(len(data), start + rng.randint(1, 40))
    return data[:end] + data[start:end] * rng.randint(1, 3) + data[end:]


def _put_value(data: bytes, rng: random.Random) -> bytes:
    """Put a hostile value in the place of what stands between two separators of JSON."""
    places = [at for at, one in enumerate(data) if one in _SEPARATORS]
    if not places:
        return data + rng.choice(_VALUES)
    start = rng.choice(places) + 1
    end = next((at for at in places if at >= start), len(data))
    return data[:start] + rng.choice(_VALUES) + data[end:]


_CHANGES: Sequence[Callable[[bytes, random.Random], bytes]] = (
    _flip,
    _insert,
    _delete,
    _cut,
    _double,
    _put_value,
    _put_value,
    _put_value,
)
