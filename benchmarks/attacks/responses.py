"""Expensive responses: pages of 5 MB that are never read, and searches that find nothing."""

import asyncio
from functools import partial

from benchmarks.attacks.attack import ADDRESS, Attack, Outcome, request, status_of_request
from benchmarks.connections import connected_from, status_of

LARGE_QUEUE, LARGE_TASKS, LARGE_TEXT = "attack-large", 500, "x" * 9_900
SEARCHED_TASKS = 200_000

_PAGE = request("GET", f"/tasks?queue={LARGE_QUEUE}&limit=500")
_SEARCH = request("GET", "/tasks?name=nowhere")
_SMALL_BYTES = 4096
_HELD_S = 3.0


async def _take_nothing(url: str) -> Outcome:
    async with connected_from(ADDRESS, url, receive_bytes=_SMALL_BYTES) as connection:
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's has it
        connection.writer.write(_PAGE)
        await asyncio.sleep(_HELD_S)
    return "left"


async def _leave(url: str) -> Outcome:
    async with connected_from(ADDRESS, url) as connection:
        connection.writer.write(_PAGE)
        return str(status_of(await connection.reader.read(_SMALL_BYTES)))


ATTACKS = {
    "unread pages": Attack(
        title="pages of 5 MB that are requested and never read",
        clients=16,
        once=_take_nothing,
        must_see=frozenset({"begun"}),
    ),
    "leaving": Attack(
        title="clients that leave at the first bytes of a page of 5 MB",
        clients=16,
        once=_leave,
        must_see=frozenset({"200"}),
    ),
    "name search": Attack(
        title="searches of 200,000 names that find nothing",
        clients=4,
        once=partial(status_of_request, data=_SEARCH),
        must_see=frozenset({"200"}),
    ),
}
