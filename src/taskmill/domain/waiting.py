"""Compares where a task waits, and under which lease it runs, with its row."""

from collections.abc import Iterator

from taskmill.domain.audit import Check, Finding
from taskmill.domain.history import AuditedTask, Place
from taskmill.domain.lifecycle import Status

LONG_S = 120.0
"""From when on something that should pass within seconds is worth a warning."""


def waiting_faults(task: AuditedTask) -> Iterator[Finding]:
    """Yield what is wrong with the task's row in `dispatch`: waiting tasks have one, with the same facts."""
    if task.standing.status != Status.NEW:
        if task.dispatched is not None:
            yield _finding(task, Check.DISPATCH_SURPLUS, "no row in dispatch", task.standing.status)
    elif task.dispatched is None:
        yield _finding(task, Check.DISPATCH_MISSING, "a row in dispatch", "none")
    elif task.dispatched != task.place:
        names = [n for n in Place._fields if getattr(task.place, n) != getattr(task.dispatched, n)]
        expected, found = _facts(task.place, names), _facts(task.dispatched, names)
        yield _finding(task, Check.DISPATCH_DRIFT, expected, found)


def lease_faults(task: AuditedTask) -> Iterator[Finding]:
    """Yield what is wrong with the lease of a task that runs."""
    if task.standing.status != Status.IN_PROGRESS:
        return
    lease = f"lease {task.standing.lease_id}"
    if not task.has_lease:
        yield _finding(task, Check.LEASE_MISSING, lease, "no such lease")
    elif task.lease_over_s is not None and task.lease_over_s > LONG_S:
        found = f"it ended {task.lease_over_s:.0f} s ago"
        yield _finding(task, Check.LEASE_OVER, f"{lease} to live", found)


def _facts(place: Place, names: list[str]) -> str:
    return ", ".join(f"{name} {getattr(place, name)}" for name in names)


def _finding(task: AuditedTask, check: Check, expected: str, found: str) -> Finding:
    return Finding(check=check, task_id=task.standing.id, expected=expected, found=found)
