"""Numbering, reading and pruning the feed cost what they process, however long it is."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import asyncpg
import pytest

from taskmill.domain.feed import Cursor
from taskmill.storage import changes, partitions
from tests.support.plans import check, explaining
from tests.support.postgres import DatabaseServer
from tests.support.stage import Stage, a_stage

WEEKS = 60
BATCHES = 30_000
MANY = 10_000
PAGE = 100

SEED = """
    SET session_replication_role = replica;
    CREATE TEMPORARY TABLE made AS
    SELECT
        n,
        (
            lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
            || '7000a' || lpad(to_hex(n), 15, '0')
        )::uuid AS id,
        at
    FROM (
        SELECT n, now() - interval '50 weeks' + n * interval '50 weeks' / 30000 AS at
        FROM generate_series(1, 30000) AS n
    ) AS numbered;
    INSERT INTO taskmill.task (
        id, name, type, queue, priority, run_at, created_at, max_attempts, max_losses, labels, source
    )
    SELECT id, 'task', 'emulate', 'default', 4, at, at, 1, 3, '{}', 'seed' FROM made;
    INSERT INTO taskmill.task_event (
        task_id, version, event, status, run, attempt, losses, claim_no, run_at
    )
    SELECT id, 1, 'created', 'new', 1, 0, 0, 0, at FROM made;
    INSERT INTO taskmill.change_batch (task_ids, versions, position)
    SELECT ARRAY[id], ARRAY[1], n FROM made ORDER BY n;
    INSERT INTO taskmill.change_batch (task_ids, versions, position)
    SELECT array_agg(id), array_agg(1), 30001 + many.n
    FROM (SELECT id FROM made LIMIT 10000) AS those, generate_series(0, 9) AS many (n)
    GROUP BY many.n;
"""


async def seed(url: str) -> None:
    async with a_stage(url) as stage:
        now = stage.clock.now()
        for weeks_ago in range(0, WEEKS, 5):
            await partitions.ensure(stage.database, now - timedelta(weeks=weeks_ago))
        await stage.sql.execute(SEED)


@pytest.fixture(scope="module")
def seeded_url(database_server: DatabaseServer, database_template: str) -> Iterator[str]:
    """A database with a long feed: single changes, then a few huge batches."""
    url = database_server.create(template=database_template)
    database_server.run(seed(url))
    yield url
    database_server.drop(url)


@pytest.fixture(params=["unanalysed", "analysed"])
async def seeded(seeded_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with a_stage(seeded_url) as stage:
        if request.param == "analysed":
            await stage.sql.execute("ANALYZE taskmill.change_batch, taskmill.task")
        yield stage


@pytest.mark.parametrize("position", [1, 15_000, 29_950])
async def test_a_page_of_single_changes_costs_what_it_has(seeded: Stage, position: int) -> None:
    async with explaining(seeded.database) as session:
        rows, plan = await session.fetch("read_change_batches", position, 1, PAGE)
        assert len(rows) <= PAGE
        positions = [row["position"] for row in rows]
        assert positions == sorted(positions)
        # A row of the feed, and the pair that it is made into.
        check(plan, rows=2 * PAGE + MANY, pages=2 * PAGE + 200)
        pairs = [row for row in rows if row["task_id"] is not None]
        ids, versions = [r["task_id"] for r in pairs], [r["version"] for r in pairs]
        found, plan = await session.fetch("read_changes", ids, versions)
        assert len(found) == len(ids)
        check(plan, rows=2 * len(ids), pages=10 * len(ids))


async def test_a_page_unpacks_no_more_than_one_huge_batch(seeded: Stage) -> None:
    async with explaining(seeded.database) as session:
        rows, plan = await session.fetch("read_change_batches", BATCHES + 1, 500, PAGE)
        assert [row["ordinal"] for row in rows] == list(range(501, 501 + PAGE))
        check(plan, rows=2 * PAGE + MANY, pages=300)


async def test_reading_nothing_costs_next_to_nothing(seeded: Stage) -> None:
    latest = (await changes.bounds(seeded.database)).latest
    assert latest == Cursor(BATCHES + 10, MANY)
    async with explaining(seeded.database) as session:
        for name, arguments in (
            ("find_feed_bounds", ()),
            ("find_unnumbered", (0,)),
            ("find_unnumbered", (BATCHES,)),
            ("number_changes", (1000, BATCHES)),
        ):
            _, plan = await session.fetch(name, *arguments)
            check(plan, rows=10, pages=60)
        _, plan = await session.fetch("read_change_batches", *latest, PAGE)
        check(plan, rows=MANY + 10, pages=200)


async def test_numbering_skips_what_was_numbered_before(stage: Stage) -> None:
    """Numbered rows stay in the index of unnumbered ones until a vacuum."""
    await stage.sql.execute("ALTER TABLE taskmill.change_batch SET (autovacuum_enabled = off)")
    await _unnumbered(stage.sql, 20_000)
    numbering = changes.Numbering(stage.maintenance_database)
    while await numbering(5_000):
        pass
    for _ in range(3):
        await _unnumbered(stage.sql, 5)
        await numbering(1000)
    await _unnumbered(stage.sql, 5)
    async with explaining(stage.database) as session:
        await session.fetch("number_changes", 10, 0)
        _, whole = await session.fetch("number_changes", 1, 0)
        _, plan = await session.fetch("find_unnumbered", numbering._numbered_upto)
        check(plan, rows=30, pages=20)
        assert numbering._numbered_upto > 20_000
        assert whole.pages > 2 * plan.pages


async def _unnumbered(sql: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    await sql.execute(_INSERT, count)


_INSERT = """
    INSERT INTO taskmill.change_batch (task_ids, versions)
    SELECT '{}', '{}' FROM generate_series(1, $1)
"""


async def test_pruning_costs_what_is_pruned(seeded: Stage) -> None:
    async with explaining(seeded.database) as session:
        await session.connection.execute(
            "UPDATE taskmill.change_batch SET at = now() - interval '8 days' WHERE position <= 1000"
        )
        rows, plan = await session.fetch("prune_changes", 7.0, PAGE)
        assert len(rows) == PAGE
        check(plan, rows=3 * PAGE, pages=3000)
        await session.fetch("prune_changes", 7.0, 2000)
        oldest = await session.connection.fetchval(
            "SELECT min(position) FROM taskmill.change_batch"
        )
        assert oldest == 1000, "the last old one stays: who has seen just that may go on"


@pytest.mark.parametrize("position", [1, 15_000, 29_950, BATCHES + 1])
async def test_finding_the_oldest_of_each_key_costs_what_it_reads(
    seeded: Stage, position: int
) -> None:
    async with explaining(seeded.database) as session:
        rows, plan = await session.fetch("find_oldest_by_key", position, 1, PAGE)
        assert len(rows) == 1, "one status of one queue"
        assert rows[0]["changes"] >= PAGE - 1
        # A batch, the pair that it is made into, and its rows of task_event and task.
        check(plan, rows=6 * PAGE, pages=2 * PAGE + 200 + 10 * PAGE)
