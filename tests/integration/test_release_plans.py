"""What releasing and claiming by hint cost with a long backlog: as much as is released or claimed."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from taskmill.storage.statements import statement
from tests.support.plans import Explaining, Plan, check, explaining
from tests.support.postgres import DatabaseServer
from tests.support.stage import Stage, a_stage

WAITING = 100_000
LIMIT = 400
PAUSED = True
BATCH = 100
EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
# A task costs some pages in each of: dispatch, task, two indexes more, history, counters.
PAGES_PER_TASK = 30

# Ten buckets of one queue and type, one for each priority.
SEED = """
    INSERT INTO taskmill.task (
        id, name, type, queue, priority, status, run_at, created_at, max_attempts, max_losses,
        labels, source
    )
    SELECT
        (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
            || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid,
        'task ' || n, 'emulate', 'q', (n % 10)::smallint, 'new', at, at, 1, 3, '{}', 'seed'
    FROM (
        SELECT n, $1::timestamptz + n * interval '10 ms' AS at FROM generate_series(1, $2::integer) AS n
    ) AS numbered
"""


async def seed(url: str) -> None:
    async with a_stage(url) as stage:
        await stage.sql.execute("SET session_replication_role = replica")
        await stage.sql.execute(SEED, stage.clock.now() - timedelta(hours=1), WAITING)
        await stage.sql.execute("INSERT INTO taskmill.queue (name) VALUES ('q')")
        await stage.sql.execute("""
            INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
            SELECT id, queue, type, priority, run_at FROM taskmill.task
        """)


@pytest.fixture(scope="module")
def backlog_url(database_server: DatabaseServer, stage_template: str) -> Iterator[str]:
    """A database with a long backlog of one hint queue; tests undo what they do to it."""
    url = database_server.create(template=stage_template)
    database_server.run(seed(url))
    yield url
    database_server.drop(url)


@pytest.fixture(params=["unanalysed", "full", "empty"])
async def backlog(backlog_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """The backlog with statistics of all kinds: none, its own, those of an empty table."""
    async with a_stage(backlog_url) as stage:
        if request.param == "full":
            await stage.sql.execute("ANALYZE taskmill.dispatch, taskmill.task")
        if request.param == "empty":
            await stage.sql.execute(
                "UPDATE pg_class SET reltuples = 0, relpages = 0 WHERE relname LIKE 'dispatch%'"
            )
        yield stage


async def release(
    session: Explaining, *, starts: datetime = EARLIEST, most: int = BATCH
) -> tuple[asyncpg.Record, Plan]:
    """Release in all ten buckets."""
    buckets: list[Any] = [list(range(9, -1, -1)), [starts] * 10]
    [row], plan = await session.fetch("release_tasks", "q", "emulate", LIMIT, most, 10.0, *buckets)
    return row, plan


async def mark(session: Explaining, count: int, *, ago_s: float = 0) -> None:
    """Release the most urgent tasks, some time ago."""
    await session.connection.execute(
        """
        UPDATE taskmill.dispatch SET released_at = now() - make_interval(secs => $2)
        WHERE task_id IN (
            SELECT task_id FROM taskmill.dispatch ORDER BY priority DESC, run_at, task_id LIMIT $1
        )
        """,
        count,
        ago_s,
    )


async def test_a_release_costs_no_more_than_its_limit(backlog: Stage) -> None:
    async with explaining(backlog.database) as session:
        row, plan = await release(session)
        assert len(row["task_ids"]) == BATCH
        assert (row["out_before"], row["again"]) == (0, 0)
        check(plan, rows=2 * LIMIT + 4 * BATCH, pages=10 * LIMIT)
        priorities = await session.connection.fetch(
            "SELECT DISTINCT priority FROM taskmill.dispatch WHERE released_at IS NOT NULL"
        )
        assert [r["priority"] for r in priorities] == [9]


async def test_a_release_at_its_limit_releases_nothing_and_costs_no_more(backlog: Stage) -> None:
    async with explaining(backlog.database) as session:
        await mark(session, LIMIT)
        row, plan = await release(session)
        assert (row["task_ids"], row["out_before"]) == (None, LIMIT)
        check(plan, rows=2 * LIMIT + 10, pages=10 * LIMIT)


async def test_expired_marks_do_not_count_and_are_set_again(backlog: Stage) -> None:
    async with explaining(backlog.database) as session:
        await mark(session, LIMIT, ago_s=11)
        row, plan = await release(session)
        assert (len(row["task_ids"]), row["again"], row["out_before"]) == (BATCH, BATCH, 0)
        check(plan, rows=2 * LIMIT + 4 * BATCH, pages=12 * LIMIT)


async def test_dead_rows_before_the_start_of_a_bucket_cost_nothing(backlog: Stage) -> None:
    """While an old snapshot is open, claimed rows stay in the index."""
    async with explaining(backlog.database) as session:
        start = await session.connection.fetchval(
            "SELECT run_at FROM taskmill.dispatch ORDER BY run_at OFFSET 50000 LIMIT 1"
        )
        await session.connection.execute(
            "DELETE FROM taskmill.dispatch WHERE run_at < $1", start - timedelta(seconds=1)
        )
        row, plan = await release(session, starts=start)
        assert len(row["task_ids"]) == BATCH
        check(plan, rows=2 * LIMIT + 4 * BATCH, pages=10 * LIMIT)


async def test_a_paused_queue_releases_nothing_and_costs_next_to_nothing(backlog: Stage) -> None:
    async with explaining(backlog.database) as session:
        await session.connection.execute("UPDATE taskmill.queue SET paused_at = now()")
        row, plan = await release(session)
        assert row["task_ids"] is None
        check(plan, rows=20, pages=50)


async def test_a_claim_by_hint_costs_what_it_names(backlog: Stage) -> None:
    ids = await backlog.sql.fetch(
        "SELECT task_id FROM taskmill.dispatch TABLESAMPLE SYSTEM (5) LIMIT 100"
    )
    named = sorted([row["task_id"] for row in ids])
    unknown = [UUID(int=number) for number in range(BATCH)]
    lease_id = await backlog.open_lease()
    async with explaining(backlog.database) as session:
        for types, queues in ((None, None), (["emulate", "x"], ["q"])):
            await session.connection.execute("SAVEPOINT before")
            rows, plan = await session.fetch(
                "claim_hinted_tasks", lease_id, "w", unknown + named, types, queues
            )
            assert len(rows) == len(named) == BATCH
            check(plan, rows=4 * BATCH + 10, pages=PAGES_PER_TASK * BATCH + 1000)
            again, plan = await session.fetch(
                "claim_hinted_tasks", lease_id, "w", unknown + named, types, queues
            )
            assert again == []
            check(plan, rows=2 * BATCH + 10, pages=10 * BATCH)
            await session.connection.execute("ROLLBACK TO before")


async def test_removing_marks_costs_as_much_as_there_are_marks(backlog: Stage) -> None:
    async with explaining(backlog.database) as session:
        await mark(session, LIMIT)
        ids = await session.connection.fetch(
            "SELECT task_id FROM taskmill.dispatch WHERE released_at IS NOT NULL LIMIT $1", BATCH
        )
        rows, plan = await session.fetch("unmark_tasks", [row["task_id"] for row in ids])
        assert len(rows) == BATCH
        check(plan, rows=4 * BATCH, pages=20 * BATCH)


async def test_resuming_a_queue_reads_no_task_and_has_all_released_anew(backlog: Stage) -> None:
    async with explaining(backlog.database) as session:
        await mark(session, LIMIT)
        _, plan = await session.fetch("set_queue_pause", "q", PAUSED)
        check(plan, rows=10, pages=20)
        _, plan = await session.fetch("set_queue_pause", "q", not PAUSED)
        check(plan, rows=10, pages=20)
        # All this is one transaction, whose time stands still: the next release comes after the resume.
        await session.connection.execute(
            "UPDATE taskmill.dispatch SET released_at = now() - interval '2 ms' WHERE released_at IS NOT NULL;"
            "UPDATE taskmill.queue SET resumed_at = now() - interval '1 ms' WHERE name = 'q'"
        )
        row, plan = await release(session)
        assert (len(row["task_ids"]), row["again"], row["out_before"]) == (BATCH, BATCH, 0)


async def test_the_lock_of_a_release_is_for_one_hint_queue(backlog: Stage) -> None:
    async with explaining(backlog.database) as session:
        await session.connection.execute(statement("lock_release"), 1)
        other = await backlog.database.connect()
        try:
            await other.execute("BEGIN")
            await other.execute("SET LOCAL lock_timeout = '200ms'")
            await other.execute(statement("lock_release"), 2)
            with pytest.raises(asyncpg.LockNotAvailableError):
                await other.execute(statement("lock_release"), 1)
        finally:
            await other.close()


@pytest.mark.parametrize("for_one", [False, True])
async def test_a_plan_of_claims_by_hint_that_was_made_on_an_empty_table_is_right_for_ever(
    stage: Stage, *, for_one: bool
) -> None:
    """The plan is cached; another index would have another order of locks, and be read completely."""
    async with stage.database.hot() as connection:
        query = statement("claim_hinted_tasks", for_one=for_one)
        await connection.execute(f"PREPARE claim (uuid, text, uuid[], text[], text[]) AS {query}")
        plan = await connection.fetch("EXPLAIN EXECUTE claim (NULL, NULL, NULL, NULL, NULL)")
        await connection.execute("DEALLOCATE claim")
    used = [line for (line,) in plan if " on dispatch " in line and "Scan" in line]
    assert len(used) == 1
    assert "Index Scan using dispatch_pkey" in used[0]
