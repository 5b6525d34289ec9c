"""Connections on which malformed HTTP comes: valid requests that are broken in a known way, and noise."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.fuzz.mutation import mutated

_BODY = b'{"name": "fuzz", "queue": "fuzz"}'
_BIG_HEADER = 4_000
_METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"get", b"", b"G\x00T", b"PRI", b"CONNECT")
_TARGETS = (
    b"/tasks",
    b"*",
    b"/",
    b"//",
    b"/%",
    b"/tasks/%ff%fe",
    b"/tasks/%00",
    b"/../../etc/passwd",
    b"/tasks?limit=%",
    b"http://[::1",
    b"http://elsewhere.example/tasks",
    b"localhost:80",
    b"/\xff\xfe",
    b"/" + b"a" * 8_000,
    b"/tasks?" + b"a=b&" * 1_000,
    b"/task_service/\r",
)
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.1 ", b"HTP/1.1", b"")
_LENGTHS = (
    b"-1",
    b"+33",
    b"0x21",
    b"33, 33",
    b"33, 34",
    b"1e2",
    b"",
    b" ",
    b"99999999999999999999",
    b"18446744073709551615",
    b"\xd9\xa3",
    b"32",
    b"34",
    b"1_0",
)
_CODINGS = (
    b"chunked",
    b"Chunked",
    b"chunked, chunked",
    b"gzip, chunked",
    b"chunked, gzip",
    b"identity",
    b"\x0bchunked",
    b"xchunked",
    b"",
)
_CHUNKS = (
    b"21\r\n" + _BODY + b"\r\n0\r\n\r\n",
    b"21;ext=\xff\r\n" + _BODY + b"\r\n0\r\nTrailer: x\r\n\r\n",
    b"21\n" + _BODY + b"\n0\n\n",
    b"0x21\r\n" + _BODY + b"\r\n0\r\n\r\n",
    b"-21\r\n" + _BODY + b"\r\n0\r\n\r\n",
    b"FFFFFFFFFFFFFFFFF\r\n" + _BODY,
    b"20\r\n" + _BODY + b"\r\n0\r\n\r\n",
    b"22\r\n" + _BODY + b"\r\n0\r\n\r\n",
    b"\r\n\r\n",
    b"zz\r\n",
    b"0\r\n",
    b"1;" + b"x" * 20_000 + b"\r\na\r\n0\r\n\r\n",
    b"1\r\n{\r\n" * 2_000 + b"0\r\n\r\n",
)
_HEADERS = (
    b"No-Colon",
    b": no name",
    b"Spa ce: x",
    b"Space : x",
    b"Nul: a\x00b",
    b"Cr: a\rb",
    b"Fold: a\r\n b",
    b" leading: x",
    b"Host: twice",
    b"Host: ",
    b"Host: a@b:c/d",
    b"Content-Length: 0",
    b"Content-Length: 33\r\nContent-Length: 34",
    b"Transfer-Encoding: chunked\r\nContent-Length: 33",
    b"Connection: keep-alive, close, upgrade",
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x",
    b"Expect: 100-continue",
    b"Expect: 200-ok",
    b"\xff\xfe: \xff\xfe",
    b"Authorization: Bearer \x00",
    b"Long: " + b"x" * _BIG_HEADER,
    b"\r\n".join(b"H%d: x" % number for number in range(60)),
    b"\r\n".join(b"H%d: x" % number for number in range(3_000)),
    b"Very-Long: " + b"x" * 100_000,
)
_TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(200))
_HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")


class Ending(StrEnum):
    """How a connection ends after the last part."""

    QUIET = "half-closed when no more comes"
    HALF_CLOSED = "half-closed at once"
    ABORTED = "aborted"
    HELD = "held open"


@dataclass(frozen=True, slots=True)
class Attack:
    """What is sent on one connection, in parts, and how it ends."""

    kind: str
    parts: tuple[bytes, ...]
    ending: Ending = Ending.QUIET

    @property
    def raw(self) -> bytes:
        """All bytes."""
        return b"".join(self.parts)


def an_attack(key: str, rng: random.Random) -> Attack:
    """Return the next one. A few connections are held open: each of those takes as long as the service allows."""
    make = rng.choice(_KINDS)
    raw = make(b"Authorization: Bearer " + key.encode(), rng)
    cuts = sorted(rng.randint(0, len(raw)) for _ in range(rng.choice((0, 0, 1, 3))))
    parts = tuple(raw[a:b] for a, b in zip((0, *cuts), (*cuts, len(raw)), strict=True))
    [ending] = rng.choices(tuple(Ending), (90, 5, 4.7, 0.3))
    return Attack(make.__name__.strip("_"), parts, ending)


def _sent(first: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join((first, b"Host: localhost", *lines, b"", b"")) + body


def _post(key: bytes, *lines: bytes, body: bytes = _BODY) -> bytes:
    return _sent(b"POST /tasks HTTP/1.1", key, *lines, body=body)


def _valid(key: bytes, rng: random.Random) -> bytes:
    length = b"Content-Length: %d" % len(_BODY)
    chunked = _post(key, b"Transfer-Encoding: chunked", body=_CHUNKS[0])
    get = _sent(rng.choice((b"GET /tasks?limit=1 HTTP/1.1", b"GET /healthz HTTP/1.0")), key)
    return rng.choice((_post(key, length), chunked, get))


def _bad_first_line(key: bytes, rng: random.Random) -> bytes:
    words = (rng.choice(_METHODS), rng.choice(_TARGETS), rng.choice(_VERSIONS))
    return _sent(rng.choice((b" ", b"  ", b"\t")).join(words), key)


def _bad_length(key: bytes, rng: random.Random) -> bytes:
    return _post(key, b"Content-Length: " + rng.choice(_LENGTHS))


def _bad_chunks(key: bytes, rng: random.Random) -> bytes:
    coding = b"Transfer-Encoding: " + rng.choice((b"chunked", rng.choice(_CODINGS)))
    return _post(key, coding, body=rng.choice(_CHUNKS))


def _bad_headers(key: bytes, rng: random.Random) -> bytes:
    lines = rng.sample(_HEADERS, rng.randint(1, 3))
    return _post(key, *lines, b"Content-Length: %d" % len(_BODY))


def _pipelined(key: bytes, rng: random.Random) -> bytes:
    kinds = (_valid, _valid, _bad_length, _bad_headers, _mutated)
    return b"".join(rng.choice(kinds)(key, rng) for _ in range(rng.randint(2, 12)))


def _bare_newlines(key: bytes, rng: random.Random) -> bytes:
    return _valid(key, rng).replace(b"\r\n", rng.choice((b"\n", b"\r", b"\r\r\n", b"\n\r")))


def _mutated(key: bytes, rng: random.Random) -> bytes:
    return mutated(_valid(key, rng), rng, times=6)


def _cut_off(key: bytes, rng: random.Random) -> bytes:
    whole = _valid(key, rng)
    return whole[: rng.randint(0, len(whole))]


def _noise(_: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 20, 1_000, 20_000)))


def _another_protocol(_: bytes, rng: random.Random) -> bytes:
    others = (
        _TLS_HELLO,
        _HTTP_2,
        b"AMQP\x00\x00\x09\x01",
        b"SSH-2.0-x\r\n",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    )
    return rng.choice(others) + rng.randbytes(rng.randint(0, 50))


_KINDS: Sequence[Callable[[bytes, random.Random], bytes]] = (
    _valid,
    _bad_first_line,
    _bad_length,
    _bad_chunks,
    _bad_headers,
    _pipelined,
    _bare_newlines,
    _mutated,
    _mutated,
    _cut_off,
    _noise,
    _another_protocol,
)
