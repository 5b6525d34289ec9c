"""How far a schedule comes by a moment, without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from taskmill.domain.advance import (
    Advance,
    advance,
    needs_latest_task,
    next_look,
    settled_until,
    skip_pause,
)
from taskmill.domain.fires import FireCause, FireOutcome, ScheduleContent, StoredSchedule
from taskmill.domain.schedules.spec import Gap, Overlap, ScheduleSpec, TickPolicy

START = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
EVERY_MINUTE = ScheduleSpec(every=MINUTE)
CREATED, HELD = FireOutcome.CREATED, FireOutcome.HELD
MISSED, OVERLAP = FireOutcome.SKIPPED_MISSED, FireOutcome.SKIPPED_OVERLAP
REFUSED = FireOutcome.REFUSED


def a_schedule(moment: datetime, **parts: Any) -> StoredSchedule:  # noqa: ANN401 - its fields
    """A schedule whose cursor is at START."""
    facts: dict[str, Any] = {
        "id": 1,
        "name": "report",
        "revision": 1,
        "content": ScheduleContent(spec="{}", task="{}", queue="q", type="t"),
        "created_at": START,
        "updated_at": START,
        "cursor_at": START,
        "next_at": START + MINUTE,
        "held_tick": None,
        "last_task_id": UUID(int=1),
        "paused_at": None,
        "tz_version": "x",
        "moment": moment,
    }
    return StoredSchedule(**{**facts, **parts})


def after(
    ticks: int,
    overlap: Overlap = Overlap.ALLOW,
    *,
    is_busy: bool = False,
    problem: str | None = None,
    held_tick: datetime | None = None,
) -> Advance:
    """How far it comes when so many ticks are due, the oldest on time."""
    spec = ScheduleSpec(every=SECOND)
    schedule = a_schedule(START + ticks * SECOND, held_tick=held_tick)
    policy = TickPolicy(overlap=overlap)
    return advance(schedule, spec, policy, is_busy=is_busy, problem=problem)


def outcomes(step: Advance) -> list[FireOutcome]:
    return [fire.outcome for fire in step.fires]


def test_each_due_tick_is_accounted_for_and_the_cursor_is_at_the_last_one() -> None:
    step = after(3)
    assert [fire.tick for fire in step.fires] == [START + n * SECOND for n in (1, 2, 3)]
    assert outcomes(step) == [CREATED] * 3
    assert (step.cursor_at, step.next_at) == (START + 3 * SECOND, START + 4 * SECOND)


def test_nothing_becomes_of_ticks_that_are_not_due() -> None:
    step = advance(a_schedule(START + 59 * SECOND), EVERY_MINUTE, TickPolicy())
    assert (step.fires, step.cursor_at, step.next_at) == ((), START, START + MINUTE)


def test_a_clock_that_jumped_back_makes_nothing_and_moves_no_cursor_back() -> None:
    step = advance(a_schedule(START - timedelta(hours=2)), EVERY_MINUTE, TickPolicy())
    assert (step.fires, step.cursor_at) == ((), START)


def test_what_was_missed_is_one_stretch() -> None:
    step = advance(a_schedule(START + 60 * MINUTE), EVERY_MINUTE, TickPolicy())
    [missed, latest] = step.fires
    assert (missed.outcome, missed.ticks) == (MISSED, 59)
    assert (missed.tick, missed.until_tick) == (START + MINUTE, START + 59 * MINUTE)
    assert (latest.outcome, latest.cause) == (CREATED, FireCause.TICK)


def test_a_stretch_of_one_tick_has_no_end() -> None:
    step = advance(a_schedule(START + 2 * MINUTE + SECOND), EVERY_MINUTE, TickPolicy())
    assert [(fire.ticks, fire.until_tick) for fire in step.fires] == [(1, None), (1, None)]


def test_a_tick_that_is_more_than_a_minute_late_is_caught_up_with() -> None:
    spec = ScheduleSpec(every=timedelta(hours=1))
    step = advance(a_schedule(START + 70 * MINUTE), spec, TickPolicy())
    assert [fire.cause for fire in step.fires] == [FireCause.CATCH_UP]


@pytest.mark.parametrize(
    ("overlap", "is_busy", "expected"),
    [
        (Overlap.ALLOW, True, [CREATED, CREATED, CREATED]),
        (Overlap.SKIP, True, [OVERLAP, OVERLAP, OVERLAP]),
        (Overlap.SKIP, False, [CREATED, OVERLAP, OVERLAP]),
        (Overlap.HOLD_ONE, True, [HELD, OVERLAP, OVERLAP]),
        (Overlap.HOLD_ONE, False, [CREATED, HELD, OVERLAP]),
        (Overlap.CANCEL_RUNNING, True, [OVERLAP, OVERLAP, CREATED]),
    ],
)
def test_ticks_overlap_as_the_policy_says(
    overlap: Overlap,
    is_busy: bool,  # noqa: FBT001 - a parameter of the test
    expected: list[FireOutcome],
) -> None:
    step = after(3, overlap, is_busy=is_busy)
    assert outcomes(step) == expected
    assert step.cancels == (overlap is Overlap.CANCEL_RUNNING)


def test_nothing_is_cancelled_when_the_latest_task_has_ended() -> None:
    assert not after(1, Overlap.CANCEL_RUNNING).cancels


def test_a_held_tick_goes_before_those_that_are_due() -> None:
    held = START - MINUTE
    step = after(2, Overlap.HOLD_ONE, held_tick=held)
    assert step.ends_held
    assert outcomes(step) == [HELD, OVERLAP]
    assert step.held_tick == START + SECOND


def test_a_held_tick_waits_and_is_looked_at_in_a_second() -> None:
    held = START - MINUTE
    schedule = a_schedule(START + SECOND, held_tick=held)
    policy = TickPolicy(overlap=Overlap.HOLD_ONE)
    step = advance(schedule, EVERY_MINUTE, policy, is_busy=True)
    assert (step.ends_held, step.held_tick) == (False, held)
    assert step.next_at == START + 2 * SECOND


def test_a_held_tick_goes_though_the_policy_is_another_one_now() -> None:
    schedule = a_schedule(START, held_tick=START - MINUTE)
    assert needs_latest_task(schedule, TickPolicy())
    assert not needs_latest_task(a_schedule(START), TickPolicy())
    step = advance(schedule, EVERY_MINUTE, TickPolicy())
    assert (step.ends_held, step.held_tick) == (True, None)


@pytest.mark.parametrize("overlap", Overlap)
def test_a_template_that_is_refused_makes_refused_ticks_only(overlap: Overlap) -> None:
    step = after(2, overlap, problem="{}")
    assert set(outcomes(step)) <= {REFUSED, OVERLAP}
    assert REFUSED in outcomes(step)
    assert {fire.problem for fire in step.fires if fire.outcome is REFUSED} == {"{}"}
    assert (step.held_tick, step.cancels) == (None, False)


def test_a_tick_that_a_clock_change_leaves_out_makes_no_task_if_so_asked() -> None:
    """02:30 was left out in Berlin on 2026-03-29."""
    spec = ScheduleSpec(cron="30 2 29 3 *", zone="Europe/Berlin", gap=Gap.SKIP)
    gap = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    schedule = a_schedule(gap + SECOND, cursor_at=gap - timedelta(hours=1))
    step = advance(schedule, spec, TickPolicy())
    assert [(fire.tick, fire.outcome) for fire in step.fires] == [(gap, FireOutcome.SKIPPED_GAP)]


def test_ticks_during_a_pause_are_one_stretch_whether_they_are_late_or_not() -> None:
    for minutes in (60, 1):
        step = skip_pause(a_schedule(START + minutes * MINUTE), EVERY_MINUTE)
        [fire] = step.fires
        assert (fire.outcome, fire.ticks) == (FireOutcome.SKIPPED_PAUSED, minutes)
        assert step.cursor_at == START + minutes * MINUTE
    assert skip_pause(a_schedule(START), EVERY_MINUTE).fires == ()


def test_there_is_nothing_to_do_after_the_last_tick_unless_one_is_held() -> None:
    spec = ScheduleSpec(at=(START,))
    assert next_look("report", spec, START) is None
    assert next_look("report", spec, START, held_until=START) == START
    assert next_look("report", spec, START - SECOND) == START


def test_all_is_done_up_to_now_but_not_past_a_tick_that_its_jitter_delays() -> None:
    spec = ScheduleSpec(every=MINUTE, jitter_s=59)
    moment = START + SECOND
    assert settled_until("report", EVERY_MINUTE, START, moment) == moment
    assert settled_until("report", EVERY_MINUTE, moment, START) == moment
    delayed = settled_until("report", spec, START - SECOND, START)
    assert delayed == START - timedelta.resolution
