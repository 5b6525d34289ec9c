"""An idle system runs few statements in PostgreSQL, and still sees new tasks at once."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from taskmill.embedded.postgres import EmbeddedPostgres
from tests.support.migrating import migrate_with_roles
from tests.support.polling import eventually, wait_until
from tests.support.postgres import FAST_SETTINGS, chosen_bin_dir, data_parent
from tests.support.processes import Program

# Measured: 4.6 (2026-11-26). Before all processes were notified of changes, 74.
MOST_PER_S = 8
COUNTED_S = 8
ROLES = (("api",), ("worker",), ("relay", "intake"), ("maintenance", "webhooks"))
COUNTING = {
    **FAST_SETTINGS,
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_utility": "on",
}
CALLS = "SELECT query, calls FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_%' ORDER BY calls DESC"


@pytest.fixture
def counting_url() -> Iterator[str]:
    """The address of a migrated database on a server that counts every statement."""
    with (
        tempfile.TemporaryDirectory(prefix="taskmill-tests-", dir=data_parent()) as folder,
        EmbeddedPostgres(Path(folder), bin_dir=chosen_bin_dir(), settings=COUNTING) as server,
    ):
        migrate_with_roles(server.url)
        yield server.url


@asynccontextmanager
async def a_counter(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE EXTENSION pg_stat_statements")
        yield connection
    finally:
        await connection.close()


async def counted(url: str) -> list[tuple[str, int]]:
    """Wait until a few seconds have few statements, and return these."""
    async with a_counter(url) as connection:
        least: list[tuple[str, int]] = []

        async def is_quiet() -> bool:
            nonlocal least
            await connection.execute("SELECT pg_stat_statements_reset()")
            await asyncio.sleep(COUNTED_S)  # the statements of these seconds are counted
            found = [(row["query"], row["calls"]) for row in await connection.fetch(CALLS)]
            if not least or total(found) < total(least):
                least = found
            return total(found) <= MOST_PER_S * COUNTED_S

        try:
            await eventually(is_quiet, "a system that is idle", timeout_s=60)
        except AssertionError:
            shown = "\n".join(f"{calls / COUNTED_S:5.1f}/s {query[:100]}" for query, calls in least)
            pytest.fail(f"an idle system never ran fewer statements than these:\n{shown}")
        return least


def total(found: list[tuple[str, int]]) -> int:
    return sum(calls for _, calls in found)


def test_an_idle_system_runs_few_statements_and_starts_tasks_at_once(
    counting_url: str, broker_url: str, tmp_path: Path
) -> None:
    env = {
        "TASKMILL_DATABASE_URL": counting_url,
        "TASKMILL_BROKER_URL": broker_url,
        "TASKMILL_EMULATION__DELAY_MIN_S": "0",
        "TASKMILL_EMULATION__DELAY_MAX_S": "0",
        "TASKMILL_EMULATION__FAILURE_PROBABILITY": "0",
    }
    with ExitStack() as stack:
        api, *_ = [
            stack.enter_context(
                Program(
                    *("run", *roles),
                    *(("--port", "0") if "api" in roles else ()),
                    folder=tmp_path / roles[0],
                    env=env,
                )
            )
            for roles in ROLES
        ]
        assert asyncio.run(counted(counting_url)), "it is not dead"
        with api.client() as client:
            task = client.post("/tasks", json={"name": "at last"}).json()

            def is_done() -> bool:
                return bool(client.get(f"/tasks/{task['id']}").json()["status"] == "succeeded")

            wait_until(is_done, "the task to be done")
