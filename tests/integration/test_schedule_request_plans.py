"""What requests of SQL, declarations and ticks of handlers cost, however many schedules and fires there are."""

from uuid import uuid4

from tests.support.plans import Explaining, check, explaining
from tests.support.stage import Stage

MANY = 20_000
# Every hundredth is managed, and every tenth request is refused.
_SEED = f"""
    WITH made AS (
        INSERT INTO taskmill.schedule (name, spec, task, queue, type, managed_by)
        SELECT 's' || n, '{{}}', '{{}}', 'q', 't', CASE WHEN n % 100 = 0 THEN 'app' || n % 1000 END
        FROM generate_series(1, {MANY}) AS n
    )
    INSERT INTO taskmill.schedule_request (name, body, queue, type, asked_by, asked_at, problem)
    SELECT
        's' || n * 2, '{{}}', 'q', 't', 'shop', now(), CASE WHEN n % 10 > 0 THEN '{{}}'::json END
    FROM generate_series({MANY} / 2 - 1000, {MANY} / 2 + 1000) AS n
"""  # noqa: S608 - our own


async def seed(session: Explaining) -> None:
    await session.connection.execute(_SEED)


async def test_requests_are_found_by_their_names_and_by_what_is_open(stage: Stage) -> None:
    async with explaining(stage.database) as session:
        await seed(session)
        for name, arguments, found in (
            ("list_open_schedule_requests", (0, 50), 50),
            ("find_schedule_requests", (["s20000", "s2", "none"],), 1),
            ("take_schedule_request", ("s20000", 1001, False), 1),
            ("supersede_schedule_request", ("s19998", True, True), 1),
            ("refuse_schedule_request", ("s19996", 999, "{}", False), 1),
            ("prune_schedule_requests", (-1.0, 50), 50),
        ):
            rows, plan = await session.fetch(name, *arguments)
            assert len(rows) == found, name
            check(plan, rows=10 * found + 10, pages=40 * found + 60, name=name)


async def test_what_an_app_manages_is_found_by_its_name(stage: Stage) -> None:
    async with explaining(stage.database) as session:
        await seed(session)
        rows, plan = await session.fetch("list_managed_schedules", "app100")
        assert len(rows) == MANY // 1000
        check(plan, rows=50, pages=100)
        rows, plan = await session.fetch("find_undeclared_schedules", [1, 2, 3])
        check(plan, rows=10, pages=30)


async def test_the_tick_of_a_handlers_task_is_found_by_the_task(stage: Stage) -> None:
    """The one before is near, whatever else the schedule has."""
    task_id = uuid4()
    async with explaining(stage.database) as session:
        await session.connection.execute(
            "INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome, task_id)"
            " SELECT n % 2, now() - n * interval '1 minute', 'tick', 'created',"
            " CASE WHEN n = 5 THEN $1::uuid ELSE gen_random_uuid() END"
            " FROM generate_series(1, 20000) AS n",
            task_id,
        )
        [row], plan = await session.fetch("find_scheduled_tick", task_id)
        assert (row["tick"] - row["previous_tick"]).total_seconds() == 120
        check(plan, rows=10, pages=40)
