"""While nobody gets changes, they are skipped unread; a webhook that is created in between misses nothing."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from taskmill.domain.feed import Cursor
from taskmill.domain.webhooks import WebhookDraft, WebhookState
from taskmill.storage import changes, cursor_leases, webhook_deliveries, webhooks
from taskmill.storage.cursor_leases import CursorLease
from taskmill.storage.database import Database
from tests.support.builders import a_draft
from tests.support.feed import a_numbering, all_numbered
from tests.support.one_session import Session
from tests.support.plans import explaining
from tests.support.polling import eventually
from tests.support.stage import Stage, a_creation, a_webhooks
from tests.support.webhooks import a_webhooks_role, deliveries, done, subscribed

URL = "https://example.org/hooks"


async def numbered(stage: Stage) -> Cursor:
    """Number all changes, and return the end of the feed."""
    async with a_numbering(stage.database):
        await all_numbered(stage)
    latest = (await changes.bounds(stage.database)).latest
    assert latest is not None
    return latest


async def a_cursor_lease(stage: Stage) -> CursorLease:
    lease = CursorLease(webhook_deliveries.DESTINATION, stage.ids(), 60.0)
    assert await cursor_leases.take(stage.database, lease) is not None
    return lease


async def cursor(stage: Stage) -> Cursor:
    row = await stage.sql.fetchrow(
        "SELECT position, ordinal FROM taskmill.feed_delivery WHERE follower = 'webhooks'"
    )
    assert row is not None
    return Cursor(*row)


@asynccontextmanager
async def a_session(stage: Stage) -> AsyncIterator[Session]:
    """A session with a transaction open, which commits at the end."""
    connection = await stage.database.connect()
    try:
        async with connection.transaction():
            yield Session(connection)
    finally:
        await connection.close()


async def fanned_out(stage: Stage, lease: CursorLease) -> list[tuple[UUID, int]]:
    """Make the deliveries of all that follows the cursor."""
    await numbered(stage)
    pairs, behind, _ = await changes.read_pairs(stage.database, await cursor(stage), 1000)
    await webhook_deliveries.fan_out(stage.database, lease, behind, pairs, give_up_s=60)
    return [(row["task_id"], row["version"]) for row in await deliveries(stage.sql)]


async def test_all_is_skipped_in_one_statement_while_nobody_follows(stage: Stage) -> None:
    lease = await a_cursor_lease(stage)
    assert await webhook_deliveries.skip_changes(stage.database, lease) == (
        False,
        Cursor(0, 0),
        False,
    )
    for _ in range(3):
        await done(stage)
    end = await numbered(stage)
    assert await webhook_deliveries.skip_changes(stage.database, lease) == (False, end, True)
    assert await cursor(stage) == end
    assert await webhook_deliveries.skip_changes(stage.database, lease) == (False, end, False)


async def test_nothing_is_skipped_once_anybody_follows(stage: Stage) -> None:
    lease, subscriptions = await a_cursor_lease(stage), a_webhooks(stage.database, stage.ids)
    webhook, _ = await subscribed(stage, URL)
    await done(stage)
    end = await numbered(stage)
    for state in (WebhookState.ENABLED, WebhookState.PAUSED):
        await subscriptions.change(webhook.id, {"state": state}, rotates_secret=False)
        skipped = await webhook_deliveries.skip_changes(stage.database, lease)
        assert skipped == (True, end, False)
    await subscriptions.delete(webhook.id)
    assert (await webhook_deliveries.skip_changes(stage.database, lease)).has_moved
    task = await stage.created(callback_url=URL)
    await numbered(stage)
    skipped = await webhook_deliveries.skip_changes(stage.database, lease)
    assert (skipped.is_followed, skipped.has_moved) == (True, False)
    await stage.service.cancel(task.id)
    assert await fanned_out(stage, lease) == [(task.id, 2)]


async def test_without_the_cursor_lease_nothing_is_skipped(stage: Stage) -> None:
    lease = await a_cursor_lease(stage)
    await done(stage)
    end = await numbered(stage)
    await stage.sql.execute("UPDATE taskmill.feed_delivery SET expires_at = now() - interval '1 s'")
    await a_cursor_lease(stage)
    assert await webhook_deliveries.skip_changes(stage.database, lease) == (False, end, False)
    assert await cursor(stage) == Cursor(0, 0)


async def test_a_cursor_beyond_the_feed_stays(stage: Stage) -> None:
    """After a failover that lost positions."""
    lease = await a_cursor_lease(stage)
    await done(stage)
    end = await numbered(stage)
    await cursor_leases.move(stage.database, lease, Cursor(end.position + 5, 1))
    assert not (await webhook_deliveries.skip_changes(stage.database, lease)).has_moved


@pytest.mark.parametrize("first", ["subscribes", "skips"])
async def test_a_webhook_that_is_made_meanwhile_gets_all_from_its_commit_on(
    stage: Stage, first: str
) -> None:
    lease, later = await a_cursor_lease(stage), []
    await done(stage)
    await numbered(stage)
    async with a_session(stage) as session:
        if first == "subscribes":
            await subscribe(stage, session)
            await done(stage)
            end = await numbered(stage)
            assert (await webhook_deliveries.skip_changes(stage.database, lease)).latest == end
        else:
            assert (await webhook_deliveries.skip_changes(session, lease)).has_moved
            await subscribe(stage, stage.database)
            later = [await done(stage)]
            await numbered(stage)
    if first == "subscribes":
        later = [await done(stage)]
    assert (await webhook_deliveries.skip_changes(stage.database, lease)).is_followed
    assert await fanned_out(stage, lease) == [(task.id, 3) for task in later]


async def subscribe(stage: Stage, database: Database) -> None:
    draft = WebhookDraft(url=URL)
    await webhooks.create(database, stage.ids(), draft, secret="x", limit=10)  # noqa: S106


@pytest.mark.parametrize("first", ["creates", "skips"])
async def test_a_callback_that_is_made_meanwhile_is_called(stage: Stage, first: str) -> None:
    lease = await a_cursor_lease(stage)
    await done(stage)
    await numbered(stage)
    async with a_session(stage) as session:
        if first == "creates":
            creation = a_creation(session, stage.clock, stage.ids)
            [made] = await creation.store_each(creation.with_ids([a_draft(callback_url=URL)]))
            await done(stage)
            end = await numbered(stage)
            assert await webhook_deliveries.skip_changes(stage.database, lease) == (
                False,
                end,
                True,
            )
        else:
            assert (await webhook_deliveries.skip_changes(session, lease)).has_moved
            [made] = await stage.creation.create_all([a_draft(callback_url=URL)])
            await stage.service.cancel(made.task.id)
            await numbered(stage)
    assert not isinstance(made, Exception)
    if first == "creates":
        await stage.service.cancel(made.task.id)
    assert (await webhook_deliveries.skip_changes(stage.database, lease)).is_followed
    assert await fanned_out(stage, lease) == [(made.task.id, 2)]


async def test_no_callback_is_missed_while_skipping_and_following_alternate(
    stage: Stage,
) -> None:
    chance, stop = random.Random(5), asyncio.Event()  # noqa: S311 - repeatable

    async def others() -> None:
        while not stop.is_set():
            await stage.creation.create_all([a_draft() for _ in range(3)])

    async with a_webhooks_role(stage), asyncio.TaskGroup() as group:
        group.create_task(others())
        for _ in range(15):
            await asyncio.sleep(chance.uniform(0, 0.05))
            [made] = await stage.creation.create_all([a_draft(callback_url=URL)])
            await stage.service.cancel(made.task.id)
            task_id = made.task.id

            async def is_made(task_id: UUID = task_id) -> bool:
                return any(row["task_id"] == task_id for row in await deliveries(stage.sql))

            await eventually(is_made, "the delivery of the callback", timeout_s=30)
            await stage.sql.execute("DELETE FROM taskmill.task_callback")
        stop.set()


async def test_skipping_costs_the_same_however_much_it_is(stage: Stage) -> None:
    lease = await a_cursor_lease(stage)
    await stage.sql.execute(
        "INSERT INTO taskmill.change_batch (task_ids, versions, position) "
        "SELECT ARRAY[gen_random_uuid()], ARRAY[1], n FROM generate_series(1, 5000) AS n"
    )
    async with explaining(stage.database) as session:
        [row], plan = await session.fetch("skip_changes", lease.holder, lease.hold_s)
        assert row["has_moved"]
        assert plan.faults == []
        assert plan.rows_read <= 10
        assert plan.pages <= 60
