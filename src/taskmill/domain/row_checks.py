"""Compares a task's rows in `dispatch` and `running`, and its lease, with the task's own row."""

from collections.abc import Iterator
from typing import TypeVar

from taskmill.domain.checks import Check, Finding
from taskmill.domain.history import CheckedTask, DispatchRow, RunningRow
from taskmill.domain.lifecycle import TERMINAL, Status

Row = TypeVar("Row", DispatchRow, RunningRow)

WARN_AFTER_S = 120.0
"""After so long, something that should take seconds is worth a warning."""


def dispatch_faults(task: CheckedTask) -> Iterator[Finding]:
    """Yield what is wrong with the task's row in `dispatch`: only waiting tasks have one, with the same values."""
    if task.row.status != Status.NEW:
        if task.dispatched is not None:
            yield _finding(task, Check.DISPATCH_SURPLUS, "no row in dispatch", task.row.status)
    elif task.dispatched is None:
        yield _finding(task, Check.DISPATCH_MISSING, "a row in dispatch", "none")
    elif task.dispatched != task.expected:
        yield _drift(task, Check.DISPATCH_DRIFT, task.expected, task.dispatched)


def running_faults(task: CheckedTask) -> Iterator[Finding]:
    """Yield what is wrong with the task's row in `running`: it is that of the claim after the task's row."""
    if task.running is None or task.expected_running is None:
        return
    if task.row.status in TERMINAL:
        yield _finding(task, Check.RUNNING_SURPLUS, "no row in running", task.row.status)
    elif task.running != task.expected_running:
        yield _drift(task, Check.RUNNING_DRIFT, task.expected_running, task.running)


def lease_faults(task: CheckedTask) -> Iterator[Finding]:
    """Yield what is wrong with the lease of a task that runs."""
    if task.row.status != Status.IN_PROGRESS:
        return
    lease = f"lease {task.row.lease_id}"
    if not task.has_lease:
        yield _finding(task, Check.LEASE_MISSING, lease, "no such lease")
    elif task.lease_over_s is not None and task.lease_over_s > WARN_AFTER_S:
        found = f"it ended {task.lease_over_s:.0f} s ago"
        yield _finding(task, Check.LEASE_OVER, f"{lease} to live", found)


def _drift(task: CheckedTask, check: Check, expected: Row, found: Row) -> Finding:
    names = [name for name in expected._fields if getattr(expected, name) != getattr(found, name)]
    return _finding(task, check, _values(expected, names), _values(found, names))


def _values(row: Row, names: list[str]) -> str:
    return ", ".join(f"{name} {getattr(row, name)}" for name in names)


def _finding(task: CheckedTask, check: Check, expected: str, found: str) -> Finding:
    return Finding(check=check, task_id=task.row.id, expected=expected, found=found)
