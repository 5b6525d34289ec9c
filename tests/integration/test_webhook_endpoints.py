"""Many endpoints: all are scanned, and none that is dead or forbidden takes the time of the others."""

import asyncio
from collections import Counter
from datetime import timedelta

from taskmill.storage import tasks, webhook_deliveries
from taskmill.storage.tasks import NewTask
from tests.support.builders import a_draft
from tests.support.endpoint import an_endpoint, came, never
from tests.support.feed import a_numbering, all_numbered
from tests.support.polling import eventually
from tests.support.stage import Stage
from tests.support.webhooks import RoleOptions, a_webhooks_role, deliveries, subscribed


async def test_what_waits_for_a_private_address_is_not_tried_over_and_over(stage: Stage) -> None:
    async with a_webhooks_role(stage, RoleOptions(allow=())):
        await subscribed(stage, "http://127.0.0.1:1/")
        await finish_at_once(stage, ["q"] * 200)

        async def are_made() -> bool:
            return len(await deliveries(stage.sql)) == 200

        await eventually(are_made, "the deliveries")
        # By now each of 200 would have been tried several times; it pauses for 1 s after the first.
        await stage.sql.execute("SELECT pg_sleep(0.8)")
        assert sum(row["attempts"] for row in await deliveries(stage.sql)) <= 3


async def test_buckets_are_scanned_some_at_a_time_and_none_is_skipped(stage: Stage) -> None:
    """Of 100 endpoints every seventh has something due."""
    await stage.sql.execute(
        "INSERT INTO taskmill.webhook_delivery (endpoint, give_up_at, next_at) "
        "SELECT 'callback:' || lpad(n::text, 3, '0'), now() + interval '1 day', "
        "now() + CASE WHEN n % 7 = 0 THEN interval '-1 s' ELSE interval '1 h' END "
        "FROM generate_series(1, 100) AS n"
    )
    for limit, scan_limit in (
        (500, 2000),
        (500, 100),
        (500, 10),
        (500, 1),
        (3, 2000),
        (3, 10),
        (1, 7),
    ):
        found, after = [], ""
        while True:
            some, after = await webhook_deliveries.find_due(
                stage.database, after, limit, scan_limit=scan_limit
            )
            found += some
            if not after:
                break
        assert found == [f"callback:{n:03}" for n in range(7, 101, 7)], (limit, scan_limit)


async def finish_at_once(stage: Stage, queues: list[str]) -> None:
    """Store one task for each name of a queue, ended already, with their changes."""
    ids = [stage.ids() for _ in queues]
    now = stage.clock.now()
    new = [
        NewTask(
            id=task_id,
            created_at=now,
            run_at=now,
            draft=a_draft(queue=queue),
            key_expires_at=now + timedelta(days=1),
        )
        for task_id, queue in zip(ids, queues, strict=True)
    ]
    async with stage.database.hot() as connection:
        for start in range(0, len(new), 1000):
            await tasks.insert(connection, new[start : start + 1000])
    for start in range(0, len(ids), 1000):
        await stage.database.fetch("cancel_waiting_tasks", ids[start : start + 1000], "a test")


async def test_ten_thousand_tasks_reach_nineteen_endpoints_while_one_is_dead(stage: Stage) -> None:
    """20 webhooks of a queue each, 500 tasks a queue; one endpoint never responds."""
    queues = [f"q{number % 20}" for number in range(10_000)]
    for name in set(queues):
        await stage.created(queue=name)
    async with a_numbering(stage.database):
        await all_numbered(stage)
    options = RoleOptions(timeout_s=2.0, concurrency=100)
    loop = asyncio.get_running_loop()
    async with an_endpoint() as well, an_endpoint(never) as dead:
        for number in range(20):
            url = dead.url if number == 0 else f"{well.url}/{number}"
            await subscribed(stage, url, queues=(f"q{number}",))
        await finish_at_once(stage, queues)
        async with a_numbering(stage.database):
            await all_numbered(stage)
        began = loop.time()
        async with a_webhooks_role(stage, options):
            await came(well, 19 * 500, timeout_s=90)
            took_s = loop.time() - began
        assert Counter(one.path for one in well.received) == {f"/{n}": 500 for n in range(1, 20)}
        assert len(set(well.ids)) == 9500
        assert 0 < len(dead.received) < 20, "it is tried now and then, and paused in between"
        assert took_s < 60
