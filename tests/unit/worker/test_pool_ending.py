"""How a pool closes: in order, by an error, cancelled, with handlers that do not end."""

import asyncio
import gc
import weakref
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from taskmill.app import Context
from taskmill.domain.lifecycle import Cancelled, Outcome
from taskmill.observability.metrics import HANDLERS_LINGERING
from taskmill.worker.attempt import Attempt, AttemptState
from taskmill.worker.executor import Executor
from tests.support.api import LogLines, log_lines
from tests.support.attempts import (
    OPTIONS,
    SOON,
    EndsInMemory,
    RunningPool,
    WaitingHandler,
    a_pool,
    nothing,
    settle_down,
)
from tests.support.polling import eventually

__all__ = ["log_lines"]


class RecordedSpan:
    """Records how it was ended."""

    def __init__(self) -> None:
        self.ends: list[Outcome | None] = []

    def end(self, outcome: Outcome | None) -> None:
        """Record it."""
        self.ends.append(outcome)


async def test_a_span_ends_as_its_attempt_also_when_the_handler_goes_on() -> None:
    handler, spans = WaitingHandler(is_stubborn=True), [RecordedSpan(), RecordedSpan()]
    running = a_pool({"stubborn": handler, "*": nothing})
    async with running.open():
        attempts = [running.start(1, type="stubborn", timeout=SOON), running.start(2)]
        for attempt, span in zip(attempts, spans, strict=True):
            attempt.span = span
        await running.pool.empty()
        handler.may_end.set()
    assert [span.ends for span in spans] == [[attempt.outcome] for attempt in attempts]


async def test_a_span_ends_without_an_outcome_when_the_pool_does_by_an_error() -> None:
    running, span = a_pool({"*": WaitingHandler()}), RecordedSpan()

    async def use() -> None:
        async with running.open():
            running.start(1).span = span
            await settle_down()
            raise KeyError

    with pytest.raises(ExceptionGroup):
        await use()
    assert span.ends == [None]


async def test_closing_the_pool_waits_for_handlers_and_for_their_ends() -> None:
    handler, ends = WaitingHandler(), EndsInMemory()
    ends.may_go.clear()
    running = a_pool({"*": handler}, ends=ends)

    async def use() -> None:
        async with running.open():
            running.start(1)

    async with asyncio.TaskGroup() as group:
        using = group.create_task(use())
        await settle_down()
        handler.may_end.set()
        await settle_down()
        assert not using.done()
        ends.may_go.set()
    assert ends.statuses() == {1: "succeeded"}


async def test_a_stubborn_handler_is_left_behind_when_the_pool_closes(log_lines: LogLines) -> None:
    handler = WaitingHandler(is_stubborn=True)
    running = a_pool({"*": handler})
    lingering = HANDLERS_LINGERING._value.get()
    async with running.open():
        attempt = running.start(1)
        await settle_down()
        running.pool.stop_all(Cancelled())
    awaited = asyncio.all_tasks()
    handler.may_end.set()
    assert attempt.handler_task not in awaited, "the loop does not wait for it"
    assert running.ends.statuses() == {1: "cancelled"}
    assert handler.cancels == 2, "when it was stopped, and at the very end"
    assert len(log_lines.named("handler.left_behind")) == 1
    assert HANDLERS_LINGERING._value.get() == lingering + 1
    await settle_down()
    assert len(log_lines.named("handler.ended_late")) == 1
    assert HANDLERS_LINGERING._value.get() == lingering


async def test_only_stubborn_handlers_are_left_behind(log_lines: LogLines) -> None:
    fine, stubborn = WaitingHandler(), WaitingHandler(is_stubborn=True)
    running = a_pool({"stubborn": stubborn, "*": fine})

    async def use() -> None:
        async with running.open():
            running.start(1)
            running.start(2, type="stubborn")
            running.start(3, type="stubborn")
            await settle_down()
            raise KeyError

    with pytest.raises(ExceptionGroup):
        await use()
    left = log_lines.named("handler.left_behind")
    assert [(line["task_id"], line["worker"]) for line in left] == [
        (str(UUID(int=number)), "worker") for number in (2, 3)
    ]
    stubborn.may_end.set()
    await settle_down()


@pytest.mark.parametrize("steps", range(5))
async def test_a_handler_that_ends_in_the_last_moment_hides_no_stubborn_one(
    steps: int, log_lines: LogLines
) -> None:
    """In one of these cases it has ended when the stop timeout has, and its end has not been noticed yet."""

    async def ends_soon(_: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await settle_down(steps)

    stubborn = WaitingHandler(is_stubborn=True)
    options = replace(OPTIONS, stop_timeout_s=0)
    running = a_pool({"stubborn": stubborn, "*": ends_soon}, options=options)

    async def use() -> None:
        async with running.open():
            running.start(1)
            running.start(2, type="stubborn")
            await settle_down()
            raise KeyError

    with pytest.raises(ExceptionGroup):
        await use()
    left = [line["task_id"] for line in log_lines.named("handler.left_behind")]
    assert str(UUID(int=2)) in left
    stubborn.may_end.set()
    await settle_down()


async def test_a_handler_that_is_left_behind_and_then_ends_is_logged_as_cancelled(
    log_lines: LogLines,
) -> None:
    may_end = asyncio.Event()

    async def ends_late(_: Context) -> None:
        try:
            await may_end.wait()
        finally:
            await settle_down()
            await may_end.wait()

    running = a_pool({"*": ends_late}, options=replace(OPTIONS, stop_timeout_s=0))
    with pytest.raises(ExceptionGroup):
        await broken_off(running)
    may_end.set()
    await settle_down(40)
    [late] = log_lines.named("handler.ended_late")
    assert late["dropped"] == "cancelled"


async def test_a_handler_that_is_left_behind_is_forgotten_without_a_word(
    log_lines: LogLines,
) -> None:
    """Asyncio would log an error about each task that is collected before it has ended."""

    async def never_ends(_: Context) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    running = a_pool({"*": never_ends}, options=replace(OPTIONS, stop_timeout_s=0))
    with pytest.raises(ExceptionGroup):
        await broken_off(running)
    [attempt] = running.pool.attempts
    task = weakref.ref(attempt.handler_task)
    del running, attempt
    gc.collect()
    assert task() is None
    assert [line["event"] for line in log_lines.warnings()] == ["handler.left_behind"]


async def broken_off(running: RunningPool, **fields: Any) -> None:  # noqa: ANN401 - the fields of a task
    """Start an attempt, and leave the pool by an error while its handler runs."""
    async with running.open():
        running.start(1, **fields)
        await settle_down()
        raise KeyError


async def test_the_timeout_of_an_attempt_ends_with_its_pool() -> None:
    running, attempts = a_pool({"*": WaitingHandler()}), list[Attempt]()

    async def use() -> None:
        async with running.open():
            attempts.extend(running.start(n, timeout=timedelta(hours=1)) for n in (1, 2))
            await settle_down()
            running.pool.stop(attempts[1], Cancelled())
            raise KeyError

    with pytest.raises(ExceptionGroup):
        await use()
    assert [attempt.timer for attempt in attempts] == [None, None]


@pytest.mark.parametrize("is_stubborn", [False, True])
async def test_a_pool_that_is_cancelled_cancels_handlers_and_records_nothing(
    *, is_stubborn: bool, log_lines: LogLines
) -> None:
    handler = WaitingHandler(is_stubborn=is_stubborn)
    running = a_pool({"*": handler})

    async def use() -> None:
        async with running.open():
            running.start(1)
            await settle_down()
            running.start(2)  # never gets to its first step
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        using = group.create_task(use())
        await eventually(lambda: _has(handler, 1), "a handler that runs")
        using.cancel()
    assert using.cancelled()
    assert handler.cancels >= 1
    assert len(running.pool) == (len(handler.began) if is_stubborn else 0), "ended ones are removed"
    assert running.ends.batches == []
    assert len(log_lines.named("handler.left_behind")) == (len(handler.began) if is_stubborn else 0)
    handler.may_end.set()
    await settle_down()
    assert running.ends.batches == []


async def _has(handler: WaitingHandler, number: int) -> bool:
    return number in handler.began


async def test_errors_of_the_workers_own_end_the_pool(
    monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    handler = WaitingHandler()
    running = a_pool({"*": handler})
    execute = Executor.execute

    async def broken(self: Executor, attempt: Any) -> Any:  # noqa: ANN401 - as `execute`
        if attempt.task.id.int > 1:
            raise KeyError("of the worker")
        return await execute(self, attempt)

    monkeypatch.setattr(Executor, "execute", broken)

    async def use() -> None:
        async with running.open():
            for number in (1, 2, 3):
                running.start(number)
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as failed:
        async with asyncio.timeout(5):
            await use()
    assert failed.group_contains(KeyError)
    assert handler.cancels == 1
    assert running.ends.batches == []
    assert log_lines.warnings() == [], "nor does asyncio complain"


async def test_ends_that_can_not_be_recorded_end_the_pool_and_stay_settled() -> None:
    running = a_pool({"*": nothing})
    running.ends.refuses = lambda _: ValueError("never")

    async def use() -> None:
        async with running.open():
            running.start(1)
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as failed:
        async with asyncio.timeout(5):
            await use()
    assert failed.group_contains(ValueError)
    [attempt] = running.pool.attempts
    assert attempt.state is AttemptState.SETTLED
