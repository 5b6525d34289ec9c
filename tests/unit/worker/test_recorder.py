"""The recorder without a database: what is written together, again, instead, or not at all."""

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.lifecycle import Cancelled, Failed, Lost, Permanent
from taskmill.observability.flow import ATTEMPTS_LOST, REFUSED
from taskmill.storage.claims import AttemptEnd, EndedAttempt
from taskmill.worker.attempt import Attempt, AttemptState
from taskmill.worker.execution import describe
from taskmill.worker.recorder import Recorder
from tests.support.api import LogLines, log_lines
from tests.support.attempts import (
    AWAY,
    EndsInMemory,
    LateReports,
    a_recorder,
    settle_down,
    settled,
)
from tests.support.clocks import ManualClock

__all__ = ["log_lines"]

FAILURE: Final = Failed(error=describe(ValueError("no")))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskmill.worker.recorder._FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("taskmill.worker.recorder._LONGEST_PAUSE_S", 0.001)


async def ended(recorder: Recorder, count: int) -> list[Attempt]:
    """Return the first `count` attempts that the recorder has ended."""
    found: list[Attempt] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            found += await recorder.ended()
    return found


def refuses(*numbers: int) -> Any:  # noqa: ANN401 - what refuses ends
    """Refuse successes of these tasks, as PostgreSQL refuses what it can't store."""

    def check(end: AttemptEnd) -> Exception | None:
        is_refused = end.transition.status == "succeeded" and end.fence.task_id.int in numbers
        return asyncpg.DataError("invalid byte sequence") if is_refused else None

    return check


Refused: Final = asyncpg.CharacterNotInRepertoireError


def refuses_all_of(number: int) -> Any:  # noqa: ANN401 - what refuses ends
    return lambda end: Refused("whatever it is") if end.fence.task_id.int == number else None


async def test_what_is_put_in_together_is_written_together_and_successes_apart() -> None:
    ends = EndsInMemory()
    attempts = [settled(n) for n in (1, 2, 3)] + [settled(n, FAILURE) for n in (4, 5)]
    async with asyncio.timeout(10), a_recorder(ends) as recorder:
        for attempt in attempts:
            recorder.put(attempt)
        assert set(await ended(recorder, 5)) == set(attempts)
    assert sorted(ends.batches) == [[1, 2, 3], [4, 5]]
    assert ends.statuses() == {
        1: "succeeded",
        2: "succeeded",
        3: "succeeded",
        4: "failed",
        5: "failed",
    }
    assert {attempt.state for attempt in attempts} == {AttemptState.RECORDED}


async def test_what_comes_while_ends_are_written_gathers() -> None:
    ends = EndsInMemory()
    ends.may_go.clear()
    async with asyncio.timeout(10), a_recorder(ends) as recorder:
        for number in range(1, 7):
            recorder.put(settled(number))
            await settle_down()
        assert ends.batches == [[1], [2]], "no more than two at a time"
        ends.may_go.set()
        await ended(recorder, 6)
    assert ends.batches == [[1], [2], [3, 4, 5, 6]]


async def test_closing_the_recorder_waits_until_all_is_written() -> None:
    ends = EndsInMemory()
    ends.may_go.clear()
    attempts = [settled(n) for n in range(1, 6)]

    async def use() -> None:
        async with asyncio.timeout(10), a_recorder(ends, batch_size=1) as recorder:
            for attempt in attempts:
                recorder.put(attempt)

    async with asyncio.TaskGroup() as group:
        using = group.create_task(use())
        await settle_down()
        assert not using.done()
        ends.may_go.set()
    assert [attempt.state for attempt in attempts] == [AttemptState.RECORDED] * 5
    assert ends.batches == [[1], [2], [3], [4], [5]], "as large as they may be"


async def test_the_end_of_an_attempt_that_is_somebody_elses_is_dropped(log_lines: LogLines) -> None:
    ends, attempts = EndsInMemory(), [settled(1), settled(2)]
    ends.stolen.add(attempts[0].task.id)
    before = REFUSED.value()
    async with asyncio.timeout(10), a_recorder(ends) as recorder:
        for attempt in attempts:
            recorder.put(attempt)
        await ended(recorder, 2)
    assert [attempt.state for attempt in attempts] == [AttemptState.LOST, AttemptState.RECORDED]
    [line] = log_lines.named("lease.lost")
    assert (line["task_id"], line["dropped"]) == (str(attempts[0].task.id), "succeeded")
    assert line["level"] == "warning"
    assert REFUSED.value() == before + 1


async def test_an_attempt_whose_lease_is_lost_is_not_written(log_lines: LogLines) -> None:
    ends, attempt, before = EndsInMemory(), settled(1, Lost()), ATTEMPTS_LOST.value()
    async with asyncio.timeout(10), a_recorder(ends) as recorder:
        recorder.put(attempt)
        assert await ended(recorder, 1) == [attempt]
    assert attempt.state is AttemptState.LOST
    assert ends.batches == []
    [line] = log_lines.named("lease.lost")
    task = attempt.task
    assert (line["task_id"], line["claim_no"]) == (str(task.id), task.claim_no)
    assert (line["level"], line["worker"]) == ("warning", "worker")
    assert ATTEMPTS_LOST.value() == before + 1


async def test_an_end_that_can_not_be_stored_harms_no_other(
    log_lines: LogLines,
) -> None:
    ends = EndsInMemory()
    ends.refuses = refuses(3)
    attempts = [settled(n) for n in range(1, 6)]
    async with asyncio.timeout(10), a_recorder(ends) as recorder:
        for attempt in attempts:
            recorder.put(attempt)
        assert len(await ended(recorder, 5)) == 5
    assert ends.statuses() == {
        1: "succeeded",
        2: "succeeded",
        3: "failed",
        4: "succeeded",
        5: "succeeded",
    }
    assert isinstance(attempts[2].outcome, Permanent)
    assert attempts[2].outcome.error.type == "DataError"
    [line] = log_lines.named("task.unstorable")
    assert (line["task_id"], line["error"]) == (
        str(attempts[2].task.id),
        "DataError('invalid byte sequence')",
    )
    assert {attempt.state for attempt in attempts} == {AttemptState.RECORDED}


async def test_an_end_that_is_refused_while_closing_is_written_as_a_failure() -> None:
    ends, attempt = EndsInMemory(), settled(1)
    ends.refuses = refuses(1)
    async with asyncio.timeout(10), a_recorder(ends) as recorder:
        recorder.put(attempt)
    assert ends.statuses() == {1: "failed"}
    assert attempt.state is AttemptState.RECORDED


async def test_an_end_that_is_refused_whatever_it_is_ends_the_recorder_and_leaves_it_settled() -> (
    None
):
    ends, bad, good = EndsInMemory(), settled(1), settled(2)
    ends.refuses = refuses_all_of(1)

    async def use() -> None:
        async with asyncio.timeout(10), a_recorder(ends) as recorder:
            recorder.put(bad)
            recorder.put(good)
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as failed:
        await use()
    assert failed.group_contains(Refused)
    assert (bad.state, bad.is_replaced) == (AttemptState.SETTLED, True)
    assert good.state is AttemptState.RECORDED


async def test_an_outage_is_waited_for_and_no_outcome_is_dropped(log_lines: LogLines) -> None:
    ends, attempts = EndsInMemory(), [settled(n) for n in (1, 2)]
    ends.failures = [AWAY, asyncpg.ConnectionDoesNotExistError("gone"), AWAY]
    async with asyncio.timeout(10), a_recorder(ends) as recorder:
        for attempt in attempts:
            recorder.put(attempt)
        await ended(recorder, 2)
    assert ends.batches == [[1, 2]] * 4
    lines = log_lines.named("finish.delayed")
    assert [(line["failures"], line["tasks"]) for line in lines] == [(1, 2), (2, 2), (3, 2)]
    assert lines[1]["error"] == "gone"
    assert {attempt.state for attempt in attempts} == {AttemptState.RECORDED}


async def test_a_lost_response_is_queried_and_nothing_is_called_lost() -> None:
    ends, attempts = EndsInMemory(), [settled(n) for n in (1, 2)]
    ends.lost_responses = 2
    async with asyncio.timeout(10), a_recorder(ends) as recorder:
        for attempt in attempts:
            recorder.put(attempt)
        await ended(recorder, 2)
    assert {attempt.state for attempt in attempts} == {AttemptState.RECORDED}


class NoQueries(EndsInMemory):
    async def find_ended(self, fences: Sequence[Any]) -> Any:  # noqa: ANN401 - it returns nothing
        raise AssertionError(fences)


async def test_without_a_lost_response_missing_ends_are_not_queried() -> None:
    ends, attempt = NoQueries(), settled(1)
    ends.stolen.add(attempt.task.id)
    async with asyncio.timeout(10), a_recorder(ends) as recorder:
        recorder.put(attempt)
        await ended(recorder, 1)
    assert attempt.state is AttemptState.LOST


async def test_after_an_outage_in_which_nothing_was_stored_nothing_is_queried() -> None:
    ends, attempt = NoQueries(), settled(1)
    ends.failures = [AWAY]
    async with asyncio.timeout(10), a_recorder(ends) as recorder:
        recorder.put(attempt)
        await ended(recorder, 1)
    assert attempt.state is AttemptState.RECORDED


async def test_reports_of_progress_are_stored_before_the_end() -> None:
    ends, reports, attempts = EndsInMemory(), LateReports(), [settled(n) for n in (1, 2)]
    reports.of.add(attempts[0].task.id)
    async with asyncio.timeout(10), a_recorder(ends, progress=reports) as recorder:
        for attempt in attempts:
            recorder.put(attempt)
        assert await ended(recorder, 1) == [attempts[1]], (
            "one waits for nobody's reports but its own"
        )
        await settle_down()
        assert ends.batches == [[2]]
        reports.stored.set()
    assert ends.batches == [[2], [1]]
    assert attempts[0].state is AttemptState.RECORDED


async def test_after_an_error_the_recorder_writes_nothing_more() -> None:
    ends, attempts = EndsInMemory(), [settled(n) for n in range(1, 6)]
    ends.may_go.clear()

    async def use() -> None:
        async with asyncio.timeout(10), a_recorder(ends, batch_size=1) as recorder:
            for attempt in attempts:
                recorder.put(attempt)
            await settle_down()
            raise KeyError

    with pytest.raises(ExceptionGroup):
        await use()
    assert {attempt.state for attempt in attempts} == {AttemptState.SETTLED}
    assert ends.ended == {}


tag: ContextVar[str] = ContextVar("tag", default="none")


async def test_the_line_of_an_end_carries_what_the_handlers_lines_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(Recorder, "_report", lambda *_: seen.append(tag.get()))
    attempts = [settled(n) for n in (1, 2)]
    for attempt, value in zip(attempts, ("first", "second"), strict=True):
        attempt.context.run(tag.set, value)
    async with asyncio.timeout(10), a_recorder(EndsInMemory()) as recorder:
        for attempt in attempts:
            recorder.put(attempt)
    assert seen == ["first", "second"]


async def test_an_end_that_can_not_be_reported_harms_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = Recorder._report

    def fails_once(self: Recorder, attempt: Attempt, end: Any) -> None:  # noqa: ANN401 - how it ended
        if attempt.task.id == UUID(int=1):
            raise KeyError
        report(self, attempt, end)

    monkeypatch.setattr(Recorder, "_report", fails_once)
    attempts = [settled(n) for n in (1, 2, 3)]

    async def use() -> None:
        async with asyncio.timeout(10), a_recorder(EndsInMemory()) as recorder:
            for attempt in attempts:
                recorder.put(attempt)
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as failed:
        await use()
    assert failed.group_contains(KeyError)
    assert failed.group_contains(ExceptionGroup, match=r"^ends that could not be reported \(")
    assert {attempt.state for attempt in attempts} == {AttemptState.RECORDED}


async def test_how_an_attempt_ended_is_logged(log_lines: LogLines) -> None:
    clock, ends = ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), EndsInMemory()
    attempts = [settled(1), settled(2, FAILURE), settled(3, Cancelled())]
    for attempt in attempts:
        attempt.began_at = clock.monotonic() - 1.23456
    async with asyncio.timeout(10), a_recorder(ends, clock=clock) as recorder:
        for attempt in attempts:
            recorder.put(attempt)
    task = attempts[1].task
    facts = {
        "claim_no": task.claim_no,
        "attempt": task.attempt,
        "worker": "worker",
        "queue": task.queue,
        "type": task.type,
        "duration_ms": 1234.6,
    }
    [fine], [failed], [cancelled] = (
        log_lines.named(f"task.{end}") for end in ("succeeded", "failed", "cancelled")
    )
    assert fine.items() >= {**facts, "level": "info", "task_id": str(UUID(int=1))}.items()
    assert fine.keys().isdisjoint({"error_type", "reason", "run_at", "dropped"})
    assert failed.items() >= {**facts, "level": "warning", "task_id": str(UUID(int=2))}.items()
    assert (failed["error_type"], failed["reason"]) == ("ValueError", "error")
    assert (cancelled["level"], cancelled["reason"]) == ("info", "cancelled")


async def test_when_a_task_is_due_again_is_logged(log_lines: LogLines) -> None:
    class RetriesLater(EndsInMemory):
        async def end(self, ends: Sequence[AttemptEnd]) -> Mapping[UUID, EndedAttempt]:
            run_at = datetime(2026, 1, 2, 3, 4, 5, 678_912, tzinfo=UTC)
            found = await super().end(ends)
            return {task_id: replace(end, run_at=run_at) for task_id, end in found.items()}

    async with asyncio.timeout(10), a_recorder(RetriesLater()) as recorder:
        recorder.put(settled(1, FAILURE))
    [line] = log_lines.named("task.failed")
    assert line["run_at"] == "2026-01-02T03:04:05.678+00:00"
