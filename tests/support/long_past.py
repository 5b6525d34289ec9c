"""A database with sixty weeks of tasks and a long backlog, on which plans are looked at."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from taskmill.storage import partitions
from tests.support.plans import Explaining, Plan
from tests.support.postgres import DatabaseServer
from tests.support.stage import Stage, a_stage

WAITING = 100_000
FINISHED = 100_000
WEEKS = 60
BATCH = 100
# A batch touches, for each task: dispatch, task, two indexes more, history, counters; each some pages deep.
PAGES_PER_TASK = 30
FIRST = ("", "", -1)

SEED = """
    INSERT INTO taskmill.task (
        id, name, type, queue, priority, final_status, run_at, created_at, max_attempts, max_losses,
        labels, source, finished_at
    )
    SELECT
        (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
            || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid,
        'task ' || n, 'emulate', 'q' || n % 3, (n % 3)::smallint, $4::text, at, at, 1, 3, '{}', 'seed',
        CASE WHEN $4 IS NOT NULL THEN at END
    FROM (
        SELECT n, $1::timestamptz + n * ($2::timestamptz - $1::timestamptz) / $3::integer AS at
        FROM generate_series(1, $3::integer) AS n
    ) AS numbered
"""


async def seed(url: str) -> None:
    """Sixty weeks, most tasks finished long ago, and a backlog of this week."""
    async with a_stage(url) as stage:
        now = stage.clock.now()
        for weeks_ago in range(0, WEEKS, 5):
            await partitions.ensure(stage.database, now - timedelta(weeks=weeks_ago))
        sql = stage.sql
        # What a test puts there is rolled back. If these tables were analysed meanwhile, they would have pages
        # without rows, and a plan made by that may read all of them.
        for table in ("lease", "running", "task_minute", "task_minute_delta"):
            await sql.execute(f"ALTER TABLE taskmill.{table} SET (autovacuum_enabled = off)")
        await sql.execute("SET session_replication_role = replica")
        old = now - timedelta(weeks=WEEKS - 6)
        await sql.execute(SEED, old, now - timedelta(hours=9), FINISHED, "succeeded")
        await sql.execute(SEED, now - timedelta(hours=8), now, WAITING, None)
        await sql.execute("""
            INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
            SELECT id, queue, type, priority, run_at FROM taskmill.task WHERE final_status IS NULL
        """)
        await sql.execute("""
            INSERT INTO taskmill.task_count (queue, status, tasks)
            SELECT queue, coalesce(final_status, 'new'), count(*) FROM taskmill.task GROUP BY 1, 2
        """)
        # Else any later statement might have to put into the indexes of names what was pending of these tasks.
        await sql.execute("""
            SELECT gin_clean_pending_list(class.oid)
            FROM pg_class AS class JOIN pg_am AS method ON method.oid = class.relam
            WHERE method.amname = 'gin' AND class.relkind = 'i'
        """)


async def analyse(url: str) -> None:
    """Give it statistics of the backlog."""
    async with a_stage(url) as stage:
        await stage.sql.execute("ANALYZE taskmill.dispatch, taskmill.task")


async def analyse_drained(url: str) -> None:
    """Give it statistics of a `dispatch` that was empty."""
    async with a_stage(url) as stage:
        await stage.sql.execute("BEGIN; DELETE FROM taskmill.dispatch; ANALYZE taskmill.dispatch;")
        statistics = await stage.sql.fetchval(
            "SELECT reltuples FROM pg_class WHERE relname = 'dispatch'"
        )
        assert statistics == 0
        await stage.sql.execute("ROLLBACK")
        await stage.sql.execute(
            "UPDATE pg_class SET reltuples = 0, relpages = 0 WHERE relname LIKE 'dispatch%'"
        )


@pytest.fixture(scope="session")
def seeded_templates(
    database_server: DatabaseServer, database_template: str
) -> Iterator[dict[str, str]]:
    """Databases with a long past and a long backlog, and statistics of all kinds: name to address."""
    urls = {"unanalysed": database_server.create(template=database_template)}
    database_server.run(seed(urls["unanalysed"]))
    for name, make in (("full", analyse), ("empty", analyse_drained)):
        urls[name] = database_server.copy(urls["unanalysed"])
        database_server.run(make(urls[name]))
    yield urls
    for url in urls.values():
        database_server.drop(url)


@pytest.fixture
def seeded_url(database_server: DatabaseServer, seeded_templates: dict[str, str]) -> Iterator[str]:
    """A copy for this test alone: the index entries of what another one rolled back would cost pages."""
    url = database_server.copy(seeded_templates["unanalysed"])
    yield url
    database_server.drop(url)


@pytest.fixture(params=["unanalysed", "full", "empty"])
async def seeded(
    database_server: DatabaseServer,
    seeded_templates: dict[str, str],
    request: pytest.FixtureRequest,
) -> AsyncIterator[Stage]:
    """The same with statistics of all kinds: none, of the backlog, of a drained `dispatch`."""
    url = database_server.copy(seeded_templates[request.param])
    async with a_stage(url) as stage:
        yield stage
    database_server.drop(url)


def pages_for_ids(stage: Stage, count: int) -> int:
    """Pages that `id = ANY(…)` may touch: before 17, PostgreSQL searches every week for every id."""
    descents = 1 if stage.sql.get_server_version().major >= 17 else WEEKS
    return 3 * descents * count


async def claimed(session: Explaining, stage: Stage) -> tuple[list[asyncpg.Record], Plan, UUID]:
    """Claim a batch over all buckets."""
    lease = await stage.open_lease()
    buckets = await session.connection.fetch(_BUCKETS)
    arguments = [list(column) for column in zip(*buckets, strict=True)] or [[], [], []]
    starts: list[list[object]] = [
        [datetime(1, 1, 1, tzinfo=UTC)] * len(buckets),
        [UUID(int=0)] * len(buckets),
    ]
    rows, plan = await session.fetch("claim_tasks", lease, "w", BATCH, *arguments, *starts)
    return rows, plan, lease


_BUCKETS = """
    SELECT DISTINCT queue, type, priority FROM taskmill.dispatch ORDER BY priority DESC, queue, type
"""


RUNNING = """
    WITH taken AS (
        DELETE FROM taskmill.dispatch
        WHERE task_id = ANY(ARRAY(SELECT task_id FROM taskmill.dispatch LIMIT 5000))
        RETURNING task_id, queue
    )
    INSERT INTO taskmill.running (
        task_id, lease_id, claim_no, attempt, version, queue, run, losses, run_at, claimed_by
    )
    SELECT task_id, $1, 1, 1, 2, queue, 1, 0, now(), 'w' FROM taken
"""


async def much_runs(session: Explaining, lease: UUID) -> None:
    """Fill `running`, with the statistics of an empty table that has had rows."""
    await session.connection.execute(RUNNING, lease)
    await session.connection.execute(
        "UPDATE pg_class SET reltuples = 0, relpages = 100 WHERE relname = 'running'"
    )
