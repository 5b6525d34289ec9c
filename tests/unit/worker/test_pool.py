"""The pool without a database: which attempts hold a slot, are stopped, abandoned, removed or left behind."""

import asyncio
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from taskmill.app import Context
from taskmill.domain.lifecycle import (
    Cancelled,
    ErrorInfo,
    Failed,
    Interrupted,
    Lost,
    Reason,
    Succeeded,
)
from taskmill.observability.metrics import HANDLERS_ABANDONED, HANDLERS_LINGERING
from taskmill.worker.attempt import AttemptState
from tests.support.api import LogLines, log_lines
from tests.support.attempts import (
    OPTIONS,
    SOON,
    RunningPool,
    WaitingHandler,
    a_pool,
    nothing,
    settle_down,
)
from tests.support.polling import eventually

__all__ = ["log_lines"]

PATIENT: Final = replace(OPTIONS, stop_timeout_s=60)


async def until(running: RunningPool, state: AttemptState) -> None:
    """Wait until all attempts of the pool have this state."""

    async def probe() -> bool:
        return all(attempt.state is state for attempt in running.pool.attempts)

    await eventually(probe, f"attempts that are {state}")


async def test_an_attempt_goes_from_its_claim_to_its_record_and_is_removed(
    log_lines: LogLines,
) -> None:
    handler = WaitingHandler()
    running = a_pool({"*": handler})
    async with running.open():
        attempt = running.start(1)
        states = [attempt.state]
        assert running.pool.running == 1
        await settle_down()
        states.append(attempt.state)
        assert running.pool.get(attempt.key) is attempt
        assert attempt.key in running.pool
        handler.may_end.set()
        await running.pool.empty()
        states.append(attempt.state)
        assert states == [AttemptState.CLAIMED, AttemptState.RUNNING, AttemptState.RECORDED]
        assert (len(running.pool), running.pool.running) == (0, 0)
        assert attempt.key not in running.pool
    assert isinstance(attempt.outcome, Succeeded)
    assert attempt.outcome.result == '"done"'
    assert running.ends.statuses() == {1: "succeeded"}
    assert log_lines.warnings() == [], "nor does asyncio complain"


async def test_a_slot_is_free_while_the_end_is_still_being_written() -> None:
    running = a_pool({"*": nothing})
    running.ends.may_go.clear()
    async with running.open():
        assert running.pool.free_slots == 2
        running.start(1)
        assert (running.pool.free_slots, running.pool.taken_slots) == (1, 1)
        running.wake.clear()
        await until(running, AttemptState.SETTLED)
        assert running.wake.is_set(), "the worker learns that a slot is free"
        assert (running.pool.free_slots, running.pool.taken_slots, len(running.pool)) == (2, 1, 1)
        running.ends.may_go.set()


async def test_a_worker_that_has_twice_as_many_ends_as_slots_has_no_free_slot() -> None:
    running = a_pool({"*": nothing})
    running.ends.may_go.clear()
    async with running.open():
        for number, free in ((1, 2), (2, 2), (3, 1), (4, 0)):
            running.start(number)
            await settle_down()
            assert (running.pool.running, running.pool.free_slots) == (0, free)
        assert running.pool.taken_slots == 2, "no more than there are"
        running.wake.clear()
        running.ends.may_go.set()
        async with asyncio.timeout(5):
            await running.wake.wait()
        await running.pool.empty()
        assert running.pool.free_slots == 2


@pytest.mark.parametrize("reason", [Cancelled(), Interrupted(reason=Reason.WORKER_STOPPED)])
async def test_a_stopped_attempt_ends_with_the_reason(reason: Any) -> None:  # noqa: ANN401 - an outcome
    handler = WaitingHandler()
    running = a_pool({"*": handler}, options=PATIENT)
    async with running.open():
        attempt, other = running.start(1), running.start(2)
        await settle_down()
        running.pool.stop(attempt, reason)
        running.pool.stop(attempt, Lost())
        await settle_down()
        assert attempt.state is AttemptState.RECORDED
        assert other.state is AttemptState.RUNNING
        handler.may_end.set()
    assert (attempt.outcome, handler.cancels) == (reason, 1)
    assert list(running.ends.ended) == [attempt.task.id, other.task.id]


async def test_what_a_handler_raises_when_it_is_stopped_is_most_likely_the_stopping() -> None:
    async def raises(_: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionError("closed")

    running = a_pool({"*": raises}, options=PATIENT)
    async with running.open():
        attempt = running.start(1)
        await settle_down()
        running.pool.stop(attempt, Cancelled())
    assert running.ends.statuses() == {1: "cancelled"}


async def test_an_attempt_that_is_stopped_before_its_first_step_never_begins() -> None:
    handler = WaitingHandler()
    running = a_pool({"*": handler})
    async with running.open():
        attempt = running.start(1)
        running.pool.stop(attempt, Lost())
    assert (handler.began, attempt.state) == ([], AttemptState.LOST)
    assert running.ends.batches == []


async def test_a_settled_attempt_is_not_stopped_any_more() -> None:
    running = a_pool({"*": nothing})
    running.ends.may_go.clear()
    async with running.open():
        attempt = running.start(1)
        await settle_down()
        running.pool.stop(attempt, Cancelled())
        running.ends.may_go.set()
    assert running.ends.statuses() == {1: "succeeded"}


async def test_all_attempts_are_stopped_at_once() -> None:
    handler = WaitingHandler()
    running = a_pool({"*": handler}, options=PATIENT)
    async with running.open():
        for number in (1, 2):
            running.start(number)
        await settle_down()
        running.pool.stop_all(Cancelled())
    assert running.ends.statuses() == {1: "cancelled", 2: "cancelled"}


async def test_a_timeout_stops_the_handler() -> None:
    handler = WaitingHandler()
    running = a_pool({"*": handler}, options=PATIENT)
    async with running.open():
        running.start(1, timeout=SOON)
        await running.pool.empty()
    [end] = running.ends.ended.values()
    assert (end.status, end.reason, handler.cancels) == ("failed", Reason.TIMEOUT, 1)


async def test_a_timeout_that_does_not_come_leaves_no_timer() -> None:
    running = a_pool({"*": nothing})
    async with running.open():
        attempt = running.start(1, timeout=timedelta(hours=1))
        await running.pool.empty()
    assert attempt.timer is None


async def test_an_abandoned_handler_holds_no_slot_and_changes_nothing(log_lines: LogLines) -> None:
    handler = WaitingHandler(is_stubborn=True)
    running = a_pool({"*": handler})
    abandoned, lingering = HANDLERS_ABANDONED._value.get(), HANDLERS_LINGERING._value.get()
    async with running.open():
        attempt = running.start(1, timeout=SOON)
        await running.pool.empty()
        assert (attempt.state, attempt.is_abandoned) == (AttemptState.RECORDED, True)
        assert running.pool.free_slots == 2
        assert HANDLERS_ABANDONED._value.get() == abandoned + 1
        assert HANDLERS_LINGERING._value.get() == lingering + 1
        assert running.pool.of_task(attempt.handler_task) is attempt, "it still runs"
        handler.may_end.set()
        await settle_down()
        assert HANDLERS_LINGERING._value.get() == lingering
        assert running.pool.of_task(attempt.handler_task) is None
    assert running.ends.statuses() == {1: "failed"}
    task = attempt.task
    facts = {
        "task_id": str(task.id),
        "claim_no": task.claim_no,
        "attempt": task.attempt,
        "worker": "worker",
        "queue": task.queue,
        "type": task.type,
    }
    [line] = log_lines.named("handler.abandoned")
    assert line.items() >= {**facts, "stop_timeout_s": 0.05}.items()
    [late] = log_lines.named("handler.ended_late")
    assert late.items() >= {**facts, "dropped": "succeeded"}.items()


async def test_a_handler_that_cancels_itself_fails_and_the_pool_goes_on() -> None:
    async def cancels_itself(context: Context) -> None:
        task = asyncio.current_task()
        assert task is not None
        if context.task.id.int == 1:
            task.cancel()
            await asyncio.sleep(0)

    running = a_pool({"*": cancels_itself})
    async with running.open():
        attempt = running.start(1)
        running.start(2)
        await running.pool.empty()
    assert running.ends.statuses() == {1: "failed", 2: "succeeded"}
    place = f"{__name__}.{cancels_itself.__qualname__}"
    error = ErrorInfo(type="CancelledError", message="", place=place)
    assert attempt.outcome == Failed(error=error)


async def test_a_type_without_a_handler_is_handed_back() -> None:
    running = a_pool({"other": nothing})
    async with running.open():
        running.start(1)
    [end] = running.ends.ended.values()
    assert (end.event_type, end.reason) == ("handed_back", Reason.NO_HANDLER)


async def test_the_attempt_of_an_asyncio_task_is_known_while_it_runs() -> None:
    handler = WaitingHandler()
    running = a_pool({"*": handler})
    async with running.open():
        first, second = running.start(1), running.start(2)
        assert running.pool.of_task(first.handler_task) is first
        assert running.pool.of_task(second.handler_task) is second
        assert running.pool.of_task(asyncio.current_task()) is None
        assert running.pool.of_task(None) is None
        handler.may_end.set()
        await running.pool.empty()
        await settle_down()
        assert running.pool.of_task(first.handler_task) is None


current: ContextVar[int] = ContextVar("current", default=0)


async def test_what_a_handler_sets_in_its_context_stays_there() -> None:
    async def sets(context: Context) -> None:
        assert current.get() == 0
        current.set(context.task.id.int)

    running = a_pool({"*": sets})
    async with running.open():
        attempts = [running.start(1), running.start(2)]
    assert running.ends.statuses() == {1: "succeeded", 2: "succeeded"}
    assert [attempt.context.get(current) for attempt in attempts] == [1, 2]
    assert current.get() == 0
