"""The statements on deliveries cost what they take, however many wait and however many endpoints there are."""

from uuid import UUID

import pytest

from taskmill.storage.webhook_deliveries import LAST_ID
from tests.support.plans import check, explaining
from tests.support.stage import Stage

ENDPOINTS = 100
# Of the 100 endpoints, the first half has nothing due. Some of each have ended.
SEED = """
    INSERT INTO taskmill.webhook_delivery (
        endpoint, webhook_id, task_id, version, position, ordinal, state, give_up_at, next_at, finished_at
    )
    SELECT
        'webhook:' || hook, hook::uuid, hook::uuid, 1, n, 1,
        CASE WHEN n % 3 = 0 THEN 'delivered' ELSE 'pending' END,
        now() + interval '1 day',
        now() + CASE WHEN n % 100 < 50 THEN interval '1 h' ELSE interval '-1 s' END,
        CASE WHEN n % 3 = 0 THEN now() - interval '10 days' END
    FROM generate_series(1, 30000) AS n,
        LATERAL (SELECT '01970000-0000-7000-8000-' || lpad((n % 100)::text, 12, '0')) AS h (hook)
"""
HOOK = UUID(f"01970000-0000-7000-8000-{ENDPOINTS - 1:012}")


async def seed(stage: Stage, *, is_analysed: bool) -> None:
    await stage.sql.execute(SEED)
    await stage.sql.execute(
        "INSERT INTO taskmill.webhook (id, url, queues, types, statuses, secrets, state, since_position) "
        "SELECT DISTINCT webhook_id, 'http://a/', '{}'::text[], '{}'::text[], '{}'::text[], "
        "'{}'::text[], 'enabled', 0 FROM taskmill.webhook_delivery"
    )
    if is_analysed:
        await stage.sql.execute("ANALYZE taskmill.webhook_delivery, taskmill.webhook")


@pytest.mark.parametrize("is_analysed", [False, True])
async def test_endpoints_are_scanned_in_steps(stage: Stage, *, is_analysed: bool) -> None:
    await seed(stage, is_analysed=is_analysed)
    async with explaining(stage.database) as session:
        found, plan = await session.fetch("find_due_endpoints", "", 500, 2000)
        assert len(found) == ENDPOINTS // 2
        check(plan, rows=6 * ENDPOINTS, pages=20 * ENDPOINTS)
        # After the first few none is due: the scan ends at its limit.
        [*some, end], plan = await session.fetch("find_due_endpoints", "", 500, 30)
        assert (some, end["is_due"], end["is_end"]) == ([], False, True)
        check(plan, rows=6 * 30, pages=20 * 30)
        [backlog], plan = await session.fetch("read_delivery_backlog", 1000, ENDPOINTS, 60)
        assert backlog["waiting"] == 1000
        assert backlog["late_s"] > 0
        check(plan, rows=1000 + 8 * ENDPOINTS, pages=1000 + 20 * ENDPOINTS)


@pytest.mark.parametrize("is_analysed", [False, True])
async def test_deliveries_are_found_by_endpoint_and_webhook(
    stage: Stage, *, is_analysed: bool
) -> None:
    await seed(stage, is_analysed=is_analysed)
    async with explaining(stage.database) as session:
        found, _ = await session.fetch("find_due_endpoints", "", 500, 2000)
        endpoints = [row["endpoint"] for row in found[:10]]
        taken, plan = await session.fetch("claim_deliveries", endpoints, [2] * 10, 20.0)
        assert len(taken) == 20
        check(plan, rows=120, pages=1500)
        ids = [row["id"] for row in taken]
        _, plan = await session.fetch(
            "record_deliveries",
            *(ids, [1] * 20, ["delivered"] * 20, [0.0] * 20, [200] * 20, ["x"] * 20),
        )
        check(plan, rows=60, pages=1500)
        for states in (["failed"], ["delivered"], ["pending", "delivered", "failed"]):
            _, plan = await session.fetch(
                "list_webhook_deliveries", HOOK, LAST_ID, states, 50, None
            )
            check(plan, rows=300, pages=250)
        hooks = [UUID(f"01970000-0000-7000-8000-{n:012}") for n in range(50)]
        for queues in (None, ["mail"]):
            backlogs, plan = await session.fetch("read_webhook_backlogs", hooks, 1, queues, 20)
            assert len(backlogs) == len(hooks)
            each = 3 * len(hooks) * (1 if queues is None else 20)
            check(plan, rows=2 * each, pages=12 * each)
        _, plan = await session.fetch("list_callback_deliveries", HOOK, 50)
        check(plan, rows=10, pages=10)
        pruned, plan = await session.fetch("prune_deliveries", 7.0, 50)
        assert len(pruned) == 50
        check(plan, rows=220, pages=900)
        needs_key = True
        _, plan = await session.fetch("give_up_deliveries", 50, [], needs_key, 60.0)
        check(plan, rows=10, pages=10)
        _, plan = await session.fetch("resend_delivery", ids[0], taken[0]["webhook_id"], 60.0)
        check(plan, rows=10, pages=100)


async def test_fanning_out_reads_nothing_but_its_changes(stage: Stage) -> None:
    tasks = [await stage.created() for _ in range(30)]
    await stage.sql.execute(
        "INSERT INTO taskmill.webhook (id, url, queues, types, statuses, secrets, state, since_position) "
        "SELECT gen_random_uuid(), 'http://a/', '{}'::text[], '{}'::text[], '{new}', '{}'::text[], "
        "'enabled', 0 FROM generate_series(1, 5)"
    )
    holder = stage.ids()
    await stage.sql.execute("UPDATE taskmill.feed_delivery SET holder = $1", holder)
    async with explaining(stage.database) as session:
        [row], plan = await session.fetch(
            "fan_out_changes",
            *(holder, 15.0, 10, 1, list(range(1, 11)), [1] * 10),
            *([task.id for task in tasks[:10]], [1] * 10, ["succeeded"], 60.0),
        )
        assert row["deliveries"] == 50
        check(plan, rows=150, pages=3000)
