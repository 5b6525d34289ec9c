"""A worker that stops, loses its lease or reconciles: nothing is lost, and nothing done twice."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from taskmill.app import Context
from taskmill.domain.lifecycle import Status
from taskmill.maintenance.rescue import Rescue
from taskmill.storage import leases
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_worker, finished, in_status

Payload = Mapping[str, Any]


async def test_a_stopping_worker_lets_its_handlers_finish(stage: Stage) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def patient(_: Context) -> str:
        began.set()
        await may_end.wait()
        return "done"

    async with a_worker(stage, {"*": patient}, WorkerOptions(slots=1)) as running:
        made = await stage.created()
        await began.wait()
        running.stop.set()
        later = await stage.created()
        may_end.set()
        await running.ended
    assert (await stage.task(made.id)).result == '"done"'
    assert (await stage.task(later.id)).status is Status.NEW
    [worker] = await stage.service.workers()
    assert (worker.state, worker.close_reason) == ("closed", "stopped")
    await assert_safe(stage.sql)


@pytest.mark.parametrize("grace_s", [0, 0.05])
async def test_a_stopping_worker_hands_back_what_takes_too_long_at_no_cost(
    stage: Stage, grace_s: float
) -> None:
    began = asyncio.Event()

    async def endless(_: Context) -> None:
        began.set()
        await asyncio.Event().wait()

    async with a_worker(stage, {"*": endless}, WorkerOptions(grace_s=grace_s)) as running:
        made = [await stage.created() for _ in range(3)]
        await began.wait()
        running.stop.set()
        await running.ended
    for one in made:
        task = await stage.task(one.id)
        assert (task.status, task.attempt, task.losses) == (Status.NEW, 0, 0)
        if task.claim_no:
            assert (await stage.event_types(one.id))[-1] == "handed_back"
    assert (await stage.task(made[0].id)).claim_no == 1
    await assert_safe(stage.sql)


async def test_a_handler_that_ends_well_when_asked_to_stop_has_succeeded(stage: Stage) -> None:
    began = asyncio.Event()

    async def tidy(_: Context) -> str:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "tidied up"
        return "never"

    async with a_worker(stage, {"*": tidy}, WorkerOptions(grace_s=0)) as running:
        made = await stage.created()
        await began.wait()
        running.stop.set()
        await running.ended
    assert (await stage.task(made.id)).result == '"tidied up"'


async def test_a_lost_lease_cancels_handlers_and_what_they_did_changes_nothing(
    stage: Stage,
) -> None:
    began, cancelled, rescued = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def endless(context: Context) -> str:
        if context.task.claim_no > 1:
            return "second"
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            # Until somebody has taken the task back, what it returns counts.
            await rescued.wait()
        return "first"

    async with a_worker(stage, {"*": endless}, WorkerOptions(ttl_s=2.0)) as running:
        made = await stage.created()
        await began.wait()
        lease_id = running.keeper.lease_id
        assert lease_id is not None
        await leases.close_lease(stage.database, lease_id, "expired")
        await _rescued(stage)
        rescued.set()
        await cancelled.wait()
        assert running.keeper.last_lease_id not in (None, lease_id)
        task = await finished(stage, made.id)
    assert (task.result, task.claim_no, task.losses) == ('"second"', 2, 1)
    await assert_safe(stage.sql)


async def _rescued(stage: Stage) -> None:
    """Take back what runs under closed leases, as the maintenance does."""
    await Rescue(
        stage.maintenance_database, ttl_s=60, interval_s=1, name="rescue", clock=stage.clock
    )()


async def test_a_lease_that_was_lost_during_its_claim_starts_nothing_for_good(
    stage: Stage,
) -> None:
    """A lost lease and the response to a claim can arrive in the same iteration of the loop, in either order."""
    ran: list[int] = []

    async def record(context: Context) -> None:
        ran.append(context.task.claim_no)
        await asyncio.sleep(0)

    async with a_worker(stage, {"*": record}, WorkerOptions(ttl_s=0.6)) as running:
        await running.has_lease()
        worker, lease_id = running.worker, running.keeper.lease_id
        assert lease_id is not None
        start, lost = worker._start, asyncio.Event()

        def start_and_lose(one: Any, lease: UUID) -> None:  # noqa: ANN401
            start(one, lease)
            if not lost.is_set():
                lost.set()
                running.keeper._lease_id = stage.ids()
                worker._on_lease_change()
                running.keeper._lease_id = lease_id

        worker._start = start_and_lose  # type: ignore[method-assign, assignment]
        made = await stage.created()
        await lost.wait()

        async def has_let_go() -> bool:
            return not worker.pool

        await eventually(has_let_go, "a worker that drops the attempt")
        assert ran == []
        await leases.close_lease(stage.database, lease_id, "expired")
        await _rescued(stage)
        task = await finished(stage, made.id)
    assert (task.status, ran) == (Status.SUCCEEDED, [2])


async def test_a_worker_until_idle_ends_when_nothing_is_due(stage: Stage) -> None:
    async def quick(_: Context) -> None:
        await asyncio.sleep(0.02)

    made = [await stage.created() for _ in range(5)]
    later = await stage.created(delay=timedelta(hours=1))
    async with a_worker(stage, {"*": quick}, WorkerOptions(slots=2, until_idle=True)) as running:
        async with asyncio.timeout(10):
            await running.ended
    assert [(await stage.task(one.id)).status for one in made] == [Status.SUCCEEDED] * 5
    assert (await stage.task(later.id)).status is Status.NEW


async def test_now_and_then_a_worker_hands_back_what_it_does_not_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.worker.reconciler._EVERY_S", 0.05)

    async def quick(_: Context) -> str:
        return "done"

    async with a_worker(stage, {"*": quick}, WorkerOptions(queues=("here",))) as running:
        await running.has_lease()
        lease_id = running.keeper.lease_id
        assert lease_id is not None
        taken = await stage.running(lease_id, queue="elsewhere")
        task = await in_status(stage, taken.task.id, Status.NEW)
    assert (task.claim_no, task.attempt, task.losses) == (1, 0, 0)
    assert await stage.event_types(task.id) == ["created", "claimed", "handed_back"]
    await assert_safe(stage.sql)
