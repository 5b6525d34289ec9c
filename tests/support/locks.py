"""Locks tables, and waits until PostgreSQL has sessions wait for a lock."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import asyncpg

from tests.support.polling import eventually
from tests.support.stage import Stage


async def until_blocked(stage: Stage, sessions: int = 1) -> None:
    """Wait until so many sessions wait for a lock; `stage.sql` may be within a transaction.

    That is why it reads no `pg_stat_activity`: a transaction goes on seeing what that had at its first look.
    """

    async def are_blocked() -> bool:
        blocked: int = await stage.sql.fetchval(
            "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
        )
        return blocked >= sessions

    await eventually(are_blocked, f"{sessions} sessions to wait for a lock")


@asynccontextmanager
async def holding_tasks(stage: Stage) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Lock the table of tasks until the yielded function is called."""
    holder = await asyncpg.connect(stage.url)
    try:
        await holder.execute("BEGIN; LOCK TABLE taskmill.task IN ACCESS EXCLUSIVE MODE")
        yield partial(holder.execute, "COMMIT")
    finally:
        await holder.close()
