"""What an attack is: so many clients, each of which does one thing again and again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.connections import connected_from

ADDRESS = "127.0.0.2"
"""Attackers have an address of their own: what is counted by address must not hit others."""

Outcome = str
"""What became of one time: a status, or a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack. `once` gets the server's address; `must_see` is what has to come of it to be the attack meant.

    A client rests for `rest_s` before it comes again.
    """

    title: str
    clients: int
    once: Callable[[str], Awaitable[Outcome]]
    must_see: frozenset[Outcome]
    rest_s: float = 0.0


def request(
    method: str, path: str, body: bytes = b"", *, media_type: str = "application/json"
) -> bytes:
    """Return a request that is its connection's last one."""
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    if body:
        head += f"content-type: {media_type}\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def answered(url: str, data: bytes) -> Outcome:
    """Send a request and return the status of its answer."""
    async with connected_from(ADDRESS, url) as connection:
        return str(await connection.status_at_end(data))
