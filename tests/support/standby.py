"""A synchronous standby that is missing, so that commits wait. The setting is that of the whole server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.polling import eventually
from tests.support.stage import Stage


@asynccontextmanager
async def without_its_standby(stage: Stage) -> AsyncIterator[None]:
    """Make every commit wait for a standby that does not exist."""
    await stage.sql.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
    await stage.sql.execute("SELECT pg_reload_conf()")
    try:
        await eventually(lambda: _waits_for(stage, "gone"), "the setting holds")
        yield
    finally:
        await standby_restored(stage)


async def standby_restored(stage: Stage) -> None:
    """Let commits go on without a standby again, also those that are waiting."""
    await stage.sql.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await stage.sql.execute("SELECT pg_reload_conf()")
    await eventually(lambda: _waits_for(stage, ""), "the setting holds no more")


async def _waits_for(stage: Stage, name: str) -> bool:
    return bool(await stage.sql.fetchval("SHOW synchronous_standby_names") == name)
