"""What workers that pull over HTTP request, and what they get: a lease for each claim.

Their claims follow the same rules as those of any worker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from taskmill.domain.task import ClaimedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """A request for up to `limit` tasks of these queues (none: all) and types.

    The lease lives for `ttl_s` seconds; the worker waits up to `wait_s` seconds for the first task.
    """

    worker: str
    queues: frozenset[str]
    types: frozenset[str]
    limit: int
    ttl_s: float
    wait_s: float

    def takes(self, queue: str, task_type: str) -> bool:
        """Return whether tasks of this queue and type are wanted."""
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
    """A lease's new end, the tasks that still run under it, and those of them with a requested cancel."""

    id: UUID
    expires_at: datetime
    ttl_s: float
    tasks: Sequence[UUID]
    cancel: Sequence[UUID]
