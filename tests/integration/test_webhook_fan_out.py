"""Which deliveries are created from which changes: none is missed, none is created twice."""

import asyncio
import random
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.feed import Cursor
from taskmill.domain.lifecycle import ErrorInfo, Permanent, Status, Succeeded
from taskmill.domain.webhooks import WebhookState
from taskmill.maintenance.deliveries import delivery_duties
from taskmill.storage import changes, cursor_leases, webhook_deliveries, webhooks
from taskmill.storage.cursor_leases import CursorLease
from taskmill.storage.statements import statement
from taskmill.webhooks.fan_out import FanOut
from tests.support.api import LogLines
from tests.support.feed import a_numbering, all_numbered
from tests.support.polling import eventually
from tests.support.stage import Stage, a_webhooks
from tests.support.webhooks import deliveries, done, subscribed

URL = "https://example.org/hooks"


def a_fan_out(stage: Stage) -> FanOut:
    return FanOut(
        stage.database,
        holder=stage.ids(),
        clock=stage.clock,
        give_up_s=60,
        wake=lambda: None,
    )


async def fanned_out(stage: Stage) -> list[asyncpg.Record]:
    """Run the service until it has seen all changes there are, and return all deliveries."""
    stop = asyncio.Event()

    async def is_done() -> bool:
        bounds = await changes.bounds(stage.database)
        row = await stage.sql.fetchrow(
            "SELECT position, ordinal FROM taskmill.feed_delivery WHERE follower = 'webhooks'"
        )
        assert row is not None
        return bounds.latest is None or (row["position"], row["ordinal"]) >= bounds.latest

    async with a_numbering(stage.database), asyncio.TaskGroup() as group:
        await all_numbered(stage)
        group.create_task(a_fan_out(stage).run(stop))
        await eventually(is_done, "all changes to be seen")
        stop.set()
    return await deliveries(stage.sql)


def changes_of(rows: Sequence[asyncpg.Record]) -> list[tuple[UUID, int]]:
    return [(row["task_id"], row["version"]) for row in rows]


async def test_a_webhook_gets_what_ends_from_now_on(stage: Stage) -> None:
    await done(stage)
    async with a_numbering(stage.database):
        await all_numbered(stage)
    webhook, _ = await subscribed(stage, URL)
    second = await done(stage)
    assert changes_of(await fanned_out(stage)) == [(second.id, 3)]
    [row] = await deliveries(stage.sql, webhook.id)
    assert row["endpoint"] == f"webhook:{webhook.id}"


@pytest.mark.parametrize("has_ended", [False, True])
async def test_a_webhook_for_what_begins_gets_claims(stage: Stage, *, has_ended: bool) -> None:
    """Also one that has ended before it is read; the history has no row for it, neither then nor before."""
    await subscribed(stage, URL, statuses=(Status.IN_PROGRESS,))
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id)
    if has_ended:
        await stage.end(taken, lease_id, Succeeded())
    assert changes_of(await fanned_out(stage)) == [(taken.task.id, 2)]


async def test_changes_from_before_a_webhook_are_not_delivered_though_they_are_read_later(
    stage: Stage,
) -> None:
    """The role may be far behind when somebody subscribes."""
    await done(stage)
    async with a_numbering(stage.database):
        await all_numbered(stage)
    await subscribed(stage, URL)
    assert await fanned_out(stage) == []


async def test_filters_are_applied(stage: Stage) -> None:
    wanted = {
        "queue": await subscribed(stage, URL, queues=("b", "c")),
        "type": await subscribed(stage, URL, types=("other",)),
        "status": await subscribed(stage, URL, statuses=(Status.FAILED,)),
        "moves": await subscribed(stage, URL, statuses=(Status.NEW, Status.IN_PROGRESS)),
        "all": await subscribed(stage, URL),
        "none": await subscribed(stage, URL, queues=("b",), types=("other",)),
    }
    one, two = await done(stage, queue="a", type="other"), await done(stage, queue="b")
    lease_id = await stage.open_lease()
    failing = await stage.running(lease_id, queue="c")
    permanent = Permanent(error=ErrorInfo(type="X", message="x"))
    await stage.end(failing, lease_id, permanent)
    three = failing.task
    await fanned_out(stage)

    async def of(name: str) -> list[tuple[UUID, int]]:
        return sorted(changes_of(await deliveries(stage.sql, wanted[name][0].id)))

    assert await of("queue") == sorted([(two.id, 3), (three.id, 3)])
    assert await of("type") == [(one.id, 3)]
    assert await of("status") == [(three.id, 3)]
    assert await of("moves") == sorted((t.id, v) for t in (one, two, three) for v in (1, 2))
    assert await of("all") == sorted((t.id, 3) for t in (one, two, three))
    assert await of("none") == []


async def test_a_callback_is_made_each_time_that_its_task_ends(stage: Stage) -> None:
    task = await done(stage, callback_url="https://example.org:8443/done?x=1")
    await done(stage)
    waiting = await stage.created(callback_url=URL)
    [row] = await fanned_out(stage)
    assert (row["task_id"], row["version"], row["webhook_id"]) == (task.id, 3, None)
    assert row["endpoint"] == "callback:https://example.org:8443"
    await stage.service.retry(task.id)
    await stage.service.cancel(task.id)
    await stage.service.cancel(waiting.id)
    assert sorted(changes_of(await fanned_out(stage))) == sorted(
        [(task.id, 3), (task.id, 5), (waiting.id, 2)]
    )


async def test_a_callback_that_came_over_sql_is_made_too(stage: Stage) -> None:
    query = "SELECT taskmill.create_task('a task', callback_url => $1)"
    task_id = await stage.sql.fetchval(query, URL)
    await stage.service.cancel(task_id)
    [row] = await fanned_out(stage)
    assert (row["task_id"], row["version"]) == (task_id, 2)
    assert row["endpoint"] == "callback:https://example.org:443"


async def test_a_paused_webhook_gets_changes_later_and_a_disabled_one_never(stage: Stage) -> None:
    subscriptions = a_webhooks(stage.database, stage.ids)
    paused, _ = await subscribed(stage, URL, state=WebhookState.PAUSED)
    disabled, _ = await subscribed(stage, URL)
    deleted, _ = await subscribed(stage, URL)
    assert await webhooks.disable(stage.database, disabled.id, "gone")
    assert not await webhooks.disable(stage.database, disabled.id, "gone"), "it was"
    await subscriptions.delete(deleted.id)
    task = await done(stage)
    rows = await fanned_out(stage)
    assert [(row["webhook_id"], row["task_id"]) for row in rows] == [(paused.id, task.id)]
    assert await webhook_deliveries.find_due(stage.database, "", 10) == ([], "")
    # Enabled again, both go on: the disabled one with what comes now.
    for one in (paused, disabled):
        await subscriptions.change(one.id, {"state": WebhookState.ENABLED}, rotates_secret=False)
    later = await done(stage)
    rows = await fanned_out(stage)
    assert [row["task_id"] for row in rows if row["webhook_id"] == disabled.id] == [later.id]
    assert len((await webhook_deliveries.find_due(stage.database, "", 10)).endpoints) == 2


async def test_two_processes_make_each_delivery_once(stage: Stage) -> None:
    await subscribed(stage, URL)
    stops = [asyncio.Event() for _ in range(4)]
    async with a_numbering(stage.database), asyncio.TaskGroup() as group:
        tasks = []
        for stop in stops:
            group.create_task(a_fan_out(stage).run(stop))
        for number in range(20):
            tasks.append(await done(stage))
            if number % 5 == 4:
                stops[number // 5].set()
                group.create_task(a_fan_out(stage).run(stop := asyncio.Event()))
                stops.append(stop)

        async def all_made() -> bool:
            return len(await deliveries(stage.sql)) >= len(tasks)

        await eventually(all_made, "all deliveries")
        for stop in stops:
            stop.set()
    rows = await deliveries(stage.sql)
    assert sorted(changes_of(rows)) == sorted((task.id, 3) for task in tasks)


async def test_without_the_cursor_lease_no_delivery_is_made(stage: Stage) -> None:
    await subscribed(stage, URL)
    await done(stage)
    async with a_numbering(stage.database):
        await all_numbered(stage)
    mine, others = (
        CursorLease(webhook_deliveries.DESTINATION, stage.ids(), 60.0) for _ in range(2)
    )
    begin = await cursor_leases.take(stage.database, mine)
    assert begin is not None
    pairs, cursor, _ = await changes.read_pairs(stage.database, begin, 100)
    await stage.sql.execute("UPDATE taskmill.feed_delivery SET expires_at = now() - interval '1 s'")
    assert await cursor_leases.take(stage.database, others) == begin
    made = await webhook_deliveries.fan_out(stage.database, mine, cursor, pairs, give_up_s=60)
    assert made is None
    assert await deliveries(stage.sql) == []
    made = await webhook_deliveries.fan_out(stage.database, others, cursor, pairs, give_up_s=60)
    assert made == 1
    assert await cursor_leases.take(stage.database, others) == cursor


async def test_a_process_that_waits_for_the_cursor_lease_only_reads(stage: Stage) -> None:
    mine, others = (
        CursorLease(webhook_deliveries.DESTINATION, stage.ids(), 60.0) for _ in range(2)
    )
    assert await cursor_leases.take(stage.database, mine) is not None
    async with stage.sql.transaction():
        # Who wants to write waits for this lock.
        await stage.sql.execute("SELECT FROM taskmill.feed_delivery FOR UPDATE")
        async with asyncio.timeout(1):
            assert await cursor_leases.take(stage.database, others) is None


async def test_a_crash_in_the_middle_leaves_all_or_nothing(stage: Stage) -> None:
    """The statement is cut off at random moments, again and again, and goes on where it stopped."""
    await subscribed(stage, URL)
    tasks = [await done(stage) for _ in range(30)]
    async with a_numbering(stage.database):
        await all_numbered(stage)
    lease = CursorLease(webhook_deliveries.DESTINATION, stage.ids(), 60.0)
    randomness = random.Random(7)  # noqa: S311 - repeatable
    longest_s = 0.04
    for _ in range(200):
        cursor = await cursor_leases.take(stage.database, lease)
        assert cursor is not None
        pairs, behind, is_last = await changes.read_pairs(stage.database, cursor, 5)
        if is_last and not pairs:
            break
        try:
            async with asyncio.timeout(randomness.uniform(0, longest_s)):
                await webhook_deliveries.fan_out(stage.database, lease, behind, pairs, give_up_s=60)
        except TimeoutError:
            longest_s *= 1.05  # on a busy machine the statement takes longer than that
    else:
        pytest.fail("it never came to its end")
    rows = await deliveries(stage.sql)
    assert sorted(changes_of(rows)) == sorted((task.id, 3) for task in tasks)


async def test_what_was_pruned_is_skipped_and_logged(stage: Stage, log_lines: LogLines) -> None:
    await subscribed(stage, URL)
    await done(stage)
    async with a_numbering(stage.database):
        await all_numbered(stage)
    await stage.sql.execute("DELETE FROM taskmill.change_batch WHERE position <= 2")
    later = await done(stage)
    assert (later.id, 3) in changes_of(await fanned_out(stage))
    assert log_lines.named("webhooks.skipped")


async def test_no_task_is_read_while_nobody_listens(stage: Stage) -> None:
    tasks = [await done(stage) for _ in range(3)]
    async with a_numbering(stage.database):
        await all_numbered(stage)
    pairs, cursor, _ = await changes.read_pairs(stage.database, Cursor(0, 0), 100)
    assert len(pairs) == 3 * len(tasks)
    lease = CursorLease(webhook_deliveries.DESTINATION, stage.ids(), 60.0)
    await cursor_leases.take(stage.database, lease)
    scans = """
        SELECT coalesce(sum(idx_scan), 0)::bigint FROM pg_stat_xact_user_tables
        WHERE schemaname = 'taskmill' AND (relname LIKE 'task_2%' OR relname LIKE 'task_event%')
    """
    async with stage.database.hot_transaction() as connection:
        before = await connection.fetchval(scans)
        columns = list(map(list, zip(*pairs, strict=True)))
        await connection.fetch(
            statement("fan_out_changes"),
            lease.holder,
            60.0,
            *cursor,
            *columns,
            ["succeeded", "failed", "cancelled"],
            60.0,
        )
        assert await connection.fetchval(scans) == before


async def prune(stage: Stage) -> bool:
    """Run a round of each duty that prunes; True when there is more to prune at once."""
    return any([await duty() for duty in delivery_duties(stage.maintenance_database, 7).values()])


async def test_callbacks_go_with_their_tasks(stage: Stage) -> None:
    task = await done(stage, callback_url=URL)
    await stage.sql.execute(
        "INSERT INTO taskmill.task_callback VALUES ('00000000-0000-7000-8000-000000000001', $1, 'x')",
        URL,
    )
    assert not await prune(stage)
    rows = await stage.sql.fetch("SELECT task_id FROM taskmill.task_callback")
    assert [row["task_id"] for row in rows] == [task.id]


async def test_old_deliveries_are_pruned_and_young_or_pending_ones_stay(stage: Stage) -> None:
    webhook, _ = await subscribed(stage, URL)
    for _ in range(3):
        await done(stage)
    first, second, third = [row["id"] for row in await fanned_out(stage)]
    await stage.sql.execute(
        "UPDATE taskmill.webhook_delivery SET state = 'delivered', "
        "finished_at = now() - CASE WHEN id = $1 THEN interval '8 days' ELSE interval '6 days' END "
        "WHERE id <> $2",
        first,
        third,
    )
    await prune(stage)
    assert [row["id"] for row in await deliveries(stage.sql)] == [second, third]
    await a_webhooks(stage.database).delete(webhook.id)
    await prune(stage)
    await prune(stage)
    assert await deliveries(stage.sql) == []
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.webhook") == 0


async def test_a_task_and_its_callback_are_stored_together(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, callback_url=URL)
    assert await stage.sql.fetchval("SELECT url FROM taskmill.task_callback") == URL
    await stage.end(taken, lease_id, Succeeded())
