"""Each change of a task is counted once, by the part that made it, after its commit."""

import asyncio
import gc
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NoReturn

import asyncpg
import pytest

from taskmill.app import Context
from taskmill.domain.errors import IdempotencyConflict, LeaseClosed, Unavailable
from taskmill.domain.lifecycle import Status, Succeeded
from taskmill.domain.remote import LeaseRequest
from taskmill.domain.system import Sweep, TaskFilter
from taskmill.maintenance.expiry import expire_waiting
from taskmill.maintenance.rescue import Rescue
from taskmill.observability.metrics import exposition
from taskmill.settings import DatabaseSettings
from taskmill.storage import leases
from taskmill.storage.database import Database
from tests.support.builders import a_draft, a_key
from tests.support.clocks import ManualClock
from tests.support.exposition import Page
from tests.support.polling import eventually
from tests.support.pulling import a_pull
from tests.support.role_database import RoleDatabase
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_worker, finished

Payload = Mapping[str, Any]
LEASE_REQUEST = LeaseRequest(
    worker="w",
    queues=frozenset(),
    types=frozenset({"emulate"}),
    limit=1,
    ttl_s=30.0,
    wait_s=10.0,
)


class Growth:
    """By how much counters have grown since this was made."""

    def __init__(self) -> None:
        self._before = self._now()

    def __call__(self, name: str, **labels: str) -> float:
        before = self._before.value(f"taskmill_{name}", **labels) or 0.0
        return (self._now().value(f"taskmill_{name}", **labels) or 0.0) - before

    def _now(self) -> Page:
        page = Page(exposition().decode())
        assert page.faults() == []
        return page


async def test_what_is_stored_is_counted_and_what_is_replayed_or_refused_is_not(
    stage: Stage,
) -> None:
    grown = Growth()
    kind = {"queue": "created-here", "type": "mail"}
    await stage.created(**kind, idempotency=a_key())
    await stage.created(**kind, idempotency=a_key())
    with pytest.raises(IdempotencyConflict):
        await stage.created(**kind, idempotency=a_key(body="two"))
    await stage.creation.create_all([a_draft(**kind), a_draft(**kind)])
    assert grown("tasks_created_total", **kind) == 3
    assert grown("batch_items_sum", batch="create") == 3
    assert grown("batch_items_sum", batch="create_all") == 2


async def test_a_worker_counts_claims_waits_runs_retries_and_ends(stage: Stage) -> None:
    async def twice(context: Context) -> str:
        await asyncio.sleep(0.02)
        if context.attempt == 1:
            raise ValueError("once")
        return "done"

    grown = Growth()
    kind = {"queue": "run-here", "type": "twice"}
    async with a_worker(stage, {"twice": twice}):
        await finished(stage, (await stage.created(**kind, max_attempts=2)).id)
        await finished(stage, (await stage.created(**kind, max_attempts=1)).id)
    assert grown("tasks_claimed_total", **kind) == 3
    assert grown("retries_scheduled_total", **kind) == 1
    assert grown("tasks_finished_total", **kind, status="succeeded") == 1
    assert grown("tasks_finished_total", **kind, status="failed") == 1
    assert grown("task_wait_seconds_count", **kind) == 3
    assert grown("task_run_seconds_count", **kind) == 3
    assert grown("task_run_seconds_sum", **kind) >= 3 * 0.02
    assert grown("task_run_seconds_bucket", **kind, le="0.01") == 0
    assert grown("leases_opened_total") == 1


async def test_a_wait_is_counted_from_when_the_task_was_due(stage: Stage) -> None:
    async def nothing(_: Context) -> None:
        return None

    grown = Growth()
    kind = {"queue": "waited-here", "type": "emulate"}
    made = await stage.created(**kind)
    await stage.sql.execute("UPDATE taskmill.dispatch SET run_at = run_at - interval '2 minutes'")
    await stage.sql.execute("SET session_replication_role = replica")
    await stage.sql.execute(
        "UPDATE taskmill.task SET run_at = run_at - interval '2 minutes', "
        "created_at = created_at - interval '2 minutes'"
    )
    async with a_worker(stage, {"*": nothing}):
        await finished(stage, made.id)
    assert 120 <= grown("task_wait_seconds_sum", **kind) < 180
    assert grown("task_wait_seconds_bucket", **kind, le="60.0") == 0
    assert grown("task_wait_seconds_bucket", **kind, le="300.0") == 1


async def test_what_a_stopping_worker_hands_back_is_counted_with_the_reason(stage: Stage) -> None:
    began = asyncio.Event()

    async def endless(_: Context) -> NoReturn:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError("never set")

    grown = Growth()
    kind = {"queue": "handed-back-here", "type": "endless"}
    async with a_worker(stage, {"endless": endless}, WorkerOptions(grace_s=0.01)):
        await stage.created(**kind)
        await began.wait()
        running = Page(exposition().decode())
        assert running.value("taskmill_worker_running") == 1
        assert running.value("taskmill_worker_slots") == 20
    assert grown("tasks_handed_back_total", **kind, reason="worker_stopped") == 1
    assert Page(exposition().decode()).value("taskmill_worker_slots") == 0


async def test_a_result_that_the_fence_refuses_is_counted(stage: Stage) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def slow(_: Context) -> str:
        began.set()
        await may_end.wait()
        return "too late"

    grown = Growth()
    kind = {"queue": "refused-here", "type": "slow"}
    async with a_worker(stage, {"slow": slow}) as running:
        made = await stage.created(**kind)
        await began.wait()
        await stage.sql.execute("SET session_replication_role = replica")
        await stage.sql.execute(
            "UPDATE taskmill.running SET claim_no = 9 WHERE task_id = $1", made.id
        )
        may_end.set()

        async def let_go() -> bool:
            return not running.worker.pool

        await eventually(let_go, "a worker that is done with it")
    assert grown("finishes_refused_total") == 1
    assert grown("tasks_finished_total", **kind, status="succeeded") == 0
    assert grown("task_run_seconds_count", **kind) == 0


async def test_a_lost_lease_and_the_attempts_under_it_are_counted(stage: Stage) -> None:
    began = asyncio.Event()

    async def endless(_: Context) -> NoReturn:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError("never set")

    grown = Growth()
    async with a_worker(stage, {"*": endless}, WorkerOptions(ttl_s=0.6, grace_s=0.01)) as running:
        await stage.created()
        await began.wait()
        lease_id = running.keeper.lease_id
        assert lease_id is not None
        await leases.close_lease(stage.database, lease_id, "expired")

        async def has_lost() -> bool:
            return grown("attempts_lost_total") == 1

        await eventually(has_lost, "a lost attempt that is counted")
    assert grown("leases_lost_total") == 1
    assert grown("leases_opened_total") == 2


async def test_a_renewal_that_comes_after_the_end_has_lost_nothing(stage: Stage) -> None:
    pull, stop = a_pull(stage.database), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(pull.run(stop))
        grown = Growth()
        for reason, lost in (("finished", 0), ("stopped", 0), ("expired", 1)):
            await stage.created()
            lease = await pull.claim(LEASE_REQUEST)
            assert lease is not None
            if reason == "finished":
                await pull.end(lease.tasks[0].id, lease.id, 1, Succeeded())
            elif reason == "stopped":
                await pull.hand_back(lease.id)
                await stage.sql.execute("DELETE FROM taskmill.dispatch")
            else:
                await leases.close_lease(stage.database, lease.id, reason)
            with pytest.raises(LeaseClosed, match=reason):
                await pull.renew(lease.id, None)
            assert grown("leases_lost_total") == lost
        stop.set()


async def test_a_claim_that_nobody_runs_is_counted_when_it_is_handed_back(stage: Stage) -> None:
    grown = Growth()
    async with a_worker(stage, {}) as running:
        await running.has_lease()
        lease_id = running.keeper.lease_id
        assert lease_id is not None
        await stage.running(lease_id)
        running.worker._reconciler.begin_claim(lease_id)
        await running.worker._reconciler.reconcile()
    assert grown("claims_reconciled_total") == 1


async def test_renewals_are_counted_and_so_are_those_that_fail(stage: Stage) -> None:
    grown = Growth()

    async def has_grown(name: str) -> bool:
        return grown(name) > 0

    async with a_worker(stage, {}, WorkerOptions(ttl_s=0.6)):
        await eventually(lambda: has_grown("leases_renewed_total"), "a renewal")
        await stage.sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await eventually(lambda: has_grown("lease_renewals_failed_total"), "a failed renewal")


async def test_rescue_counts_what_it_closes_and_what_becomes_of_tasks(stage: Stage) -> None:
    grown = Growth()
    clock = ManualClock(stage.clock.now())
    rescue = Rescue(stage.maintenance_database, ttl_s=1, interval_s=1, name="rescue", clock=clock)
    lease = await stage.open_lease()
    for losses in (3, 3, 0):
        await stage.running(lease, max_losses=losses)
    cancelled = await stage.running(lease)
    await stage.service.cancel(cancelled.task.id)
    await stage.sql.execute("UPDATE taskmill.lease SET expires_at = now() - interval '1 s'")
    for _ in range(3):
        await rescue()
        clock.advance(timedelta(seconds=1))
    assert grown("leases_expired_total") == 1
    counted = {o: grown("tasks_rescued_total", outcome=o) for o in ("lost", "failed", "cancelled")}
    assert counted == {"lost": 2, "failed": 1, "cancelled": 1}
    assert grown("cancels_total", outcome="requested") == 1


async def test_expired_tasks_are_counted_by_their_queue(stage: Stage) -> None:
    grown = Growth()
    for queue in ("expired-here", "expired-here", "expired-there"):
        await stage.created(queue=queue)
    await stage.sql.execute("UPDATE taskmill.dispatch SET expires_at = now()")
    await expire_waiting(stage.maintenance_database)
    assert grown("tasks_expired_total", queue="expired-here") == 2
    assert grown("tasks_expired_total", queue="expired-there") == 1


async def test_cancels_and_new_runs_are_counted_one_by_one_and_in_sweeps(stage: Stage) -> None:
    grown = Growth()
    lease = await stage.open_lease()
    await stage.service.cancel((await stage.created()).id)
    await stage.running(lease)
    for _ in range(3):
        await stage.created()
    step = await stage.service.sweep(Sweep.CANCEL, TaskFilter(), None, dry_run=False)
    assert (step.changed, step.requested) == (3, 1)
    assert grown("cancels_total", outcome="done") == 4
    assert grown("cancels_total", outcome="requested") == 1
    cancelled = TaskFilter(statuses=frozenset({Status.CANCELLED}))
    await stage.service.sweep(Sweep.RETRY, cancelled, None, dry_run=False)
    again = await stage.created()
    await stage.service.cancel(again.id)
    await stage.service.retry(again.id)
    assert grown("tasks_run_again_total") == 5


async def test_used_connections_and_waiting_callers_are_counted(stage: Stage) -> None:
    gc.collect()  # pools of earlier tests, which count as long as they are there
    grown = Growth()
    settings = DatabaseSettings(pool_size=1, listing_pool_size=3, connect_timeout_s=0.2)

    def value_of(what: str, pool: str) -> float:
        page = Page(exposition().decode())
        return page.value(f"taskmill_database_pool_{what}", pool=pool) or 0

    others = {p: value_of("connections_max", p) for p in ("hot", "listing")}
    assert others["hot"] >= 8
    database = RoleDatabase(stage.url, settings)
    idle = {p: value_of("connections_max", p) for p in ("hot", "listing")}
    assert idle == {"hot": others["hot"] + 1, "listing": others["listing"] + 3}
    async with asyncio.TaskGroup() as group, database.hot():
        with pytest.raises(Unavailable):
            await database.fetch("clock_now")
        group.create_task(database.fetch("clock_now"))
        await asyncio.sleep(0)
        assert (value_of("connections_used", "hot"), value_of("waiting", "hot")) == (1, 1)
    assert grown("database_failures_total", cause="no_connection") == 1
    async with database.listing():
        assert value_of("connections_used", "listing") == 1
    assert (value_of("connections_used", "hot"), value_of("waiting", "hot")) == (0, 0)
    assert grown("database_pool_wait_seconds_count", pool="listing") == 1
    await database.close()
    assert value_of("connections_max", "hot") == others["hot"]


async def test_outages_and_timeouts_are_counted_separately(stage: Stage) -> None:
    grown = Growth()
    nowhere = Database("postgresql://u:p@127.0.0.1:1/d", DatabaseSettings(connect_timeout_s=1))
    with pytest.raises(Unavailable):
        await nowhere.fetch("clock_now")
    await nowhere.close()
    with pytest.raises(Unavailable):
        await hastily(stage.database, "SELECT pg_sleep(5)")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await hastily(stage.database, "SELEC")
    counted = {c: grown("database_failures_total", cause=c) for c in ("outage", "timeout")}
    assert counted == {"outage": 1, "timeout": 1}


async def hastily(database: Database, sql: str) -> None:
    async with database.hot() as connection:
        await connection.execute("SET statement_timeout = 50")
        await connection.execute(sql)
