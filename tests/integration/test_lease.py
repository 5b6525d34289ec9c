"""The lease that a worker holds: opened, renewed, revived, replaced and closed."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sized
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg

from taskmill.domain.system import Liveness
from taskmill.maintenance.rescue import Rescue
from taskmill.runtime.ids import IdFactory
from taskmill.storage import leases
from taskmill.storage.leases import WorkerProfile
from taskmill.worker.lease import LeaseKeeper
from tests.support.clocks import ManualClock
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage

CARD = WorkerProfile(name="keeper", queues=("b", "a"), types=("y", "x"), slots=7)


@asynccontextmanager
async def a_keeper(
    stage: Stage, *, ttl_s: float, running: int = 3
) -> AsyncIterator[tuple[LeaseKeeper, list[UUID | None]]]:
    """Yield a keeper that has its lease, and the leases that it has reported."""
    reported: list[UUID | None] = []
    ids = IdFactory(stage.clock, random.Random())  # noqa: S311 - no secret
    keeper = LeaseKeeper(stage.database, CARD, ttl_s=ttl_s, ids=ids, clock=stage.clock)
    keeper.start(
        on_change=lambda: reported.append(keeper.last_lease_id),
        running=lambda: running,
        on_cancels=lambda _: None,
        on_request=lambda: None,
    )
    try:
        await eventually(_count_reached(reported, 1), "a lease")
        yield keeper, reported
    finally:
        await keeper.stop()


def _count_reached(reported: Sized, count: int) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return len(reported) >= count

    return probe


async def _row(stage: Stage, lease_id: UUID | None) -> asyncpg.Record:
    row = await stage.sql.fetchrow("SELECT * FROM taskmill.lease WHERE id = $1", lease_id)
    assert row is not None
    return row


async def test_a_worker_shows_what_it_is(stage: Stage) -> None:
    async with a_keeper(stage, ttl_s=3):
        [worker] = await stage.service.workers()
        assert (worker.name, worker.queues, worker.types) == ("keeper", ["a", "b"], ["x", "y"])
        assert (worker.slots, worker.state) == (7, Liveness.ALIVE)
        stats = await stage.service.stats()
        assert (stats.workers_alive, stats.slots) == (1, 7)
    [worker] = await stage.service.workers()
    assert (worker.state, worker.close_reason, worker.running) == ("closed", "stopped", 0)
    assert (await stage.service.stats()).workers_alive == 0


async def test_a_lease_is_renewed_before_it_ends(stage: Stage) -> None:
    async with a_keeper(stage, ttl_s=1) as (keeper, _):
        opened = await _row(stage, keeper.lease_id)

        async def renewed_twice() -> bool:
            assert keeper.lease_id == opened["id"]
            row = await _row(stage, keeper.lease_id)
            return bool((row["expires_at"] - opened["expires_at"]).total_seconds() > 1)

        await eventually(renewed_twice, "renewals beyond the first end")
        assert (await _row(stage, keeper.lease_id))["running"] == 3


async def test_a_lease_outlives_the_sessions_that_renew_it(stage: Stage) -> None:
    async with a_keeper(stage, ttl_s=0.9) as (keeper, reported):
        lease_id = keeper.lease_id
        for _ in range(4):
            before = await _row(stage, lease_id)
            await stage.sql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

            async def renewed(before: asyncpg.Record = before) -> bool:
                return bool((await _row(stage, lease_id))["renewed_at"] > before["renewed_at"])

            await eventually(renewed, "a renewal")
        assert keeper.last_lease_id == lease_id
        assert set(reported) == {lease_id}


async def test_a_closed_lease_is_replaced_and_reported(stage: Stage) -> None:
    async with a_keeper(stage, ttl_s=0.6) as (keeper, reported):
        first = keeper.lease_id
        assert first is not None
        await leases.close_lease(stage.database, first, "expired")
        await eventually(_count_reached(reported, 2), "another lease")
        assert keeper.lease_id == reported[1] != first
        assert (await _row(stage, first))["close_reason"] == "expired"


async def test_a_lease_that_expired_during_its_renewal_is_reported(
    stage: Stage,
) -> None:
    async with a_keeper(stage, ttl_s=1.5) as (keeper, reported):
        first = keeper.lease_id

        async def ran_out() -> bool:
            return keeper.lease_id is None

        async with stage.sql.transaction():
            await stage.sql.execute("SELECT FROM taskmill.lease WHERE id = $1 FOR UPDATE", first)
            await eventually(ran_out, "the end of the lease")
        await eventually(_count_reached(reported, 2), "the report that it is valid again")
        assert keeper.lease_id == first


async def test_an_expired_lease_that_is_still_open_is_revived(stage: Stage) -> None:
    lease_id = await stage.open_lease(ttl_s=-1)
    async with stage.database.hot() as connection:
        assert await leases.renew_lease(connection, lease_id, ttl_s=60, running=1)
    await stage.created()
    assert len(await stage.take(lease_id)) == 1


async def test_a_closed_lease_is_not_revived(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    await leases.close_lease(stage.database, lease_id, "expired")
    async with stage.database.hot() as connection:
        assert not await leases.renew_lease(connection, lease_id, ttl_s=60, running=1)
    row = await _row(stage, lease_id)
    await leases.close_lease(stage.database, lease_id, "again")
    assert await _row(stage, lease_id) == row


async def test_a_worker_without_a_database_waits_for_its_lease(stage: Stage) -> None:
    name = await stage.sql.fetchval("SELECT current_database()")
    admin = await asyncpg.connect(stage.url.replace(f"/{name}", "/postgres"))
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    ids = IdFactory(stage.clock, random.Random())  # noqa: S311 - no secret
    keeper = LeaseKeeper(stage.database, CARD, ttl_s=0.6, ids=ids, clock=stage.clock)
    reported: list[int] = []
    keeper.start(
        on_change=lambda: reported.append(1),
        running=lambda: 0,
        on_cancels=lambda _: None,
        on_request=lambda: None,
    )
    try:
        assert keeper.lease_id is None
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await admin.close()
        await eventually(_count_reached(reported, 1), "a lease")
        assert keeper.lease_id is not None
    finally:
        await keeper.stop()


async def test_only_leases_that_ran_out_are_closed(stage: Stage) -> None:
    alive, expired = await stage.open_lease(), await stage.open_lease(ttl_s=-1)
    assert await leases.close_expired(stage.maintenance_database) == [expired]
    assert await leases.close_expired(stage.maintenance_database) == []
    assert (await _row(stage, alive))["closed_at"] is None
    assert (await _row(stage, expired))["close_reason"] == "expired"


def a_rescue(stage: Stage, clock: ManualClock, *, ttl_s: float = 15) -> Rescue:
    return Rescue(stage.maintenance_database, ttl_s=ttl_s, interval_s=1, name="rescue", clock=clock)


async def test_leases_are_closed_only_after_the_database_was_reachable_for_a_whole_ttl(
    stage: Stage,
) -> None:
    clock = ManualClock(stage.clock.now())
    rescue, lease = a_rescue(stage, clock), await stage.open_lease()
    await stage.running(lease)
    await stage.sql.execute("UPDATE taskmill.lease SET expires_at = now() - interval '1 s'")
    for _ in range(5):
        await rescue()
        assert (await _row(stage, lease))["closed_at"] is None
        clock.advance(timedelta(seconds=3))
    await rescue()
    assert (await _row(stage, lease))["close_reason"] == "expired"


async def test_a_rescuer_that_slept_watches_again_first(stage: Stage) -> None:
    clock = ManualClock(stage.clock.now())
    rescue, lease = a_rescue(stage, clock), await stage.open_lease()
    await stage.running(lease)
    await rescue()
    await stage.sql.execute("UPDATE taskmill.lease SET expires_at = now() - interval '1 s'")
    clock.advance(timedelta(hours=1))
    await rescue()
    assert (await _row(stage, lease))["closed_at"] is None, "its worker may have slept, too"
    for _ in range(6):
        clock.advance(timedelta(seconds=3))
        await rescue()
    assert (await _row(stage, lease))["close_reason"] == "expired"


async def test_tasks_of_closed_leases_are_taken_back_at_once(stage: Stage) -> None:
    clock = ManualClock(stage.clock.now())
    rescue, lease, alive = (
        a_rescue(stage, clock),
        await stage.open_lease(),
        await stage.open_lease(),
    )
    lost = [await stage.running(lease, max_losses=losses) for losses in (3, 0)]
    alive_task = await stage.running(alive)
    cancelled = await stage.running(lease)
    await stage.service.cancel(cancelled.task.id)
    await leases.close_lease(stage.database, lease, "expired")
    assert await rescue() is False
    tasks = [await stage.task(one.task.id) for one in (*lost, alive_task, cancelled)]
    assert [(task.status, task.attempt, task.losses) for task in tasks] == [
        ("new", 0, 1),
        ("failed", 0, 0),
        ("in_progress", 1, 0),
        ("cancelled", 0, 1),
    ]
    assert "WorkerLost" in (tasks[1].error or "")
    events = await stage.service.reading.events(lost[0].task.id)
    assert [(str(e.event_type), e.worker) for e in events] == [
        ("created", None),
        ("claimed", "tester"),
        ("lost", "rescue"),
    ]
    await assert_safe(stage.sql)


async def test_a_keeper_that_never_started_stops(stage: Stage) -> None:
    ids = IdFactory(stage.clock, random.Random())  # noqa: S311 - no secret
    keeper = LeaseKeeper(stage.database, CARD, ttl_s=1, ids=ids, clock=stage.clock)
    async with asyncio.timeout(1):
        await keeper.stop()
    assert keeper.lease_id is None
