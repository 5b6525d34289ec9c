"""Compares a task's row in `dispatch`, and the lease that it runs under, with the task's own row."""

from collections.abc import Iterator

from taskmill.domain.audit import Check, Finding
from taskmill.domain.history import AuditedTask, DispatchRow
from taskmill.domain.lifecycle import Status

WARN_AFTER_S = 120.0
"""After so long, something that should take seconds is worth a warning."""


def dispatch_faults(task: AuditedTask) -> Iterator[Finding]:
    """Yield what is wrong with the task's row in `dispatch`: only waiting tasks have one, with the same values."""
    if task.row.status != Status.NEW:
        if task.dispatched is not None:
            yield _finding(task, Check.DISPATCH_SURPLUS, "no row in dispatch", task.row.status)
    elif task.dispatched is None:
        yield _finding(task, Check.DISPATCH_MISSING, "a row in dispatch", "none")
    elif task.dispatched != task.expected:
        names = [
            n
            for n in DispatchRow._fields
            if getattr(task.expected, n) != getattr(task.dispatched, n)
        ]
        expected, found = _values(task.expected, names), _values(task.dispatched, names)
        yield _finding(task, Check.DISPATCH_DRIFT, expected, found)


def lease_faults(task: AuditedTask) -> Iterator[Finding]:
    """Yield what is wrong with the lease of a task that runs."""
    if task.row.status != Status.IN_PROGRESS:
        return
    lease = f"lease {task.row.lease_id}"
    if not task.has_lease:
        yield _finding(task, Check.LEASE_MISSING, lease, "no such lease")
    elif task.lease_over_s is not None and task.lease_over_s > WARN_AFTER_S:
        found = f"it ended {task.lease_over_s:.0f} s ago"
        yield _finding(task, Check.LEASE_OVER, f"{lease} to live", found)


def _values(row: DispatchRow, names: list[str]) -> str:
    return ", ".join(f"{name} {getattr(row, name)}" for name in names)


def _finding(task: AuditedTask, check: Check, expected: str, found: str) -> Finding:
    return Finding(check=check, task_id=task.row.id, expected=expected, found=found)
