"""Incomplete requests: half-sent heads, and heads and bodies that come byte by byte."""

import asyncio

from benchmarks.attacks.attack import ADDRESS, Attack, Outcome
from benchmarks.connections import Connection, connected_from

_HEAD = b"POST /tasks HTTP/1.1\r\nhost: localhost\r\n"
_BODY = _HEAD + b"content-type: application/json\r\ncontent-length: 1000000\r\n\r\n{"
# One address may have 256 incomplete requests.
_ABOVE_LIMIT, _BELOW_LIMIT = 1_200, 250
_BYTE_PAUSE_S, _PAUSE_S = 0.1, 1.0


async def _half_a_head(url: str) -> Outcome:
    async with connected_from(ADDRESS, url) as connection:
        await connection.send(_HEAD)
        await connection.until_closed()
    return "closed"


async def _slow_head(url: str) -> Outcome:
    return await _dribble(url, _HEAD + b"x-long: ")


async def _slow_body(url: str) -> Outcome:
    return await _dribble(url, _BODY)


async def _dribble(url: str, begun: bytes) -> Outcome:
    async with connected_from(ADDRESS, url) as connection, asyncio.TaskGroup() as group:
        sending = group.create_task(_send_on(connection, begun))
        await connection.until_closed()
        sending.cancel()
    return "closed"


async def _send_on(connection: Connection, begun: bytes) -> None:
    await connection.send(begun)
    while True:
        await asyncio.sleep(_BYTE_PAUSE_S)
        await connection.send(b" ")


ATTACKS = {
    "half heads": Attack(
        title="1,200 connections with half a head each",
        clients=_ABOVE_LIMIT,
        once=_half_a_head,
        must_see=frozenset({"closed"}),
        # A rejected client comes again, but not as fast as this machine can.
        pause_s=_PAUSE_S,
    ),
    "slow heads": Attack(
        title="250 heads that come byte by byte",
        clients=_BELOW_LIMIT,
        once=_slow_head,
        must_see=frozenset({"begun"}),
    ),
    "slow bodies": Attack(
        title="250 bodies that come byte by byte",
        clients=_BELOW_LIMIT,
        once=_slow_body,
        must_see=frozenset({"begun"}),
    ),
}
