"""Takes back the tasks of workers that no longer renew their lease.

Two steps, never one statement: leases that ran out are closed and that is committed; then every running
task whose lease is closed or missing is taken back under its fence. A claim in flight holds its lease's
lock, so it either commits before the closing and is seen by the second step, or claims nothing.
"""

from collections.abc import Mapping
from uuid import UUID

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Lost, Transition, decide
from taskmill.domain.task import Fence
from taskmill.observability.flow import LEASES_EXPIRED, RESCUED
from taskmill.observability.logs import get_logger
from taskmill.runtime.clock import Clock
from taskmill.storage import claims, faults, leases
from taskmill.storage.claims import AttemptEnd, EndedAttempt, RunningAttempt
from taskmill.storage.database import Database

log = get_logger(__name__)

_MOST_AT_ONCE = 1000


class Rescue:
    """Closes no lease before the database has answered for a whole time to live.

    While the database was away no worker could renew: closing leases at once would run everything again. The
    same holds after this process or its machine has slept; rounds should be `interval_s` apart.
    """

    def __init__(
        self, database: Database, *, ttl_s: float, interval_s: float, name: str, clock: Clock
    ) -> None:
        self._database = database
        self._ttl_s = ttl_s
        self._longest_silence_s = max(ttl_s, 3 * interval_s)
        self._name = name
        self._clock = clock
        self._reachable_since: float | None = None
        self._queried_at = self._responded_at = clock.monotonic()

    async def __call__(self) -> bool:
        """Do one round; True when there is more to take back at once."""
        queried_at = self.note_query()
        try:
            stranded = await self._find_stranded(queried_at)
        except Unavailable:
            self.note_outage()
            raise
        self.note_result()
        if stranded:
            await self._take_back(stranded)
        return len(stranded) == _MOST_AT_ONCE

    def note_query(self) -> float:
        """Note that a query begins, one of ours or one of the `DutyTrigger`; return the time."""
        self._queried_at = self._clock.monotonic()
        if self._queried_at - self._responded_at > self._longest_silence_s:
            self._reachable_since = None
        return self._queried_at

    def note_result(self) -> None:
        """Note that the database has answered."""
        self._responded_at = self._queried_at
        if self._reachable_since is None:
            self._reachable_since = self._queried_at

    def note_outage(self) -> None:
        """Note that the database is away."""
        self._reachable_since = None

    async def _find_stranded(self, queried_at: float) -> list[RunningAttempt]:
        if self._reachable_since is not None and queried_at - self._reachable_since >= self._ttl_s:
            LEASES_EXPIRED.add(len(await leases.close_expired(self._database)))
        return await claims.find_stranded(self._database, _MOST_AT_ONCE)

    async def _take_back(self, stranded: list[RunningAttempt]) -> None:
        # Before the end of the claims: after a crash in between, both are done again.
        await leases.record_lost(self._database, [running.fence for running in stranded])
        ends = [
            AttemptEnd(
                fence=running.fence,
                transition=_transition(running, cancel_requested=False),
                if_cancel_requested=_transition(running, cancel_requested=True),
            )
            for running in stranded
        ]
        ended = await self._end(ends)
        for running in stranded:
            if end := ended.get(running.fence.task_id):
                _report(running, end)

    async def _end(self, ends: list[AttemptEnd]) -> Mapping[UUID, EndedAttempt]:
        """End attempts; a row that PostgreSQL refuses, as it was damaged, keeps no other one."""
        try:
            return await claims.end(self._database, ends, worker=self._name)
        except asyncpg.PostgresError as error:
            if not faults.is_item_fault(error):
                raise
            if len(ends) == 1:
                _report_refusal(ends[0].fence, error)
                return {}
        ended: dict[UUID, EndedAttempt] = {}
        for end in ends:
            ended.update(await self._end([end]))
        return ended


def _transition(running: RunningAttempt, *, cancel_requested: bool) -> Transition:
    return decide(Lost(), running.claim, cancel_requested=cancel_requested, jitter=0)


def _report_refusal(fence: Fence, error: Exception) -> None:
    log.error(
        "task.stranded",
        task_id=str(fence.task_id),
        claim_no=fence.claim_no,
        lease_id=str(fence.lease_id),
        error=faults.in_words(error),
    )


def _report(running: RunningAttempt, end: EndedAttempt) -> None:
    RESCUED.add(1, (end.event_type,))
    event = f"task.{end.event_type}"
    log.warning(
        event,
        task_id=str(running.fence.task_id),
        claim_no=running.fence.claim_no,
        attempt=running.claim.attempt,
        lease_id=str(running.fence.lease_id),
        queue=running.queue,
        status=end.status,
        reason=end.reason,
    )
