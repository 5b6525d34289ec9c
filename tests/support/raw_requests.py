"""Requests of `POST /tasks` and `GET /tasks/{id}` as bytes, and what is needed to send one of them both ways."""

import re
from typing import Any

import orjson
import pytest

from tests.support.api import Served

LAST = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
# A request with this header goes through the layers, and gets the same response.
LONG_WAY = {"content-encoding": "identity"}


@pytest.fixture
async def known(api: Served) -> str:
    """A task of a queue that the service has seen: after that, creating is one statement."""
    return str((await api.create(name="known"))["id"])


def a_post(name: str, *headers: bytes) -> bytes:
    body = orjson.dumps({"name": name})
    lines = (
        b"POST /tasks HTTP/1.1",
        b"host: localhost",
        b"content-length: %d" % len(body),
        *headers,
    )
    return b"\r\n".join((*lines, b"", body))


def sent(
    method: str,
    path: str,
    *lines: str,
    body: bytes = b"",
    version: str = "1.1",
    host: str = "host: localhost\r\n",
) -> bytes:
    head = (f"{method} {path} HTTP/{version}\r\n{host}x: y", *lines)
    return "\r\n".join((*head, "", "")).encode() + body


def a_body(body: bytes, *lines: str) -> bytes:
    return sent("POST", "/tasks", f"content-length: {len(body)}", *lines, body=body)


def parsed_responses(raw: bytes) -> list[tuple[int, dict[str, Any]]]:
    """The statuses and JSON bodies of the responses on one connection."""
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        [length] = re.findall(rb"content-length: (\d+)", head)
        found.append((int(head.split()[1]), orjson.loads(rest[: int(length)])))
        raw = rest[int(length) :]
    return found
