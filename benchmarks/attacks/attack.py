"""The definition of an attack: so many clients, each of which repeats one request."""

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.connections import connected_from

ADDRESS = "127.0.0.2"
"""Attackers have an address of their own: limits by address must not hit others."""

# A real attacker has a machine of its own; here it gets little of the one that it shares with server and clients.
_NICENESS = 5

Outcome = str
"""The outcome of one request: a status, or a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack. `once` gets the server's address; `must_see` are the outcomes that prove that the attack worked.

    A client pauses for `pause_s` between requests.
    """

    title: str
    clients: int
    once: Callable[[str], Awaitable[Outcome]]
    must_see: frozenset[Outcome]
    pause_s: float = 0.0


def request(
    method: str, path: str, body: bytes = b"", *, media_type: str = "application/json"
) -> bytes:
    """Return a request that is the last one of its connection."""
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    if body:
        head += f"content-type: {media_type}\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def status_of_request(url: str, data: bytes) -> Outcome:
    """Send a request and return the status of the response."""
    async with connected_from(ADDRESS, url) as connection:
        return str(await connection.status_at_end(data))


def lower_priority() -> None:
    """Take little of the processors, also if Linux schedules by sessions, of which this is one."""
    os.nice(_NICENESS)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICENESS))
