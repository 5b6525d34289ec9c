"""The definition of an attack: so many clients, each of which repeats one request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.connections import connected_from

ADDRESS = "127.0.0.2"
"""Attackers have an address of their own: limits by address must not hit others."""

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
