"""Databases that can't be used or reached, and the errors for them."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from taskmill import settings as configuration
from taskmill.composition.process import Process
from taskmill.domain.errors import ConfigurationError, Unavailable
from taskmill.storage.database import Database
from taskmill.storage.rights import APP
from tests.support.api import LogLines
from tests.support.intake import another_database
from tests.support.pooler import a_pooler
from tests.support.roles import as_role
from tests.support.stage import SETTINGS, Stage


async def started(url: str) -> None:
    """Start a process, as `taskmill run` does."""
    async with AsyncExitStack() as stack:
        await Process.start(configuration.load(database_url=url), stack, asyncio.Event())


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_pooler_that_swallows_what_a_session_sets_is_refused_at_once(
    stage: Stage, log_lines: LogLines, *, refuses: bool
) -> None:
    async with a_pooler(stage.url, refuses=refuses) as url:
        async with asyncio.timeout(10):  # no outage, which is waited out for 30 s
            with pytest.raises(ConfigurationError) as refused:
                await started(url)
        assert "a pooler such as PgBouncer" in str(refused.value)
        assert "TASKMILL_DATABASE_URL" in str(refused.value)
        assert ("plan_cache_mode" in str(refused.value)) is not refuses
        async with another_database(url) as database:
            for lent in (database.hot(), database.listing(), database.slow(timeout_s=1)):
                with pytest.raises(Unavailable):
                    await lent.__aenter__()
            with pytest.raises(Unavailable, match="PgBouncer"):
                await database.connect()
    assert len(log_lines.named("database.unsuitable")) == 2


async def test_a_database_that_applies_what_a_session_sets_is_accepted(stage: Stage) -> None:
    await started(as_role(stage.url, APP))
    async with stage.database.hot() as connection:
        assert await connection.fetchval("SHOW plan_cache_mode") == "force_generic_plan"
    assert stage.database.unsuitable is None


async def test_the_error_for_a_silent_database_has_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    monkeypatch.setattr("taskmill.composition.process._WAIT_FOR_DATABASE_S", 0.0)
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("TASKMILL_DATABASE__CONNECT_TIMEOUT_S", "0.2")
    async with server:
        with pytest.raises(ConfigurationError, match=r"can't be reached: no response in time$"):
            await started(f"postgresql://nobody@127.0.0.1:{port}/nowhere?sslmode=disable")
    nowhere = Database("postgresql://nobody@127.0.0.1:1/nowhere", SETTINGS)
    with pytest.raises(Unavailable) as refused:
        await nowhere.fetch("clock_now")
    assert "Connect call failed" in str(refused.value.__cause__)
    await nowhere.close()
