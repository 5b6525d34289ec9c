"""Everything for workers that pull over HTTP: claiming, ending, renewing, progress and logs."""

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
from taskmill.operations.pulled_types import PulledTypes
from taskmill.runtime.ids import IdFactory
from taskmill.settings import PullSettings, TaskLogSettings
from taskmill.storage import remote_leases
from taskmill.storage.claims import EndedAttempt
from taskmill.storage.database import Database
from taskmill.storage.remote_leases import ResponseLimit


class Pull:
    """A service for workers that pull over HTTP. Their requests are cut to the limits of the settings."""

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
        """Serve tasks whose payloads have at most `payload_bytes`."""
        self._database = database
        self._settings = settings
        self._first_claims = first_claims
        self._pulled_types = PulledTypes(database)
        self._progress = ProgressReports(database)
        self._logs = PullLogs(database, task_log)
        self._ends = PullEnds(database, policy=policy, randomness=randomness)
        self._claims = PullClaims(
            database,
            check=self._end_refused,
            give_back=self._give_back,
            ids=ids,
            randomness=randomness,
            most_waiting=settings.waiting,
            poll_s=settings.poll_s,
            response_limit=ResponseLimit(
                response_bytes=settings.response_bytes, payload_bytes=payload_bytes
            ),
        )

    @property
    def usual_ttl_s(self) -> float:
        """The default time to live of a lease, in seconds."""
        return self._settings.ttl_s

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then write what is pending."""
        async with self._progress, self._ends:
            await self._claims.run(stop)

    def wake(self) -> None:
        """Claim at once: something may be due."""
        self._claims.wake()

    def close(self) -> None:
        """Let no call wait any longer: this process stops."""
        self._claims.close()

    async def claim(self, wanted: LeaseRequest) -> RemoteLease | None:
        """Return a lease with at least one task, None when none was due in time; as `PullClaims.claim`."""
        limits = self._settings
        wanted = replace(
            wanted,
            limit=min(wanted.limit, limits.tasks),
            ttl_s=self._limited(wanted.ttl_s),
            wait_s=min(wanted.wait_s, limits.wait_s),
        )
        await self._pulled_types.record(wanted.types)
        return await self._claims.claim(wanted)

    def return_lease(self, lease_id: UUID) -> None:
        """Hand back soon the tasks of a lease whose response reached nobody."""
        self._claims.return_lease(lease_id)

    async def renew(self, lease_id: UUID, ttl_s: float | None) -> RenewedLease:
        """Renew a lease; as `PullEnds.renew`."""
        return await self._ends.renew(lease_id, None if ttl_s is None else self._limited(ttl_s))

    async def hand_back(self, lease_id: UUID) -> list[UUID]:
        """End a lease and return what ran under it; as `PullEnds.hand_back`."""
        return await self._ends.hand_back(lease_id)

    async def end(
        self, task_id: UUID, lease_id: UUID, claim_no: int, outcome: Outcome
    ) -> EndedAttempt:
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
        """Store a progress report of a claim.

        Raises:
            TaskNotFound: there is no such task.
            StaleFence: the claim has ended, or never existed.
        """
        fence = Fence(task_id=task_id, lease_id=lease_id, claim_no=claim_no)
        if not await self._progress.store(fence, share, message):
            await self._ends.refuse(fence)

    async def log(
        self, task_id: UUID, lease_id: UUID, claim_no: int, first: int, lines: Sequence[SentLine]
    ) -> int:
        """Store log lines of a claim, numbered from `first`; return how many of them were dropped.

        Raises as `report`.
        """
        fence = Fence(task_id=task_id, lease_id=lease_id, claim_no=claim_no)
        dropped = await self._logs.store(fence, first, lines)
        if dropped is None:
            await self._ends.refuse(fence)
        return dropped

    def _limited(self, ttl_s: float) -> float:
        return min(ttl_s, self._settings.longest_ttl_s)

    async def _end_refused(self, lease: RemoteLease) -> RemoteLease:
        """End the tasks that must not run, such as those with a refused payload; return the lease without them."""
        tasks = []
        for task in lease.tasks:
            outcome = await self._first_claims.outcome(task)
            if outcome is None:
                tasks.append(task)
                continue
            fence = Fence(task_id=task.id, lease_id=lease.id, claim_no=task.claim_no)
            with suppress(TaskNotFound, StaleFence):  # cancelled or lost meanwhile
                await self._ends.end(fence, outcome)
        return replace(lease, tasks=tasks)

    async def _give_back(self, lease_id: UUID) -> None:
        try:
            await self._ends.hand_back(lease_id)
        except LeaseNotFound:
            # Its transaction may still be open: PostgreSQL continues without us.
            if not await remote_leases.add_tombstone(self._database, lease_id):
                await self._ends.hand_back(lease_id)
