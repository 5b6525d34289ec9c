"""The plan of a sweep: how many tasks are left, and when the next of them is due."""

from datetime import UTC, datetime, timedelta

from taskmill.domain.sweep_plans import SweepPlan, SweepProgress
from taskmill.domain.system import Pace, SweepStep

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def step(matched: int, changed: int) -> SweepStep:
    return SweepStep(matched=matched, changed=changed, requested=0, next_start=None)


def test_without_a_plan_all_are_due_at_once() -> None:
    progress = SweepPlan().begun(NOON)
    assert progress == SweepProgress(remaining=None, pace=None)
    assert progress.after(step(1_000, 1_000)) == progress
    assert not progress.is_over


def test_a_delay_is_from_when_it_begins_and_the_same_for_all() -> None:
    progress = SweepPlan(delay_s=90).begun(NOON).after(step(7, 7))
    assert progress.pace == Pace(first_at=NOON + timedelta(seconds=90), spacing_s=0.0)


def test_the_next_is_due_after_those_that_changed() -> None:
    progress = SweepPlan(spacing_s=0.5).begun(NOON).after(step(5, 4))
    assert progress.pace == Pace(first_at=NOON + timedelta(seconds=2), spacing_s=0.5)


def test_a_number_of_tasks_counts_those_that_fitted() -> None:
    progress = SweepPlan(limit=5).begun(NOON).after(step(3, 1))
    assert (progress.remaining, progress.is_over) == (2, False)
    assert progress.after(step(2, 0)).is_over
    assert progress.after(step(9, 9)).remaining == 0
