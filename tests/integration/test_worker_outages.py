"""Workers whose database goes away, loses responses, or comes back: nothing is lost or stranded."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from taskmill.app import Context
from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import TERMINAL, Status
from taskmill.settings import DatabaseSettings
from taskmill.storage.database import Database
from tests.support.api import LogLines
from tests.support.builders import a_draft, a_key
from tests.support.polling import eventually
from tests.support.proxy import Network, far_away
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_creation
from tests.support.workers import WorkerOptions, a_worker

Payload = Mapping[str, Any]


async def all_finished(stage: Stage, ids: list[UUID], *, timeout_s: float = 20) -> None:
    async def probe() -> bool:
        unfinished = (
            "SELECT count(*) FROM taskmill.current_task WHERE id = ANY($1) AND status <> ALL($2)"
        )
        unfinished_count: int = await stage.sql.fetchval(unfinished, ids, list(TERMINAL))
        return unfinished_count == 0

    await eventually(probe, "all tasks to be finished", timeout_s=timeout_s)


async def no_work(_: Context) -> str:
    return "done"


async def test_a_claim_whose_response_was_lost_is_handed_back_and_runs(stage: Stage) -> None:
    async with (
        far_away(stage) as (network, database),
        a_worker(stage, {"*": no_work}, WorkerOptions(database=database)) as running,
    ):
        await running.has_lease()
        network.lose_response_to("a worker takes up to")
        made = await stage.created()
        await network.cut.wait()
        await all_finished(stage, [made.id])
    assert await stage.event_types(made.id) == [
        "created",
        "claimed",
        "handed_back",
        "claimed",
        "succeeded",
    ]
    task = await stage.task(made.id)
    assert (task.attempt, task.losses, task.claim_no) == (1, 0, 2)
    await assert_safe(stage.sql)


async def test_a_claim_whose_response_was_lost_is_handed_back_by_a_worker_that_stops(
    stage: Stage,
) -> None:
    async with (
        far_away(stage) as (network, database),
        a_worker(stage, {"*": no_work}, WorkerOptions(database=database)) as running,
    ):
        await running.has_lease()
        network.lose_response_to("a worker takes up to")
        made = await stage.created()
        await network.cut.wait()
        running.stop.set()
        await running.ended
    assert (await stage.event_types(made.id))[-1] == "handed_back"
    assert (await stage.task(made.id)).status is Status.NEW


async def test_a_result_whose_response_was_lost_is_recorded_once_and_not_called_lost(
    stage: Stage, log_lines: LogLines
) -> None:
    async with (
        far_away(stage) as (network, database),
        a_worker(stage, {"*": no_work}, WorkerOptions(database=database)),
    ):
        network.lose_response_to("end a batch of attempts")
        made = await stage.created()
        await network.cut.wait()

        async def knows() -> bool:
            return bool(log_lines.named("task.succeeded"))

        await eventually(knows, "the worker to know how it ended")
    assert await stage.event_types(made.id) == ["created", "claimed", "succeeded"]
    assert len(log_lines.named("task.succeeded")) == 1
    assert log_lines.named("lease.lost") == []
    await assert_safe(stage.sql)


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_creation_whose_response_was_lost_makes_one_task(
    stage: Stage, key: str | None
) -> None:
    async with (
        far_away(stage) as (network, database),
        a_creation(database, stage.clock, stage.ids) as creation,
    ):
        network.lose_response_to("create a batch of tasks")
        created = await creation.create(a_draft(idempotency=a_key(key) if key else None))
        assert network.cut.is_set()
    assert not created.replayed
    stored = await stage.sql.fetch("SELECT id FROM taskmill.task")
    assert [row["id"] for row in stored] == [created.task.id]
    await assert_safe(stage.sql)


async def test_a_batch_whose_commit_response_was_lost_is_stored_once(
    stage: Stage,
) -> None:
    async with (
        far_away(stage) as (network, database),
        a_creation(database, stage.clock, stage.ids) as creation,
    ):
        await creation.create(a_draft())
        network.lose_response_to("COMMIT;")
        drafts = [a_draft(idempotency=a_key(f"k{n}")) for n in range(5)]
        created_tasks = await creation.create_all(drafts)
        assert network.cut.is_set()
    assert [created.replayed for created in created_tasks] == [False] * 5
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 6
    await assert_safe(stage.sql)


async def test_results_of_an_outage_are_recorded_when_the_database_is_back(stage: Stage) -> None:
    may_end = asyncio.Event()

    async def waits(_: Context) -> str:
        await may_end.wait()
        return "done"

    async with (
        far_away(stage) as (network, database),
        a_worker(stage, {"*": waits}, WorkerOptions(database=database, ttl_s=30)) as running,
    ):
        made = await stage.creation.create_all([a_draft() for _ in range(10)])

        async def all_run() -> bool:
            return len(running.worker.pool) == 10

        await eventually(all_run, "all handlers to run")
        network.refuse(refuses=True)
        network.break_all()
        may_end.set()

        async def results_wait() -> bool:
            return running.worker.pool.running == 0

        await eventually(results_wait, "results that can not be written")
        assert (await stage.service.stats()).queues["default"] == {Status.IN_PROGRESS: 10}
        network.refuse(refuses=False)
        await all_finished(stage, [created.task.id for created in made])
    for created in made:
        task = await stage.task(created.task.id)
        assert (task.status, task.claim_no) == (Status.SUCCEEDED, 1)
    await assert_safe(stage.sql)


async def test_connections_that_break_again_and_again_strand_nothing(stage: Stage) -> None:
    async def brief(context: Context) -> str:
        await asyncio.sleep(0.001 * (context.task.id.int % 20))
        return "done"

    made = await stage.creation.create_all([a_draft() for _ in range(300)])
    ids = [created.task.id for created in made]
    async with (
        far_away(stage) as (network, database),
        a_worker(
            stage, {"*": brief}, WorkerOptions(database=database, ttl_s=30, claim_size=13)
        ) as running,
    ):
        await running.has_lease()
        for _ in range(6):
            before = (await stage.service.stats()).queues["default"].get(Status.SUCCEEDED, 0)

            async def moved(before: int = before) -> bool:
                counts = (await stage.service.stats()).queues["default"]
                return counts.get(Status.SUCCEEDED, 0) > before or Status.NEW not in counts

            await eventually(moved, "some progress")
            network.break_all()
        await all_finished(stage, ids)
    for task_id in ids:
        task = await stage.task(task_id)
        assert (task.status, task.losses, task.attempt) == (Status.SUCCEEDED, 0, 1)
    await assert_safe(stage.sql)


async def test_a_worker_that_can_not_renew_claims_nothing_and_works_on(stage: Stage) -> None:
    may_end, began = asyncio.Event(), asyncio.Event()

    async def waits(_: Context) -> str:
        began.set()
        await may_end.wait()
        return "done"

    async with (
        far_away(stage) as (network, database),
        a_worker(stage, {"*": waits}, WorkerOptions(database=database, ttl_s=0.6)) as running,
    ):
        made = await stage.created()
        await began.wait()
        lease_id = running.keeper.lease_id
        network.refuse(refuses=True)
        network.break_all()

        async def uncertain() -> bool:
            return running.keeper.lease_id is None

        await eventually(uncertain, "a lease that may have ended")
        assert running.keeper.last_lease_id == lease_id
        network.refuse(refuses=False)
        await running.has_lease()
        assert running.keeper.lease_id == lease_id, "the lease was still open: it is revived"
        may_end.set()
        await all_finished(stage, [made.id])
    assert await stage.event_types(made.id) == ["created", "claimed", "succeeded"]
    await assert_safe(stage.sql)


async def test_dead_connections_are_found_all_at_once(stage: Stage) -> None:
    impatient = DatabaseSettings(pool_size=5, statement_timeout_s=0.2)
    async with far_away(stage, impatient) as (network, database):
        async with AsyncExitStack() as stack:
            for _ in range(5):
                await stack.enter_async_context(database.hot())
        network.swallow_what_is_open()
        with pytest.raises(Unavailable):
            await database.fetch("clock_now")
        for _ in range(5):
            assert await database.fetch("clock_now")


async def test_a_transaction_without_a_response_does_not_wait_for_its_rollback(
    stage: Stage,
) -> None:
    async def in_vain(network: Network, database: Database) -> None:
        async with database.hot_transaction() as connection:
            await connection.execute("SELECT 1")
            network.fall_silent()
            async with asyncio.timeout(0.1):
                await connection.execute("SELECT 2")

    async with (
        far_away(stage, DatabaseSettings(pool_size=2)) as (network, database),
        asyncio.timeout(5),
    ):
        with pytest.raises(Unavailable):
            await in_vain(network, database)


async def test_what_ran_under_a_lease_that_was_closed_is_lost_and_not_handed_back(
    stage: Stage,
) -> None:
    async with a_worker(stage, {"another": no_work}) as running:
        await running.has_lease()
        closed = await stage.open_lease()
        taken = await stage.running(closed, max_losses=0)
        await stage.sql.execute("UPDATE taskmill.lease SET closed_at = now() WHERE id = $1", closed)
        running.worker._reconciler.begin_claim(closed)
        await running.worker._reconciler.reconcile()
    assert await stage.event_types(taken.task.id) == ["created", "claimed"]


class Interruptible:
    """A handler that waits, and records which types began and which were stopped."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.began: list[str] = []
        self.stopped: list[str] = []

    async def __call__(self, context: Context) -> str:
        self.began.append(context.task.type)
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.stopped.append(context.task.type)
            raise
        return "done"


async def test_exclusive_tasks_stop_as_soon_as_the_lease_could_have_ended(stage: Stage) -> None:
    handler = Interruptible()
    options = WorkerOptions(exclusive=("alone",), ttl_s=1.5)
    async with (
        far_away(stage) as (network, database),
        a_worker(stage, {"*": handler}, replace(options, database=database)) as running,
    ):
        drafts = [a_draft(type="alone"), a_draft(type="shared")]
        alone, shared = [a.task.id for a in await stage.creation.create_all(drafts)]

        async def both_run() -> bool:
            return len(handler.began) == 2

        async def one_stopped() -> bool:
            return bool(handler.stopped)

        await eventually(both_run, "both to begin")
        assert handler.stopped == []
        network.refuse(refuses=True)
        network.break_all()
        await eventually(one_stopped, "the exclusive one to be stopped")
        assert handler.stopped == ["alone"]
        assert running.keeper.lease_id is None
        handler.may_end.set()
        network.refuse(refuses=False)
        await all_finished(stage, [alone, shared])
    assert await stage.event_types(alone) == [
        "created",
        "claimed",
        "handed_back",
        "claimed",
        "succeeded",
    ]
    assert [event.reason for event in await stage.service.reading.events(alone)][
        2
    ] == "lease_unsure"
    task = await stage.task(alone)
    assert (task.attempt, task.losses) == (1, 0)
    assert await stage.event_types(shared) == ["created", "claimed", "succeeded"]
    await assert_safe(stage.sql)


async def test_a_network_that_drops_responses_holds_a_creation_for_a_limited_time(
    stage: Stage,
) -> None:
    impatient = DatabaseSettings(pool_size=1, statement_timeout_s=1, connect_timeout_s=1)
    async with (
        far_away(stage, impatient) as (network, database),
        a_creation(database, stage.clock, stage.ids) as creation,
    ):
        await creation.create(a_draft())
        network.fall_silent()
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable):
                await creation.create(a_draft())
