"""What retention by queue and the archive read, with sixty weeks and a long backlog."""

from datetime import timedelta
from uuid import UUID

from taskmill.storage import partitions
from taskmill.storage.pruned_tasks import ENDED, PrunableTasks
from tests.support.long_past import BATCH, PAGES_PER_TASK
from tests.support.plans import check, explaining
from tests.support.stage import Stage

YEAR = timedelta(days=365)


async def test_pruning_reads_no_more_than_its_batch(seeded: Stage) -> None:
    now = seeded.clock.now()
    week = (await partitions.attached(seeded.database))[-10]
    tasks = PrunableTasks(week=week, queue="q1", status="succeeded", ended_before=now)
    after, end = tasks.bounds
    async with explaining(seeded.database) as session:
        await session.connection.execute(
            "INSERT INTO taskmill.queue (name, keep) VALUES ($1, '1 hour')", tasks.queue
        )
        arguments = (tasks.queue, tasks.status, after, end, tasks.ended_before, BATCH, None)
        # The first calls also plan what is in the function, and the later ones use one plan for all weeks.
        for _ in range(5):
            [row], _ = await session.fetch("prune_tasks", *arguments)
            arguments = (*arguments[:2], row["last"], *arguments[3:])
        [row], plan = await session.fetch("prune_tasks", *arguments)
        assert (row["read"], row["pruned"]) == (BATCH, BATCH)
        # Rows are those of the candidates only: what the function reads is in its pages.
        check(plan, rows=2 * BATCH, pages=BATCH * PAGES_PER_TASK)
        # What ended too recently is read, and no more.
        [row], plan = await session.fetch(
            "prune_tasks", tasks.queue, tasks.status, after, end, now - 2 * YEAR, BATCH, None
        )
        assert row["pruned"] == 0
        check(plan, rows=2 * BATCH, pages=3 * BATCH)


async def test_without_a_queue_with_a_time_nothing_is_counted(seeded: Stage) -> None:
    async with explaining(seeded.database) as session:
        now = seeded.clock.now()
        rows, plan = await session.fetch("list_prunable_tasks", YEAR, ENDED, False, now)  # noqa: FBT003
        assert rows == []
        check(plan, rows=5, pages=5)


async def test_whether_a_queue_keeps_a_week_is_known_from_counters(seeded: Stage) -> None:
    week = (await partitions.attached(seeded.database))[-10]
    async with explaining(seeded.database) as session:
        arguments = (week.monday, ENDED, seeded.clock.now(), YEAR)
        rows, plan = await session.fetch("list_week_keepers", *arguments)
        assert rows == []
        check(plan, rows=5, pages=5)
        [[has_tasks]], plan = await session.fetch("has_tasks_of_week", *week.bounds)
        assert has_tasks
        check(plan, rows=1, pages=10)


async def test_a_part_of_an_archive_reads_its_tasks_only(seeded: Stage) -> None:
    week = (await partitions.attached(seeded.database))[-10]
    async with explaining(seeded.database) as session:
        rows, plan = await session.fetch("read_archived_tasks", *week.bounds, BATCH, 2**20)
        assert len(rows) == BATCH
        # Each twice: its size, and then what it has.
        check(plan, rows=2 * BATCH, pages=30 * BATCH)


async def test_looking_for_changes_of_a_week_reads_the_batches_after_a_position(
    stage: Stage,
) -> None:
    await stage.sql.execute("""
        INSERT INTO taskmill.change_batch (task_ids, versions, position)
        SELECT ARRAY['01970000-0000-7000-8000-000000000000'::uuid], '{1}', n FROM generate_series(1, 20000) AS n
    """)
    bounds = (UUID(int=0), UUID(int=1))
    async with explaining(stage.database) as session:
        [row], plan = await session.fetch("find_week_changes", 19_000, *bounds, 500)
        assert (row["read"], row["last"], row["is_changed"]) == (500, 19_500, False)
        check(plan, rows=500, pages=100)
