"""Observes what programs did: in the database, in files that they write, in their logs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import asyncpg

_POLL_S = 0.2


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Open a connection of the benchmark's own."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def until_counted(
    connection: "asyncpg.Connection[asyncpg.Record]",
    query: str,
    count: int,
    *,
    timeout_s: float,
    pause_s: float = _POLL_S,
) -> None:
    """Run the query five times a second, or with other pauses, until it returns `count`. Raises `TimeoutError`."""
    async with asyncio.timeout(timeout_s):
        while await connection.fetchval(query) < count:  # noqa: ASYNC110 - another process gets it done
            await asyncio.sleep(pause_s)


async def until_done(done: Path, *, timeout_s: float) -> float:
    """Wait for the seconds that a program writes when it is done. Raises `TimeoutError`."""
    async with asyncio.timeout(timeout_s):
        while (seconds := _seconds_in(done)) is None:  # noqa: ASYNC110 - another process gets it done
            await asyncio.sleep(_POLL_S)
    return seconds


def _seconds_in(done: Path) -> float | None:
    if not done.exists():
        return None
    seconds: float = json.loads(done.read_text())["seconds"]
    return seconds


def logged_at(log: Path, event: str, *, key: str) -> dict[str, float]:
    """Return when a program logged an event (Unix seconds), by the value of `key` in its lines."""
    lines = [json.loads(line) for line in log.read_bytes().splitlines() if line.startswith(b"{")]
    matching = [line for line in lines if line["event"] == event]
    return {line[key]: datetime.fromisoformat(line["ts"]).timestamp() for line in matching}
