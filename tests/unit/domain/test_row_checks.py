"""A task's rows in `dispatch` and `running`, and its lease, against its own row."""

import pytest

from taskmill.domain.checks import Check, Finding
from taskmill.domain.history import CheckedTask, DispatchRow, RunningRow, TaskRow
from taskmill.domain.lifecycle import EventType
from taskmill.domain.row_checks import dispatch_faults, lease_faults, running_faults
from tests.support.histories import BEGIN, LEASE, SECOND, TASK, History

DISPATCH_ROW = DispatchRow(queue="mail", type="send", priority=4, run_at=BEGIN, expires_at=None)
RUNNING_ROW = RunningRow(claim_no=1, attempt=1, version=2, queue="mail")
WAITS = History().row
RUNS = History()(EventType.CLAIMED).row


def a_task(
    row: TaskRow,
    dispatched: DispatchRow | None = None,
    *,
    running: RunningRow | None = None,
    has_lease: bool = True,
    lease_over_s: float | None = None,
) -> CheckedTask:
    expected = None if running is None else RUNNING_ROW
    return CheckedTask(row, DISPATCH_ROW, dispatched, expected, running, has_lease, lease_over_s)


def test_a_task_that_waits_has_a_row_and_one_that_runs_has_none() -> None:
    assert list(dispatch_faults(a_task(WAITS, DISPATCH_ROW))) == []
    assert list(dispatch_faults(a_task(RUNS))) == []


def test_a_missing_row_and_a_surplus_one_are_found() -> None:
    [missing] = dispatch_faults(a_task(WAITS))
    [surplus] = dispatch_faults(a_task(RUNS, DISPATCH_ROW))
    assert missing == Finding(
        check=Check.DISPATCH_MISSING, task_id=TASK, expected="a row in dispatch", found="none"
    )
    assert surplus == Finding(
        check=Check.DISPATCH_SURPLUS,
        task_id=TASK,
        expected="no row in dispatch",
        found="in_progress",
    )


def test_only_a_task_that_runs_is_in_running() -> None:
    ended = History()(EventType.CLAIMED)(EventType.SUCCEEDED).row
    assert list(running_faults(a_task(WAITS))) == []
    assert list(running_faults(a_task(RUNS, running=RUNNING_ROW))) == []
    [surplus] = running_faults(a_task(ended, running=RUNNING_ROW))
    assert surplus == Finding(
        check=Check.RUNNING_SURPLUS, task_id=TASK, expected="no row in running", found="succeeded"
    )


@pytest.mark.parametrize(
    ("name", "value"), [("claim_no", 0), ("attempt", 3), ("version", 1), ("queue", "q")]
)
def test_a_claim_that_does_not_come_after_the_tasks_row_is_found(name: str, value: object) -> None:
    other = RUNNING_ROW._replace(**{name: value})  # type: ignore[arg-type]  # names are the fields
    [drift] = running_faults(a_task(RUNS, running=other))
    assert drift.check is Check.RUNNING_DRIFT
    assert (drift.expected, drift.found) == (
        f"{name} {getattr(RUNNING_ROW, name)}",
        f"{name} {value}",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("queue", "q"),
        ("type", "t"),
        ("priority", 9),
        ("run_at", BEGIN + SECOND),
        ("expires_at", BEGIN),
    ],
)
def test_a_row_that_differs_is_found_and_the_difference_named(name: str, value: object) -> None:
    other = DISPATCH_ROW._replace(**{name: value})  # type: ignore[arg-type]  # names are the fields
    [drift] = dispatch_faults(a_task(WAITS, other))
    assert drift.check is Check.DISPATCH_DRIFT
    assert (drift.expected, drift.found) == (
        f"{name} {getattr(DISPATCH_ROW, name)}",
        f"{name} {value}",
    )


def test_all_differences_of_a_row_are_one_finding() -> None:
    [drift] = dispatch_faults(a_task(WAITS, DISPATCH_ROW._replace(queue="q", priority=9)))
    assert (drift.expected, drift.found) == ("queue mail, priority 4", "queue q, priority 9")


def test_a_live_or_just_ended_lease_is_no_fault_and_a_waiting_task_needs_none() -> None:
    for over_s in (None, 0.0, 120.0):
        assert list(lease_faults(a_task(RUNS, lease_over_s=over_s))) == []
    assert list(lease_faults(a_task(WAITS, has_lease=False))) == []


def test_a_lease_that_is_missing_or_ended_long_ago_is_found() -> None:
    [missing] = lease_faults(a_task(RUNS, has_lease=False))
    [over] = lease_faults(a_task(RUNS, lease_over_s=121.0))
    assert missing == Finding(
        check=Check.LEASE_MISSING,
        task_id=TASK,
        expected=f"lease {LEASE}",
        found="no such lease",
    )
    assert over == Finding(
        check=Check.LEASE_OVER,
        task_id=TASK,
        expected=f"lease {LEASE} to live",
        found="it ended 121 s ago",
    )
    assert (missing.check.is_warning, over.check.is_warning) == (False, True)
