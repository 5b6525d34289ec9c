"""The work of others over HTTP, as one: claiming, ending, renewing, and what tasks say of themselves."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from taskmill.domain.errors import LeaseNotFound, StaleFence, TaskNotFound
from taskmill.domain.lifecycle import Outcome
from taskmill.domain.remote import LeaseRequest, RemoteLease, RenewedLease
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import Fence
from taskmill.domain.task_log import SentLine
from taskmill.operations.first_claims import FirstClaims
from taskmill.operations.progress import ProgressReports
from taskmill.operations.pull_claims import PullClaims
from taskmill.operations.pull_ends import PullEnds
from taskmill.operations.pull_logs import PullLogs
from taskmill.runtime.ids import IdFactory
from taskmill.settings import PullSettings, TaskLogSettings
from taskmill.storage import remote_leases
from taskmill.storage.claims import EndedClaim
from taskmill.storage.database import Database
from taskmill.storage.remote_leases import ResponseLimit


class Pull:
    """A service for workers that pull over HTTP. What they ask beyond the settings' bounds is cut to them."""

    name = "pull"

    def __init__(
        self,
        database: Database,
        settings: PullSettings,
        *,
        policy: RetryPolicy,
        first_claims: FirstClaims,
        ids: IdFactory,
        randomness: random.Random,
        payload_bytes: int,
        task_log: TaskLogSettings,
    ) -> None:
        """Serve tasks whose payloads have `payload_bytes` at most."""
        self._database = database
        self._settings = settings
        self._first_claims = first_claims
        self._progress = ProgressReports(database)
        self._logs = PullLogs(database, task_log)
        self._ends = PullEnds(database, policy=policy, randomness=randomness)
        self._claims = PullClaims(
            database,
            check=self._without_refused,
            give_back=self._give_back,
            ids=ids,
            randomness=randomness,
            most_waiting=settings.waiting,
            poll_s=settings.poll_s,
            answer_limit=ResponseLimit(
                response_bytes=settings.answer_bytes, payload_bytes=payload_bytes
            ),
        )

    @property
    def usual_ttl_s(self) -> float:
        """The time to live of a lease for which none is asked, in seconds."""
        return self._settings.ttl_s

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop; what was handed in is written first."""
        async with self._progress, self._ends:
            await self._claims.run(stop)

    def wake(self) -> None:
        """Look at once: something may be due."""
        self._claims.wake()

    def close(self) -> None:
        """Let no call wait any more: this process stops."""
        self._claims.close()

    async def claim(self, wanted: LeaseRequest) -> RemoteLease | None:
        """Return a lease with at least one task, None when none came in time; as `PullClaims.claim`."""
        bounds = self._settings
        wanted = replace(
            wanted,
            limit=min(wanted.limit, bounds.tasks),
            ttl_s=self._bounded(wanted.ttl_s),
            wait_s=min(wanted.wait_s, bounds.wait_s),
        )
        return await self._claims.claim(wanted)

    def return_lease(self, lease_id: UUID) -> None:
        """Give back soon what runs under a lease that nobody can have heard of."""
        self._claims.return_lease(lease_id)

    async def renew(self, lease_id: UUID, ttl_s: float | None) -> RenewedLease:
        """Let a lease live on; as `PullEnds.renew`."""
        return await self._ends.renew(lease_id, None if ttl_s is None else self._bounded(ttl_s))

    async def hand_back(self, lease_id: UUID) -> list[UUID]:
        """End a lease and return what ran under it; as `PullEnds.hand_back`."""
        return await self._ends.hand_back(lease_id)

    async def end(
        self, task_id: UUID, lease_id: UUID, claim_no: int, outcome: Outcome
    ) -> EndedClaim:
        """End a claim; as `PullEnds.end`."""
        fence = Fence(task_id=task_id, lease_id=lease_id, claim_no=claim_no)
        return await self._ends.end(fence, outcome)

    async def report(
        self,
        task_id: UUID,
        lease_id: UUID,
        claim_no: int,
        *,
        share: float | None,
        message: str | None,
    ) -> None:
        """Say how far a claim has come.

        Raises:
            TaskNotFound: there is no such task.
            StaleFence: the claim is over, or never was.
        """
        fence = Fence(task_id=task_id, lease_id=lease_id, claim_no=claim_no)
        if not await self._progress.store(fence, share, message):
            await self._ends.refuse(fence)

    async def log(
        self, task_id: UUID, lease_id: UUID, claim_no: int, first: int, lines: Sequence[SentLine]
    ) -> int:
        """Keep what a claim logs, its lines numbered from `first`; return how many of them are left out.

        Raises as `report`.
        """
        fence = Fence(task_id=task_id, lease_id=lease_id, claim_no=claim_no)
        left_out = await self._logs.store(fence, first, lines)
        if left_out is None:
            await self._ends.refuse(fence)
        return left_out

    def _bounded(self, ttl_s: float) -> float:
        return min(ttl_s, self._settings.longest_ttl_s)

    async def _without_refused(self, lease: RemoteLease) -> RemoteLease:
        """End what is not to run, as the tasks whose payloads are refused, and return the lease without it."""
        tasks = []
        for task in lease.tasks:
            outcome = await self._first_claims.outcome(task)
            if outcome is None:
                tasks.append(task)
                continue
            fence = Fence(task_id=task.id, lease_id=lease.id, claim_no=task.claim_no)
            with suppress(TaskNotFound, StaleFence):  # it was cancelled, or lost, meanwhile
                await self._ends.end(fence, outcome)
        return replace(lease, tasks=tasks)

    async def _give_back(self, lease_id: UUID) -> None:
        try:
            await self._ends.hand_back(lease_id)
        except LeaseNotFound:
            # Its transaction may still be under way: PostgreSQL goes on without us.
            if not await remote_leases.add_tombstone(self._database, lease_id):
                await self._ends.hand_back(lease_id)
