"""Hands back tasks that PostgreSQL counts as this worker's but that it does not run, as after a lost response."""

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

# Now and then PostgreSQL is queried for the tasks that it counts as this worker's, for cases that no other rule
# covers.
_EVERY_S: Final = 60.0
_STOPPED: Final = Interrupted(reason=Reason.WORKER_STOPPED)


class Reconciler:
    """Knows whether the lease may have claims that the worker does not know of."""

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
        self._due_at = clock.monotonic() + _EVERY_S

    def begin_claim(self, lease_id: UUID) -> None:
        """Record that a claim was sent: until `end_claim` it is unknown what it took."""
        self._in_doubt = lease_id

    def end_claim(self) -> None:
        """Record that the response to the claim has arrived."""
        self._in_doubt = None

    async def reconcile_if_due(self, lease_id: UUID) -> None:
        """Reconcile if there is doubt, or if the last time was long ago. Raises as `reconcile` does."""
        if self._in_doubt is None and self._clock.monotonic() > self._due_at:
            self._in_doubt = lease_id
        if self._in_doubt is not None:
            await self.reconcile()

    async def reconcile(self) -> None:
        """Hand back the tasks of the lease in doubt that do not run here, unless it was closed meanwhile.

        Raises:
            Unavailable: the database is away; the doubt remains.
            PostgresError: it refused.
        """
        if self._in_doubt != self._keeper.last_lease_id:
            # It was closed meanwhile: what ran under it is lost, and rescue takes it back.
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
        self._due_at = self._clock.monotonic() + _EVERY_S
