"""Requests for the dashboard's pages, which no document describes: they must not be a 5xx, whatever is in them."""

import random
import re
from collections.abc import Iterator
from urllib.parse import quote, urlencode

from taskmill.dashboard.app import _all_routes
from tests.fuzz.exchange import Request

_PARAMETER = re.compile(r"\{[^}]+\}")
# A stream lasts for an hour, and a file of all tasks is long.
_LEFT_OUT = ("/ui/live", "/ui/events/stream", "/ui/tasks/export")
_PARTS = (
    "0",
    "17",
    "fuzz",
    "mail",
    "\x00",
    "\ud83d",
    "..",
    "a b",
    "x" * 300,
    "stop",
    "quiet",
    "-1",
)
_NAMES = [
    "q",
    "name",
    "queue",
    "type",
    "status",
    "label",
    "sort",
    "cursor",
    "page",
    "limit",
    "since",
    "until",
    "priority",
    "payload",
    "payload_of",
    "delay_s",
    "run_at",
    "timeout_s",
    "max_attempts",
    "retry_base_s",
    "labels",
    "idempotency_key",
    "callback_url",
    "id",
    "ids",
    "all",
    "action",
    "what",
    "next",
    "key",
    "theme",
    "language",
    "density",
    "zone",
    "tab",
    "view",
    "after",
    "before",
    "worker",
    "actor",
    "days",
]
_VALUES = (
    *(
        "",
        "0",
        "-1",
        "1",
        "9" * 30,
        "1e999",
        "NaN",
        "\x00",
        "fuzz",
        "mail",
        "new",
        "failed",
        "*",
        "ü\u202e",
    ),
    *(
        "{}",
        "[" * 2_000,
        '{"a":1}',
        "2026-11-30T00:00",
        "9999-12-31T23:59:59Z",
        "//elsewhere.example",
        "x" * 3_000,
    ),
    *(
        "00000000-0000-0000-0000-000000000000",
        "a=b",
        "%",
        "<script>",
        "en",
        "ru",
        "dark",
        "on",
        "retry",
        "cancel",
    ),
)


def page_requests(rng: random.Random, examples: int) -> Iterator[Request]:
    """Yield `examples` requests for each page, and for each form."""
    for method, path, _ in _all_routes():
        if not path.startswith(_LEFT_OUT):
            for _ in range(examples):
                yield _request(method, path, rng)


def _request(method: str, path: str, rng: random.Random) -> Request:
    target = _PARAMETER.sub(lambda _: _quoted(rng.choice(_PARTS)), path)
    pairs = [(rng.choice(_NAMES), rng.choice(_VALUES)) for _ in range(rng.choice((0, 1, 2, 5, 40)))]
    encoded = urlencode(pairs)
    headers: tuple[tuple[bytes, bytes], ...] = ((b"Accept", b"text/html"),)
    if rng.random() < 0.3:
        headers += ((b"HX-Request", b"true"),)
    if method == "GET":
        return Request(method=b"GET", target=f"{target}?{encoded}".encode(), headers=headers)
    headers += (
        (b"Content-Type", b"application/x-www-form-urlencoded"),
        (b"Sec-Fetch-Site", b"same-origin"),
    )
    return Request(method=b"POST", target=target.encode(), headers=headers, body=encoded.encode())


def _quoted(part: str) -> str:
    return quote(part.encode("utf-8", "surrogatepass"), safe="")
