"""PgBouncer in transaction mode: the program and its commands refuse it; transactions of others create tasks."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from taskmill import enqueue
from taskmill.domain.errors import ConfigurationError
from taskmill.storage.rights import APP
from tests.integration.test_unsuitable_databases import started
from tests.support.migrating import apart, run_module
from tests.support.pgbouncer import MISSING, a_pgbouncer, program
from tests.support.roles import as_role
from tests.support.stage import Stage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason=MISSING),
]

# Whoever is told that a parameter is unsupported adds it here.
ALL_IGNORED = (
    "jit,timezone,idle_in_transaction_session_timeout,statement_timeout,plan_cache_mode,enable_seqscan,"
    "enable_bitmapscan,enable_hashjoin,enable_mergejoin,max_parallel_workers_per_gather"
)
NAMES_POSTGRESQL = "name PostgreSQL's own address in TASKMILL_DATABASE_URL"


@pytest.fixture(params=["", ALL_IGNORED], ids=["refuses", "ignores"])
def through(request: pytest.FixtureRequest, stage: Stage, tmp_path: Path) -> Iterator[str]:
    """The database's address through PgBouncer."""
    with a_pgbouncer(stage.url, tmp_path / "pgbouncer", ignores=request.param) as url:
        yield url


async def test_a_process_ends_with_the_reason(through: str) -> None:
    with pytest.raises(ConfigurationError, match=NAMES_POSTGRESQL):
        await started(as_role(through, APP))


@pytest.mark.parametrize(
    "command",
    [("migrate",), ("migrate", "--plan"), ("migrate", "--roles"), ("verify",), ("key", "list")],
    ids=" ".join,
)
async def test_a_command_ends_with_the_reason(through: str, command: tuple[str, ...]) -> None:
    done = await apart(run_module, through, "taskmill", *command)
    assert done.returncode != 0
    words = " ".join((done.stdout + done.stderr).split())
    assert NAMES_POSTGRESQL in words
    assert "Traceback" not in words


async def test_other_programs_create_tasks_in_their_transactions(
    through: str, stage: Stage
) -> None:
    connection = await asyncpg.connect(through)
    try:
        for number in range(5):
            async with connection.transaction():
                await enqueue(connection, f"task {number}")
        rows = await stage.sql.fetch("SELECT name FROM taskmill.task ORDER BY name")
    finally:
        await connection.close()
    assert [row["name"] for row in rows] == [f"task {number}" for number in range(5)]
