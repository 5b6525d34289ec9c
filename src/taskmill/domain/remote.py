"""What workers that pull over HTTP ask for, and what they get: a lease for each claim.

Which of their claims hold, and what becomes of a task, is decided by the same rules as for any worker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from taskmill.domain.task import ClaimedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """A worker asks for up to `limit` tasks of these queues (none: all) and types.

    The lease is to live `ttl_s` seconds; the worker would wait `wait_s` seconds for the first task.
    """

    worker: str
    queues: frozenset[str]
    types: frozenset[str]
    limit: int
    ttl_s: float
    wait_s: float

    def takes(self, queue: str, task_type: str) -> bool:
        """Tell whether tasks of this queue and type are wanted."""
        return task_type in self.types and (not self.queues or queue in self.queues)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteLease:
    """A lease and the tasks that run under it; it ends at `expires_at` unless it is renewed."""

    id: UUID
    worker: str
    expires_at: datetime
    ttl_s: float
    tasks: Sequence[ClaimedTask]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewedLease:
    """A lease's new end, what still runs under it, and what of that was asked to stop."""

    id: UUID
    expires_at: datetime
    ttl_s: float
    tasks: Sequence[UUID]
    cancel: Sequence[UUID]
