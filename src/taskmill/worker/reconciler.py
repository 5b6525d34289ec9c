"""Gives back what PostgreSQL has as this worker's and nobody runs, as after a claim whose answer was lost."""

from typing import Final
from uuid import UUID

from taskmill.domain.lifecycle import Interrupted, Reason
from taskmill.observability.flow import RECONCILED
from taskmill.observability.logs import get_logger
from taskmill.runtime.clock import Clock
from taskmill.storage import claims
from taskmill.storage.database import Database
from taskmill.worker.ends import decided
from taskmill.worker.lease import LeaseKeeper
from taskmill.worker.pool import AttemptPool

log = get_logger(__name__)

# Once in a while PostgreSQL is asked what it believes we run, for whatever no other rule foresaw.
_AUDIT_S: Final = 60.0
_STOPPED: Final = Interrupted(reason=Reason.WORKER_STOPPED)


class Reconciler:
    """Knows which lease may have claims that the worker does not know of."""

    def __init__(
        self,
        database: Database,
        *,
        worker: str,
        keeper: LeaseKeeper,
        pool: AttemptPool,
        clock: Clock,
    ) -> None:
        self._database = database
        self._worker = worker
        self._keeper = keeper
        self._pool = pool
        self._clock = clock
        self._in_doubt: UUID | None = None
        self._audit_due_at = clock.monotonic() + _AUDIT_S

    def begin_claim(self, lease_id: UUID) -> None:
        """Note that a claim is on its way: until `end_claim` nobody knows what it took."""
        self._in_doubt = lease_id

    def end_claim(self) -> None:
        """Note that the claim's answer has come."""
        self._in_doubt = None

    async def audit(self, lease_id: UUID) -> None:
        """Reconcile if there is doubt, or it has not been done for long; errors are as for `reconcile`."""
        if self._in_doubt is None and self._clock.monotonic() > self._audit_due_at:
            self._in_doubt = lease_id
        if self._in_doubt is not None:
            await self.reconcile()

    async def reconcile(self) -> None:
        """Give back what the lease in doubt has and nobody runs; none when the lease was closed meanwhile.

        Raises:
            Unavailable: the database is away; the doubt stays.
            PostgresError: it refused.
        """
        if self._in_doubt != self._keeper.last_lease_id:
            # It was closed meanwhile: what ran under it is lost, and rescue's to take back.
            self._in_doubt = None
        if self._in_doubt is None:
            return
        held = await claims.find_of_lease(self._database, self._in_doubt)
        orphans = [c for c in held if (c.fence.task_id, c.fence.claim_no) not in self._pool]
        if orphans:
            ends = [decided(c.fence, _STOPPED, c.claim, jitter=0) for c in orphans]
            ended = await claims.end(self._database, ends, worker=self._worker)
            RECONCILED.add(len(ended))
            log.warning("claim.reconciled", worker=self._worker, tasks=len(orphans))
        self._in_doubt = None
        self._audit_due_at = self._clock.monotonic() + _AUDIT_S
