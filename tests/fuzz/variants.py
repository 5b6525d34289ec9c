"""Variants of a request: ids of things that exist, changed bytes, odd headers, other methods."""

import random
import re
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.fuzz.exchange import Request
from tests.fuzz.mutation import mutated

_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_IN_RESPONSE = re.compile(rb'"(?:id|lease_id|worker_id)":\s*"(' + _UUID.pattern + rb')"')
# Two names, so that some requests are about the same queue and type, and about one that a key is limited to.
_NAME = re.compile(rb'"(queue|type)": ?"[^"\\]*"')
_NAMES = {b"queue": (b"fuzz", b"mail"), b"type": (b"emulate", b"http")}
_PLACE = re.compile(rb"^(/|/ui/)(tasks|leases|workers|webhooks|rejections)/([^/?]+)")
# These are not ids, though they are in the place of one.
_NOT_IDS = frozenset({b"cancel", b"retry", b"batch"})
_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"FOO")
_ODD_HEADERS: Sequence[tuple[bytes, bytes]] = (
    (b"Accept", b"application/x-ndjson"),
    (b"Accept", b"text/html;q=0.9, */*;q=x"),
    (b"Accept-Encoding", b"gzip;q=0, br, zstd, identity;q=0"),
    (b"Accept-Encoding", b"gzip"),
    (b"Accept-Language", b"ru, xx-\xff"),
    (b"Authorization", b"Basic dXNlcjpwYXNz"),
    (b"Authorization", b"Bearer tm_live_" + b"x" * 40),
    (b"Authorization", b"Bearer \xff\xfe"),
    (b"Content-Encoding", b"gzip"),
    (b"Content-Encoding", b"identity"),
    (b"Content-Type", b"application/json; charset=utf-16"),
    (b"Content-Type", b"application/x-www-form-urlencoded"),
    (b"Content-Type", b"multipart/form-data; boundary=x"),
    (b"Content-Type", b"text/plain"),
    (b"Content-Type", b";;=\xff"),
    (b"Cookie", b"taskmill_session=x; a=\xff; =;;"),
    (b"Expect", b"100-continue"),
    (b"Forwarded", b'for="[::1]:x";proto=https'),
    (b"Idempotency-Key", b"\xff" * 300),
    (b"Idempotency-Key", b"the same"),
    (b"If-Match", b'"1.0", W/"x", *'),
    (b"If-Modified-Since", b"Tue, 31 Feb 2030 25:00:00 GMT"),
    (b"If-None-Match", b"*"),
    (b"If-None-Match", b'"' + b"9" * 400 + b'.0"'),
    (b"Last-Event-ID", b"9" * 30 + b".1"),
    (b"Origin", b"https://elsewhere.example"),
    (b"Origin", b"null"),
    (b"Prefer", b"wait=0.01"),
    (b"Prefer", b"wait=-1, wait=1e999"),
    (b"Range", b"bytes=0-0,-1"),
    (b"Sec-Fetch-Site", b"cross-site"),
    (b"Taskmill-Hop", b"9" * 30),
    (b"Upgrade", b"websocket"),
    (b"X-Forwarded-For", b"256.1.1.1, \xff"),
    (b"X-HTTP-Method-Override", b"DELETE"),
    (b"X-Request-Id", b"\x80" * 300),
    (b"traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"),
)


class KnownIds:
    """The latest ids that responses had, by what they are ids of."""

    def __init__(self) -> None:
        self._ids: dict[bytes, deque[bytes]] = defaultdict(lambda: deque(maxlen=100))

    def learn(self, target: bytes, body: bytes) -> None:
        """Take ids from the response to this target; of a long one its beginning is enough."""
        collection = target.lstrip(b"/").partition(b"/")[0].partition(b"?")[0]
        for found in _IN_RESPONSE.findall(body[:20_000]):
            self._ids[collection].append(found)

    def one_of(self, collection: bytes, rng: random.Random) -> bytes | None:
        """Return an id, None if there is none yet."""
        known = self._ids.get(collection)
        return rng.choice(known) if known else None


def a_variant(request: Request, ids: KnownIds, rng: random.Random) -> Request:
    """Return the request, mostly about what exists, and with up to one other change."""
    if rng.random() < 0.7:
        request = _about_what_exists(request, ids, rng)
    return rng.choice(_VARIANTS)(request, rng)


def _about_what_exists(request: Request, ids: KnownIds, rng: random.Random) -> Request:
    """Put ids that exist in the place of others, and few names in the place of many."""

    def known(found: re.Match[bytes]) -> bytes:
        one = None if found[3] in _NOT_IDS else ids.one_of(found[2], rng)
        return found[0] if one is None else b"%s%s/%s" % (found[1], found[2], one)

    def known_in_body(found: re.Match[bytes]) -> bytes:
        return ids.one_of(rng.choice((b"tasks", b"leases", b"workers")), rng) or found[0]

    def known_name(found: re.Match[bytes]) -> bytes:
        return b'"%s":"%s"' % (found[1], rng.choice(_NAMES[found[1]]))

    body = _NAME.sub(known_name, _UUID.sub(known_in_body, request.body))
    return replace(request, target=_PLACE.sub(known, request.target), body=body)


def _as_it_is(request: Request, _: random.Random) -> Request:
    return request


def _with_changed_body(request: Request, rng: random.Random) -> Request:
    return replace(request, body=mutated(request.body, rng)) if request.body else request


def _with_odd_headers(request: Request, rng: random.Random) -> Request:
    return request.with_headers(*rng.sample(_ODD_HEADERS, rng.randint(1, 3)))


def _with_changed_query(request: Request, rng: random.Random) -> Request:
    path, _, query = request.target.partition(b"?")
    changed = mutated(query, rng)
    # Sent as it is where that is a valid target, else percent-encoded.
    sent = b"".join(b"%c" % one if 0x20 < one < 0x7F else b"%%%02X" % one for one in changed)
    return replace(request, target=b"%s?%s" % (path, sent.replace(b"#", b"%23")))


def _with_another_method(request: Request, rng: random.Random) -> Request:
    return replace(request, method=rng.choice(_METHODS))


_VARIANTS: Sequence[Callable[[Request, random.Random], Request]] = (
    _as_it_is,
    _as_it_is,
    _as_it_is,
    _with_changed_body,
    _with_changed_body,
    _with_changed_body,
    _with_odd_headers,
    _with_odd_headers,
    _with_changed_query,
    _with_another_method,
)
