"""Which blocker holds a task in progress, for every kind of lease."""

from typing import Any
from uuid import UUID

import pytest

from taskmill.domain.blockers import BlockerName, BlockerState
from taskmill.domain.explain_snapshot import HeldLease
from taskmill.domain.explanation import explain
from taskmill.domain.lifecycle import EventType, Status
from tests.support.explain_snapshots import (
    NOON,
    a_last,
    a_lease,
    a_worker,
    blocker_of,
    facts_of,
    holding,
    in_progress,
    s,
    unreached,
)


def test_a_task_runs_as_long_as_its_lease_holds() -> None:
    c = in_progress()
    assert holding(c) == [BlockerName.RUNNING]
    assert "w1 since 2030-01-31T11:59:55Z (5 s ago), attempt 1 of 3" in explain(c).holding.sentence
    assert explain(c).holding.facts["timeout_at"] is None
    assert BlockerName.LEASE_ENDED in unreached(c)


def test_a_running_task_shows_its_timeout_and_a_requested_cancel() -> None:
    c = in_progress(timeout=s(60), cancel_requested=True, last=a_last(EventType.CANCEL_REQUESTED))
    blocker = explain(c).holding
    assert blocker.facts["timeout_at"] == NOON + s(55)
    assert blocker.facts["cancel_requested_at"] == NOON - s(20)
    assert "(in 55 s). It was asked to stop." in blocker.sentence
    assert "about a second" in (blocker.todo or "")


def test_what_a_damaged_row_lacks_is_left_out() -> None:
    blocker = explain(in_progress(started_at=None, last=None, timeout=s(1))).holding
    assert "w1, attempt" in blocker.sentence
    assert blocker.facts["timeout_at"] is None


@pytest.mark.parametrize(
    ("lease", "liveness", "words"),
    [
        (a_lease(expires_at=NOON - s(1)), "expired", "fell silent"),
        (a_lease(expires_at=NOON), "expired", "fell silent"),
        (
            a_lease(closed_at=NOON, close_reason="expired"),
            "closed",
            "closed at 2030-01-31T12:00:00Z",
        ),
        (a_lease(closed_at=NOON), "closed", "(0.0 s ago)."),
        (None, "missing", "is gone"),
    ],
)
def test_a_task_whose_lease_ended_waits_for_its_rescue(
    lease: HeldLease | None, liveness: str, words: str
) -> None:
    c = in_progress(lease=lease, leases=())
    assert holding(c) == [BlockerName.LEASE_ENDED]
    blocker = explain(c).holding
    assert blocker.facts["lease"] == liveness
    assert words in blocker.sentence
    assert blocker_of(explain(c), BlockerName.RUNNING).state is BlockerState.PASSED
    assert blocker_of(explain(c), BlockerName.MAINTENANCE_AWAY).state is BlockerState.PASSED


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ({}, Status.NEW),
        ({"losses": 3}, Status.FAILED),
        ({"losses": 3, "cancel_requested": True}, Status.CANCELLED),
    ],
)
def test_the_next_status_of_a_lost_task_is_predicted(parts: dict[str, Any], status: Status) -> None:
    c = in_progress(lease=a_lease(expires_at=NOON - s(5)), **parts)
    blocker = explain(c).holding
    assert blocker.facts["next_status"] is status
    assert blocker.facts["rescue_at"] == NOON - s(3)
    assert "was to take the task back" in blocker.sentence


def test_a_rescue_that_does_not_come_means_that_maintenance_is_away() -> None:
    lease = a_lease(renewed_at=NOON - s(100), expires_at=NOON - s(85))
    open_lease = a_worker(renewed_at=lease.renewed_at, expires_at=lease.expires_at)
    c = in_progress(lease=lease, leases=(open_lease, a_worker(id=UUID(int=2))))
    assert holding(c) == [BlockerName.LEASE_ENDED, BlockerName.MAINTENANCE_AWAY]
    # The lease's end, its time to live, and ten seconds.
    assert facts_of(c, BlockerName.MAINTENANCE_AWAY) == {
        "overdue_since": NOON - s(60),
        "leases_to_close": 1,
    }
    assert "1 lease that ran out" in blocker_of(explain(c), BlockerName.MAINTENANCE_AWAY).sentence
    assert "`taskmill run maintenance`" in (explain(c).holding.todo or "")


def test_a_closed_lease_whose_task_was_not_taken_back_means_the_same() -> None:
    lease = a_lease(closed_at=NOON - s(60), close_reason="expired")
    c = in_progress(lease=lease)
    assert holding(c) == [BlockerName.LEASE_ENDED, BlockerName.MAINTENANCE_AWAY]
    assert "wait to be closed" not in blocker_of(explain(c), BlockerName.MAINTENANCE_AWAY).sentence


def test_other_leases_that_stay_open_show_it_before_the_task_s_own_is_late() -> None:
    silent = a_worker(renewed_at=NOON - s(100), expires_at=NOON - s(85))
    c = in_progress(lease=a_lease(expires_at=NOON - s(1)), leases=(silent,))
    assert holding(c) == [BlockerName.LEASE_ENDED, BlockerName.MAINTENANCE_AWAY]
