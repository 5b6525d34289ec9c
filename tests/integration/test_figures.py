"""The whole system's figures: what is read, how often, and the effect of an outage."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain import identity
from taskmill.domain.errors import Unavailable
from taskmill.domain.feed import Cursor
from taskmill.domain.figures import DeliveryFigures, QueueFigures, SystemFigures
from taskmill.domain.lifecycle import Status, Succeeded
from taskmill.domain.webhooks import WebhookDraft, WebhookState
from taskmill.observability.kinds import KINDS
from taskmill.observability.metrics import exposition
from taskmill.observability.system import system_metrics
from taskmill.operations.figures import FiguresCache
from taskmill.settings import DatabaseSettings
from taskmill.storage import changes, cursor_leases, figures
from taskmill.storage.cursor_leases import CursorLease
from taskmill.storage.database import Database
from tests.support.api import Served, serving
from tests.support.builders import a_draft
from tests.support.exposition import Page
from tests.support.plans import explaining
from tests.support.refusals import refused_message, store_refused
from tests.support.stage import Stage, a_creation, a_webhooks

# Created a minute earlier as well, by the time in their ids.
BACK_BY_A_MINUTE = """
UPDATE taskmill.dispatch SET
    run_at = run_at - interval '1 minute',
    task_id = (
        lpad(to_hex(('x' || left(replace(task_id::text, '-', ''), 12))::bit(48)::bigint - 60000), 12, '0')
        || substr(replace(task_id::text, '-', ''), 13)
    )::uuid
"""


async def queues(stage: Stage) -> Mapping[str, QueueFigures]:
    return {queue.name: queue for queue in (await figures.read(stage.database)).queues}


async def test_a_queue_has_its_tasks_by_status(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, queue="q")
    await stage.running(lease, queue="q")
    await stage.created(queue="q")
    await stage.end(taken, lease, Succeeded())
    values = (await queues(stage))["q"]
    assert values.counts == {Status.NEW: 1, Status.IN_PROGRESS: 1, Status.SUCCEEDED: 1}


async def test_a_queue_has_the_age_of_its_oldest_due_task_unless_it_is_paused(stage: Stage) -> None:
    for name in ("late", "paused", "later"):
        await stage.created(queue=name)
    await stage.sql.execute(BACK_BY_A_MINUTE)
    await stage.sql.execute(
        "UPDATE taskmill.dispatch SET run_at = now() + interval '1 hour' WHERE queue = 'later'"
    )
    await stage.service.set_queue_paused("paused", paused=True)
    values = await queues(stage)
    assert 60 <= values["late"].oldest_due_s < 90
    assert (values["paused"].oldest_due_s, values["paused"].is_paused) == (0, True)
    assert (values["later"].oldest_due_s, values["later"].is_paused) == (0, False)


async def test_due_types_without_a_live_worker_are_counted(stage: Stage) -> None:
    for queue, kind in (("a", "emulate"), ("a", "mail"), ("b", "emulate"), ("c", "emulate")):
        await stage.created(queue=queue, type=kind)
    await stage.sql.execute("""
        INSERT INTO taskmill.lease (id, worker, queues, types, slots, expires_at, closed_at)
        VALUES
            (gen_random_uuid(), 'serves a', '{a}', '{emulate}', 3, now() + interval '1 hour', NULL),
            (gen_random_uuid(), 'serves b', '{b}', '{*}', 4, now() + interval '1 hour', NULL),
            (gen_random_uuid(), 'ran out', '{}', '{*}', 5, now() - interval '1 hour', NULL),
            (gen_random_uuid(), 'closed', '{}', '{*}', 6, now() + interval '1 hour', now())
    """)
    whole = await figures.read(stage.database)
    values = {queue.name: (queue.workers, queue.unserved_types) for queue in whole.queues}
    assert values == {"a": (1, 1), "b": (1, 0), "c": (0, 1)}
    assert (whole.workers, whole.slots, whole.database.overdue_leases) == (2, 7, 1)


async def test_changes_without_a_position_are_counted(stage: Stage) -> None:
    assert (await figures.read(stage.database)).database.unnumbered == 0
    await stage.created()
    await stage.created()
    await stage.sql.execute("UPDATE taskmill.change_batch SET at = at - interval '1 minute'")
    before = (await figures.read(stage.database)).database
    assert (before.unnumbered, before.unnumbered_s // 30) == (2, 2)
    await changes.number(stage.maintenance_database, 100)
    after = (await figures.read(stage.database)).database
    assert (after.unnumbered, after.unnumbered_s) == (0, 0)


async def test_the_age_of_an_open_snapshot_is_measured(stage: Stage) -> None:
    async with stage.database.snapshot() as connection:
        await connection.execute("SELECT 1")
        other = await asyncpg.connect(stage.url)
        for _ in range(5):
            await other.execute("SELECT pg_current_xact_id()")
        await other.close()
        held = (await figures.read(stage.database)).database
    assert held.snapshot_s > 0
    assert held.xmin_age >= 5


async def test_partitions_and_the_weeks_ahead_are_counted(stage: Stage) -> None:
    whole = await figures.read(stage.database)
    assert (whole.partitions, whole.weeks_ahead) == (6, 4)


async def test_queues_beyond_the_limit_share_one_series(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KINDS, "most", 3)
    for number in range(5):
        await stage.created(queue=f"q{number}")
    page = Page(exposition(system_metrics(await figures.read(stage.database))).decode())
    values = {
        n: page.value("taskmill_queue_tasks", queue=n, status="new") for n in ("q0", "q2", "q3")
    }
    assert values == {"q0": 1, "q2": 1, "q3": None}
    assert page.value("taskmill_queue_tasks", queue="_other", status="new") == 2
    assert page.value("taskmill_queue_unserved_types", queue="_other") == 2
    assert page.faults() == []


DELIVERY = """
    INSERT INTO taskmill.webhook_delivery (endpoint, webhook_id, task_id, version, give_up_at, next_at, state)
    SELECT 'webhook:' || $1::uuid, $1, gen_random_uuid(), 1, now() + interval '1 day', now() + $2::interval, $3
"""


async def test_waiting_deliveries_are_counted(stage: Stage) -> None:
    async def read() -> DeliveryFigures:
        return (await figures.read(stage.database)).deliveries

    async def delivery(webhook_id: UUID, minutes: int, state: str = "pending") -> None:
        due = timedelta(minutes=minutes)
        await stage.sql.execute(DELIVERY, webhook_id, due, state)

    assert await read() == DeliveryFigures(waiting=0, late_s=0, unread_s=0)
    webhooks = a_webhooks(stage.database)
    draft = WebhookDraft(url="https://example.org/")
    first, paused = [(await webhooks.create(draft, None))[0].id for _ in range(2)]
    await webhooks.change(paused, {"state": WebhookState.PAUSED}, rotates_secret=False)
    await delivery(first, 10)
    await delivery(paused, -30)
    await delivery(first, -60, "delivered")
    assert await read() == DeliveryFigures(waiting=2, late_s=0, unread_s=0)
    await delivery(first, -2)
    values = await read()
    assert (values.waiting, values.late_s // 60) == (3, 2)


async def test_a_failing_endpoint_is_counted_and_makes_no_delivery_late(stage: Stage) -> None:
    webhooks = a_webhooks(stage.database)
    dead, well = [
        (await webhooks.create(WebhookDraft(url="https://example.org/"), None))[0].id
        for _ in range(2)
    ]
    late = timedelta(minutes=-10)
    for _ in range(2):
        await stage.sql.execute(DELIVERY, dead, late, "pending")
        await stage.sql.execute(
            "INSERT INTO taskmill.webhook_delivery (endpoint, task_id, version, give_up_at, next_at)"
            " VALUES ('callback:x', gen_random_uuid(), 1, now() + interval '1 day', now() + $1)",
            late,
        )
    await stage.sql.execute("UPDATE taskmill.webhook SET failing_since = now() WHERE id = $1", dead)

    async def read() -> DeliveryFigures:
        return (await figures.read(stage.database)).deliveries

    # Callbacks that no endpoint refused are late because no process delivers them.
    assert (await read()).late_s >= 600
    await stage.sql.execute(
        "UPDATE taskmill.webhook_delivery SET trouble = 'it answered 500' WHERE id ="
        " (SELECT max(id) FROM taskmill.webhook_delivery WHERE webhook_id IS NULL)"
    )
    values = await read()
    assert (values.waiting, values.late_s, values.failing) == (4, 0, 0)
    await stage.sql.execute("UPDATE taskmill.webhook SET failing_since = now() - interval '2 min'")
    assert (await read()).failing == 2
    await stage.sql.execute(
        "UPDATE taskmill.webhook SET failing_since = NULL, state = 'disabled',"
        " disabled_reason = CASE WHEN id = $1 THEN 'it has taken nothing' END",
        dead,
    )
    assert (await read()).failing == 1
    await stage.sql.execute("UPDATE taskmill.webhook SET state = 'enabled' WHERE id = $1", well)
    await stage.sql.execute(DELIVERY, well, late, "pending")
    assert (await read()).late_s >= 600


async def test_refused_messages_count_until_they_are_sent_again_or_a_day_old(
    stage: Stage,
) -> None:
    async def refused() -> int:
        return (await figures.read(stage.database)).refused

    assert await refused() == 0
    first, second = await store_refused(stage.url, [refused_message(b"{"), refused_message(b"[]")])
    assert await refused() == 2
    await stage.sql.execute(
        "UPDATE taskmill.rejection SET task_id = gen_random_uuid() WHERE id = $1", UUID(first)
    )
    assert await refused() == 1
    await stage.sql.execute(
        "UPDATE taskmill.rejection SET id = $2 WHERE id = $1",
        UUID(second),
        identity.lower_bound(datetime.now(UTC) - timedelta(hours=25)),  # noqa: TID251 - as old as that
    )
    assert await refused() == 0


async def test_changes_unread_for_webhooks_count_while_there_are_subscriptions(
    stage: Stage,
) -> None:
    async def unread_s() -> float:
        return (await figures.read(stage.database)).deliveries.unread_s

    await stage.created()
    await changes.number(stage.maintenance_database, 100)
    await stage.sql.execute("UPDATE taskmill.change_batch SET at = at - interval '1 minute'")
    assert await unread_s() == 0
    webhooks = a_webhooks(stage.database)
    made, _ = await webhooks.create(WebhookDraft(url="https://example.org/"), None)
    assert 60 <= await unread_s() < 90
    await webhooks.delete(made.id)
    assert await unread_s() == 0
    await stage.created(callback_url="https://example.org/done")
    assert 60 <= await unread_s() < 90
    await stage.sql.execute(
        "UPDATE taskmill.feed_delivery SET position = (SELECT max(position) FROM taskmill.change_batch)"
    )
    assert await unread_s() == 0


async def test_each_follower_of_the_feed_has_its_lag(stage: Stage) -> None:
    async def lags_s() -> dict[str, float]:
        return {name: s // 60 for name, s in (await figures.read(stage.database)).lags_s.items()}

    async def reached(follower: str, position: int, ordinal: int) -> None:
        cursor_lease = CursorLease(follower, stage.ids(), 60.0)
        await cursor_leases.take(stage.database, cursor_lease)
        await cursor_leases.move(stage.database, cursor_lease, Cursor(position, ordinal))
        await cursor_leases.drop(stage.database, cursor_lease)

    assert await lags_s() == {"webhooks": 0}, "nothing was ever delivered to RabbitMQ"
    await reached("rabbitmq", 0, 0)
    await stage.creation.create_all([a_draft(), a_draft()])
    await stage.created()
    await changes.number(stage.maintenance_database, 100)
    await stage.sql.execute(
        "UPDATE taskmill.change_batch SET at = at - (4 - position) * interval '1 minute'"
    )
    assert await lags_s() == {"rabbitmq": 3, "webhooks": 0}, "there are no webhooks"
    await a_webhooks(stage.database).create(WebhookDraft(url="https://example.org/"), None)
    for ordinal, lag in ((1, 3), (2, 2)):
        await reached("rabbitmq", 1, ordinal)
        assert await lags_s() == {"rabbitmq": lag, "webhooks": 3}
    for follower in ("rabbitmq", "webhooks"):
        await reached(follower, 2, 1)
    assert await lags_s() == {"rabbitmq": 0, "webhooks": 0}


class Source:
    """Figures whose read a test can block, and how often they were read."""

    def __init__(self, read_figures: SystemFigures) -> None:
        self.figures = read_figures
        self.reads = 0
        self.may_return = asyncio.Event()
        self.may_return.set()
        self.error: Exception | None = None

    async def __call__(self) -> SystemFigures:
        self.reads += 1
        await self.may_return.wait()
        if self.error is not None:
            raise self.error
        return self.figures


@pytest.fixture
async def source(stage: Stage) -> Source:
    return Source(await figures.read(stage.database))


async def test_calls_at_the_same_time_share_a_read(source: Source) -> None:
    cache = FiguresCache(source, max_age_s=60)
    source.may_return.clear()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(cache.get()) for _ in range(20)]
        await asyncio.sleep(0)
        source.may_return.set()
    assert {id(call.result()) for call in calls} == {id(source.figures)}
    assert await cache.get() is source.figures
    assert source.reads == 1


async def test_old_figures_are_read_again(source: Source) -> None:
    cache = FiguresCache(source, max_age_s=0)
    await cache.get()
    source.figures = replace(source.figures, workers=99)
    assert (await cache.get()) is source.figures


@pytest.mark.parametrize(
    "error", [Unavailable(1, "the database"), asyncpg.UndefinedTableError("no"), None]
)
async def test_an_outage_drops_the_figures_and_is_cached_as_well(
    source: Source, error: Exception | None
) -> None:
    fresh, stale = (FiguresCache(source, max_age_s=s, timeout_s=0.05) for s in (60, 0))
    assert await stale.get() is not None
    source.error = error
    if error is None:
        source.may_return.clear()
    assert await stale.get() is None
    before = source.reads
    assert [await fresh.get(), await fresh.get()] == [None, None]
    assert source.reads - before == 1
    source.error = None
    source.may_return.set()
    assert await stale.get() is source.figures


async def test_a_cancelled_call_does_not_disturb_the_others(source: Source) -> None:
    cache = FiguresCache(source, max_age_s=60)
    source.may_return.clear()
    async with asyncio.TaskGroup() as group:
        first, second = (group.create_task(cache.get()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        source.may_return.set()
    assert second.result() is source.figures


async def test_the_api_reports_the_whole_system(api: Served) -> None:
    await api.create(queue="q")
    page = Page((await api.get("/metrics")).text)
    assert page.value("taskmill_system_up") == 1
    assert page.value("taskmill_queue_tasks", queue="q", status="new") == 1
    assert page.value("taskmill_queue_paused", queue="q") == 0
    assert page.faults() == []


async def test_a_scrape_succeeds_while_the_database_is_away(stage: Stage) -> None:
    nowhere = Database("postgresql://u:p@127.0.0.1:1/d", DatabaseSettings(connect_timeout_s=1))
    service = type(stage.service)(
        nowhere,
        a_creation(nowhere, stage.clock, stage.ids),
        stage.service.reading,
        stage.service.rejections,
    )
    async with serving(service) as served:
        response = await served.get("/metrics")
    await nowhere.close()
    page = Page(response.text)
    assert response.status_code == 200
    assert page.value("taskmill_system_up") == 0
    assert "taskmill_queue_tasks" not in response.text
    assert page.sum("taskmill_database_failures_total", cause="outage") >= 1
    assert page.faults() == []


async def test_a_long_feed_costs_no_more_than_the_limit(stage: Stage) -> None:
    numbered, fresh, most = 20_000, 3_000, 1_000
    await stage.sql.execute(
        """
        INSERT INTO taskmill.change_batch (task_ids, versions, position)
        SELECT '{}', '{}', CASE WHEN n <= $1 THEN n END FROM generate_series(1, $2::integer) AS n
        """,
        numbered,
        numbered + fresh,
    )
    async with explaining(stage.database) as session:
        [row], plan = await session.fetch("read_database_figures", most)
    assert row["unnumbered"] == most
    feed = [node for node in plan.nodes() if node.get("Relation Name") == "change_batch"]
    assert {node["Index Name"] for node in feed} == {"change_batch_unnumbered"}
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in feed) == most + 1
