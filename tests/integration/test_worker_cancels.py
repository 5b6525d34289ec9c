"""Cancelling what runs: the worker learns of it soon and stops the handler, which may still succeed."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from taskmill.app import Context, PermanentFailure, RetryLater
from taskmill.domain.lifecycle import Status
from tests.support.api import LogLines
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.workers import RunningWorker, WorkerOptions, a_worker, finished, in_status

Payload = Mapping[str, Any]
# So long that only the queries between two renewals can find a cancel in time.
SLOW_RENEWALS = WorkerOptions(ttl_s=600, slots=2, timeout_s=0.2)


async def endless(_: Context) -> None:
    await asyncio.Event().wait()


async def cancelled_while_running(stage: Stage, **parts: Any) -> Any:  # noqa: ANN401 - a task's parts
    """A task that was cancelled when it ran, and has ended since."""
    made = await stage.created(**parts)
    await in_status(stage, made.id, Status.IN_PROGRESS)
    result, _ = await stage.service.cancel(made.id)
    assert result == "requested"
    return await finished(stage, made.id)


async def test_a_running_task_is_stopped_soon_after_its_cancel(stage: Stage) -> None:
    async with a_worker(stage, {"*": endless}, SLOW_RENEWALS):
        task = await cancelled_while_running(stage, max_attempts=3)
        other = await stage.created()
        await in_status(stage, other.id, Status.IN_PROGRESS)
    assert (task.status, task.attempt, task.error) == (Status.CANCELLED, 1, None)
    assert await stage.event_types(task.id) == [
        "created",
        "claimed",
        "cancel_requested",
        "cancelled",
    ]
    assert (await stage.task(other.id)).status is Status.NEW
    await assert_safe(stage.sql)


@pytest.mark.parametrize(
    "raised", [ConnectionError("closed"), PermanentFailure("gone"), RetryLater("soon")]
)
async def test_whatever_a_cancelled_handler_raises_the_task_is_cancelled(
    stage: Stage, raised: Exception
) -> None:
    async def raises(_: Context) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise raised from None

    async with a_worker(stage, {"*": raises}, SLOW_RENEWALS):
        task = await cancelled_while_running(stage)
    assert (task.status, task.error) == (Status.CANCELLED, None)


async def test_a_success_that_was_under_way_wins_over_a_cancel(stage: Stage) -> None:
    async def completes(_: Context) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
        return "paid"

    async with a_worker(stage, {"*": completes}, SLOW_RENEWALS):
        task = await cancelled_while_running(stage)
    assert (task.status, task.result, task.cancel_requested) == (Status.SUCCEEDED, '"paid"', True)
    await assert_safe(stage.sql)


async def test_a_handler_that_ignores_a_cancel_loses_its_attempt(
    stage: Stage, log_lines: LogLines
) -> None:
    may_end = asyncio.Event()

    async def stubborn(_: Context) -> str:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    async with a_worker(stage, {"*": stubborn}, SLOW_RENEWALS):
        task = await cancelled_while_running(stage)
        assert (task.status, task.result) == (Status.CANCELLED, None)
        may_end.set()

        async def has_ended() -> bool:
            return bool(log_lines.named("handler.ended_late"))

        await eventually(has_ended, "the handler's end")
    assert await stage.task(task.id) == task
    await assert_safe(stage.sql)


async def test_a_cancel_stops_the_one_task_on_the_one_worker(stage: Stage) -> None:
    stopped: list[int] = []

    async def record(context: Context) -> None:
        payload = context.payload
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(payload["n"])
            raise

    def options(name: str) -> WorkerOptions:
        return WorkerOptions(ttl_s=600, slots=2, name=name, grace_s=0)

    async with (
        a_worker(stage, {"*": record}, options("one")),
        a_worker(stage, {"*": record}, options("two")),
    ):
        made = [await stage.created(payload={"n": n}) for n in range(4)]
        for one in made:
            await in_status(stage, one.id, Status.IN_PROGRESS)
        for n in (3, 1):
            await stage.service.cancel(made[n].id)
            await finished(stage, made[n].id)
        assert stopped == [3, 1]
    await assert_safe(stage.sql)


async def test_a_cancel_takes_effect_while_its_worker_drains(stage: Stage) -> None:
    options = WorkerOptions(ttl_s=600, grace_s=600)
    async with a_worker(stage, {"*": endless}, options) as running:
        made = await stage.created()
        await in_status(stage, made.id, Status.IN_PROGRESS)
        running.stop.set()
        await stage.service.cancel(made.id)
        async with asyncio.timeout(15):
            await running.ended
    assert (await stage.task(made.id)).status is Status.CANCELLED


async def test_a_lease_is_renewed_while_cancels_can_not_be_read(
    stage: Stage, log_lines: LogLines
) -> None:
    async with a_worker(stage, {"*": endless}, WorkerOptions(ttl_s=3, grace_s=0)) as running:
        made = await stage.created()
        await in_status(stage, made.id, Status.IN_PROGRESS)
        async with stage.sql.transaction():
            await stage.sql.execute("LOCK TABLE taskmill.running IN ACCESS EXCLUSIVE MODE")
            before = await _renewed_at(stage, running)

            async def renewed() -> bool:
                return bool(await _renewed_at(stage, running) > before)

            for _ in range(3):
                before = await _renewed_at(stage, running)
                await eventually(renewed, "a renewal")
        assert log_lines.named("cancels.unread")
        await stage.service.cancel(made.id)
        assert (await finished(stage, made.id)).status is Status.CANCELLED


async def _renewed_at(stage: Stage, running: RunningWorker) -> Any:  # noqa: ANN401 - a time
    query = "SELECT renewed_at FROM taskmill.lease WHERE id = $1"
    return await stage.sql.fetchval(query, running.keeper.last_lease_id)
