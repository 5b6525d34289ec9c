"""What the program does again and again by itself costs little, whatever waits."""

from uuid import UUID

from tests.support.long_past import BATCH, FIRST, RUNNING, WEEKS, much_runs, pages_for_ids
from tests.support.plans import check, explaining
from tests.support.stage import Stage

LAST_ID = UUID(int=2**128 - 1)


async def test_pruning_changes_reads_no_more_than_it_may_prune(stage: Stage) -> None:
    await stage.sql.execute("""
        INSERT INTO taskmill.change_batch (task_ids, versions, position)
        SELECT '{}', '{}', n FROM generate_series(1, 20000) AS n
    """)
    async with explaining(stage.database) as session:
        _, plan = await session.fetch("prune_changes", 7.0, 50)
        check(plan, rows=110, pages=100)


async def test_finding_buckets_costs_as_much_as_there_are_buckets(seeded: Stage) -> None:
    async with explaining(seeded.database) as session:
        rows, plan = await session.fetch("find_buckets", None, None, 1000, *FIRST)
        assert len(rows) == 3
        # Rows that other tests deleted may still be in the index; the backlog has 20 times as many pages.
        check(plan, rows=10, pages=300)
        _, plan = await session.fetch("list_queues")
        check(plan, rows=20, pages=20)
        _, plan = await session.fetch("find_oldest_due", ["q0", "q1", "q2"], 1000)
        check(plan, rows=10, pages=300)


async def test_verify_costs_what_it_reads(seeded: Stage) -> None:
    async with explaining(seeded.database) as session:
        waiting = await session.connection.fetchval(
            "SELECT min(id::text)::uuid FROM taskmill.current_task WHERE status = 'new'"
        )
        rows, plan = await session.fetch("verify_tasks", waiting, LAST_ID, BATCH, None)
        assert len(rows) == BATCH
        ids = (waiting, rows[-1]["id"])
        # Each task is searched in `dispatch`; each week for the first of its tasks.
        check(plan, rows=2 * BATCH + WEEKS, pages=10 * BATCH + 10 * WEEKS)
        _, plan = await session.fetch("verify_entries", *ids)
        check(plan, rows=BATCH + WEEKS, pages=10 * BATCH)
        strays, plan = await session.fetch("verify_stray_rows", *ids)
        assert strays == []
        check(plan, rows=2 * BATCH, pages=10 * BATCH + pages_for_ids(seeded, BATCH))
        _, plan = await session.fetch("last_task_id")
        check(plan, rows=3 + WEEKS, pages=25 * WEEKS)
        _, plan = await session.fetch("verify_keys", "", "", BATCH)
        check(plan, rows=2 * BATCH, pages=10 * BATCH)
        _, plan = await session.fetch("verify_rejections", UUID(int=0), BATCH)
        check(plan, rows=2 * BATCH, pages=10 * BATCH)
        _, plan = await session.fetch("verify_overdue", 120.0, 1000, *FIRST, None)
        # Of each of nine buckets the first row of `dispatch`, its task, and the row of its queue.
        check(plan, rows=3 * 9, pages=300)


async def test_verifying_the_feed_costs_what_it_reads(stage: Stage) -> None:
    await stage.sql.execute("""
        INSERT INTO taskmill.change_batch (task_ids, versions, position)
        SELECT '{}', '{}', nullif(n, 20000) FROM generate_series(1, 20000) AS n
    """)
    async with explaining(stage.database) as session:
        moment = stage.clock.now()
        _, plan = await session.fetch("verify_positions", 500, BATCH, moment)
        check(plan, rows=2 * BATCH, pages=BATCH)
        for name, arguments in (("verify_feed_start", (7.0, None)), ("verify_unnumbered", (None,))):
            _, plan = await session.fetch(name, *arguments)
            check(plan, rows=10, pages=20)


async def test_housekeeping_does_not_read_what_waits(seeded: Stage) -> None:
    # On a slow machine the leases of earlier tests have run out by now.
    await seeded.sql.execute("UPDATE taskmill.lease SET expires_at = now() + interval '1 hour'")
    async with explaining(seeded.database) as session:
        for name, arguments in (
            ("expire_waiting_tasks", (1000,)),
            ("close_expired_leases", ()),
            ("find_stranded_tasks", (1000,)),
            ("find_attempts_of_lease", (seeded.ids(),)),
            ("find_cancel_requested", (seeded.ids(),)),
            ("prune_keys", (1000,)),
            ("prune_sessions", (1000,)),
            ("number_changes", (1000, 0)),
            ("find_unnumbered", (0,)),
            ("first_stray_id", ()),
        ):
            _, plan = await session.fetch(name, *arguments)
            check(plan, rows=10, pages=10 * WEEKS, name=name)


async def test_pruning_leases_compares_none_of_them_with_all_that_runs(seeded: Stage) -> None:
    """Also by statistics from when nothing ran."""
    own, remote = [await seeded.open_lease() for _ in range(2)]
    async with explaining(seeded.database) as session:
        for running in (10_000, 15_000):
            if running == 10_000:
                await session.connection.execute(RUNNING, own)
                await session.connection.execute(RUNNING, remote)
            else:
                await much_runs(session, own)
            await session.connection.execute(_CLOSED, own, remote)
            rows, plan = await session.fetch("prune_remote_leases", 1000)
            assert len(rows) == 100
            # Each lease, what is deleted once more, and of what runs the tasks that a lease names.
            check(plan, rows=1000, pages=2000)
            rows, plan = await session.fetch("prune_leases", 1000)
            assert len(rows) == 100
            check(plan, rows=running + 1000, pages=2000)
            assert not any(node.get("Rows Removed by Join Filter") for node in plan.nodes())


# One of each still has tasks that run.
_CLOSED = """
    WITH closed AS (
        UPDATE taskmill.lease
        SET closed_at = now() - interval '2 days',
            remote = id = $2,
            task_ids = ARRAY(SELECT task_id FROM taskmill.running WHERE lease_id = $2 LIMIT 100)
        WHERE id IN ($1, $2)
    )
    INSERT INTO taskmill.lease (
        id, worker, queues, types, slots, expires_at, closed_at, remote, task_ids)
    SELECT gen_random_uuid(), 'w', '{}', '{x}', 1, at, at, n % 2 = 0, ARRAY[gen_random_uuid()]
    FROM generate_series(1, 200) AS n, (VALUES (now() - interval '2 days')) AS long_ago (at)
"""


async def test_activity_is_read_and_rolled_up_without_reading_tasks(seeded: Stage) -> None:
    """The cost is the number of steps, queues and types, whatever other steps have."""
    async with explaining(seeded.database) as session:
        await session.connection.execute(_ROLLED)
        for step_s, window_s, rows_of_step in (
            (60, 300.0, 60),
            (3600, 86_400.0, 250),
            (86_400, 2.592e6, 310),
        ):
            rows, plan = await session.fetch(
                "read_minutes", step_s, window_s, None, None, 1000, None, None, None
            )
            assert len(rows) > 10
            check(plan, rows=2 * rows_of_step + 1000, pages=4 * rows_of_step + 1000)
        _, plan = await session.fetch("claimed_per_second", "q1", None, 300.0)
        check(plan, rows=600, pages=600)
        [row], plan = await session.fetch("roll_up", 60, 0, BATCH, 100, 100)
        assert row["taken"] == BATCH
        check(plan, rows=BATCH + 700, pages=30 * BATCH)
        [row], plan = await session.fetch("roll_up", 600, 60, BATCH, 100, 100)
        assert row["taken"] == BATCH
        check(plan, rows=4 * BATCH, pages=30 * BATCH)
        rows, plan = await session.fetch("prune_minutes", 60, 1.0, BATCH, False)  # noqa: FBT003
        assert len(rows) == BATCH
        check(plan, rows=2 * BATCH, pages=10 * BATCH)


# Rows of 10 queues: some minutes are past their retention, the latest 15 of a step not carried; and deltas.
_ROLLED = """
    WITH made AS (
        INSERT INTO taskmill.task_minute (
            step_s, at, queue, type, carried, created, claimed, succeeded, failed, retry_scheduled, handed_back,
            lost, expired, cancelled, run_again, waiting, waiting_s, running, running_s
        )
        SELECT
            s, at, 'q' || queue, 'emulate', s < 86400 AND at < now() - make_interval(secs => 15 * s),
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
        FROM (VALUES (60, 1.1), (600, 7), (3600, 30), (21600, 30), (86400, 30)) AS step (s, days)
        CROSS JOIN LATERAL generate_series(
            date_bin(make_interval(secs => s), now() - make_interval(secs => days * 86400), '2000-01-01Z'),
            now(), make_interval(secs => s)
        ) AS at
        CROSS JOIN generate_series(0, 9) AS queue
    )
    INSERT INTO taskmill.task_minute_delta (queue, type, event, bucket, tasks, seconds)
    SELECT 'q' || n % 10, 'emulate', 'claimed', n % 100, 1, 1 FROM generate_series(1, 500) AS n
"""
