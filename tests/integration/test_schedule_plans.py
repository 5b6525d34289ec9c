"""What schedules cost, however many there are: each statement reads what it returns."""

from datetime import timedelta

from taskmill.domain.fires import Fire, FireOutcome
from taskmill.storage import schedules
from tests.support.plans import Explaining, check, explaining
from tests.support.stage import Stage

MANY = 20_000
# A tenth are paused; of the others 50 are due, and each has ten fires.
_SEED = f"""
    WITH made AS (
        INSERT INTO taskmill.schedule (name, spec, task, queue, type)
        SELECT 's' || n, '{{}}', '{{}}', 'q' || n % 10, 't' FROM generate_series(1, {MANY}) AS n
        RETURNING id, substr(name, 2)::integer AS number
    ),
    begun AS (
        INSERT INTO taskmill.schedule_cursor (schedule_id, owner, cursor_at, next_at, paused_at, tz_version)
        SELECT
            id, 'o' || number % 7, now(), now() + (number - 55) * interval '1 minute',
            CASE WHEN number % 10 = 0 THEN now() END, 'x'
        FROM made
    ),
    recorded AS (
        INSERT INTO taskmill.schedule_revision (schedule_id, revision, from_tick, spec, tz_version)
        SELECT id, 1, now(), '{{}}', 'x' FROM made
    )
    INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome, at)
    SELECT id, now() - n * interval '1 day', 'tick', 'refused', now() - n * interval '10 days'
    FROM made CROSS JOIN generate_series(1, 10) AS n WHERE id <= 2000
"""  # noqa: S608 - our own

_MANY_FIRES = """
    INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome)
    SELECT $1, now() - n * interval '1 minute', 'tick', 'skipped_overlap' FROM generate_series(1, 5000) AS n
"""


async def seed(session: Explaining) -> int:
    """Make them, and return the id of one that has fires."""
    await session.connection.execute(_SEED)
    found: int = await session.connection.fetchval("SELECT min(id) FROM taskmill.schedule")
    return found


async def test_firing_reads_what_is_due(stage: Stage) -> None:
    async with explaining(stage.database) as session:
        first = await seed(session)
        rows, plan = await session.fetch("lock_due_schedules", 100)
        assert len(rows) == 50
        check(plan, rows=160, pages=400)
        rows, plan = await session.fetch("lock_due_of_owners", 14)
        assert len(rows) == 14
        check(plan, rows=120, pages=400)
        _, plan = await session.fetch("find_next_tick", 3.0)
        check(plan, rows=2, pages=20)
        ids, moments = [first, first + 1], [rows[0]["moment"]] * 2
        moved = [ids, [1, 1], moments, moments, moments, [None, None], [None, None], ["x", "x"]]
        found, plan = await session.fetch("move_schedules", *moved)
        assert len(found) == 2
        check(plan, rows=10, pages=60)


async def test_reading_schedules_reads_a_page(stage: Stage) -> None:
    async with explaining(stage.database) as session:
        first = await seed(session)
        for name, arguments, most in (
            ("get_schedule", ("s500",), 2),
            ("lock_schedule", ("s500",), 2),
            ("list_schedules", (first + 500, 50, 10**6), 110),
            ("list_schedules_of_queues", (first + 500, 50, 10**6, ["q1", "q2", "none"]), 310),
            ("list_schedule_queues", (), 50),
            ("list_fires", (first, await stage.sql.fetchval("SELECT now()"), 5, None, 10), 10),
            ("find_fires", (first, *await _week(stage)), 15),
            ("list_revisions", (first,), 5),
            ("verify_schedules", (first, 50), 260),
        ):
            rows, plan = await session.fetch(name, *arguments)
            assert rows, name
            check(plan, rows=most, pages=10 * most + 50, name=name)


async def test_reports_read_the_latest_fires(stage: Stage) -> None:
    async with explaining(stage.database) as session:
        first = await seed(session)
        ids = list(range(first, first + 50))
        rows, plan = await session.fetch("list_recent_fires", ids, 4)
        assert len(rows) == 200
        check(plan, rows=260, pages=400)
        today = await session.connection.fetchval("SELECT date_trunc('day', now())")
        begins = [today - timedelta(days=back) for back in range(30)]
        ends = [begin + timedelta(days=1) for begin in begins]
        rows, plan = await session.fetch(
            "count_fires_of_days", first, begins, ends, [100] * len(begins)
        )
        assert sum(row["fires"] for row in rows) == 10
        check(plan, rows=90, pages=300)
        tasks = [await stage.created() for _ in range(3)]
        rows, plan = await session.fetch("list_task_statuses", [task.id for task in tasks])
        assert {row["status"] for row in rows} == {"new"}
        check(plan, rows=20, pages=200)


async def test_what_may_need_attention_is_found_without_reading_all_fires(stage: Stage) -> None:
    async with explaining(stage.database) as session:
        await seed(session)
        await session.connection.execute(
            "UPDATE taskmill.schedule_cursor SET postponed_since = now() - interval '1 h'"
            " WHERE schedule_id % 1000 = 1"
        )
        for queues in (None, ["q1", "q2"]):
            rows, plan = await session.fetch("list_troubled_schedules", 60.0, 10, 500, queues, 20)
            assert len([row for row in rows if not row["is_late"]]) == 20
            check(plan, rows=3_500, pages=6_000, name=str(queues))


async def test_a_day_of_very_many_fires_is_read_up_to_a_limit(stage: Stage) -> None:
    async with explaining(stage.database) as session:
        first = await seed(session)
        await session.connection.execute(
            "INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome)"
            " SELECT $1, now() - n * interval '1 second', 'tick', 'refused'"
            " FROM generate_series(1, 20000) AS n",
            first,
        )
        now = await session.connection.fetchval("SELECT now()")
        arguments = (first, [now - timedelta(hours=3)], [now], [100])
        [row], plan = await session.fetch("count_fires_of_days", *arguments)
        assert row["fires"] == 100
        check(plan, rows=250, pages=300)


async def test_pruning_reads_what_it_deletes(stage: Stage) -> None:
    async with explaining(stage.database) as session:
        await seed(session)
        rows, plan = await session.fetch("prune_fires", 90.0, 50)
        assert len(rows) == 50
        check(plan, rows=300, pages=1000)


async def _week(stage: Stage) -> tuple[object, object]:
    row = await stage.sql.fetchrow("SELECT now() - interval '7 days' AS since, now() AS until")
    assert row is not None
    return row["since"], row["until"]


async def test_a_rare_outcome_is_looked_for_in_a_part_of_the_fires(stage: Stage) -> None:
    async with explaining(stage.database) as session:
        first = await seed(session) + MANY
        await session.connection.execute(_MANY_FIRES, first)
        now = await stage.sql.fetchval("SELECT now()")
        rows, plan = await session.fetch("list_fires", first, now, 5, ["held"], 1_000)
        assert [row["tick"] for row in rows] == [None]
        assert rows[0]["bound"] is not None
        check(plan, rows=3_100, pages=3_100)


async def test_all_of_a_rare_outcome_are_found_part_by_part(stage: Stage) -> None:
    await stage.sql.execute(_MANY_FIRES, 1)
    await stage.sql.execute(
        "UPDATE taskmill.schedule_fire SET outcome = 'held' "
        "WHERE tick = (SELECT min(tick) FROM taskmill.schedule_fire)"
    )
    found: list[Fire] = []
    before, parts = await stage.sql.fetchval("SELECT now()"), 0
    while before is not None:
        part = await schedules.fires(
            stage.database,
            1,
            before=before,
            limit=2,
            outcomes={FireOutcome.HELD},
            most_read=700,
        )
        before, parts = part.next_before, parts + 1
        found += part
    assert (len(found), parts) == (1, 8)
