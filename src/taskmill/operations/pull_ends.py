"""Ends claims of workers that pull over HTTP, by the same decision and statement as any claim.

Ends that come at the same time share their statements. One that is repeated because its response was lost returns
the result of the first one.
"""

import random
from collections.abc import Sequence
from typing import NoReturn, TypeAlias, TypeVar
from uuid import UUID

from taskmill.domain.errors import (
    CancelNotRequested,
    LeaseClosed,
    LeaseNotFound,
    StaleFence,
    Unavailable,
)
from taskmill.domain.lifecycle import (
    Cancelled,
    EventType,
    Interrupted,
    Outcome,
    Reason,
    Status,
    Succeeded,
    decide,
)
from taskmill.domain.remote import RenewedLease
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import Fence
from taskmill.observability.flow import LEASES_LOST, LEASES_RENEWED, REFUSED, count_ended
from taskmill.observability.logs import get_logger
from taskmill.runtime.batching import Batcher, Overloaded
from taskmill.runtime.context_owner import ContextOwner
from taskmill.storage import claims, faults, remote_leases, tasks
from taskmill.storage.claims import AttemptEnd, EndedAttempt
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.remote_leases import RemoteAttempt

log = get_logger(__name__)

_MOST_AT_ONCE = 500
_FINISHED = "finished"
_STOPPED = "stopped"
# A renewal that comes late for these has lost nothing.
_BY_ITS_WORKER = frozenset({_FINISHED, _STOPPED})
# The reasons in the history of an attempt that its worker reported as failed.
_FAILURES = frozenset({Reason.ERROR, Reason.RETRY_REQUESTED, Reason.PERMANENT})

Item = TypeVar("Item")
Result = TypeVar("Result")
_Ending: TypeAlias = tuple[Fence, Outcome]


class PullEnds(ContextOwner):
    """Ends claims and renews leases. Use it as an async context manager; leaving waits for what is pending."""

    def __init__(
        self, database: Database, *, policy: RetryPolicy, randomness: random.Random
    ) -> None:
        self._database = database
        self._policy = policy
        self._randomness = randomness
        self._ends: Batcher[_Ending, EndedAttempt | CancelNotRequested | None] = Batcher(
            self._end_all,
            name="finish",
            max_size=_MOST_AT_ONCE,
            weigh=lambda ending: len(getattr(ending[1], "result", None) or ""),
            is_item_fault=faults.is_item_fault,
            may_be_item_fault=faults.may_be_item_fault,
        )
        self._renewals: Batcher[tuple[UUID, float | None], RenewedLease | None] = Batcher(
            self._renew_all,
            name="renew",
            max_size=_MOST_AT_ONCE,
            may_be_item_fault=faults.may_be_item_fault,
        )
        super().__init__(self._ends, self._renewals)

    async def end(self, fence: Fence, outcome: Outcome) -> EndedAttempt:
        """End a claim and return after the commit. The same end sent again returns the first one's result.

        Raises:
            TaskNotFound: there is no such task.
            StaleFence: the claim has ended in another way, or is not of a lease over HTTP.
            CancelNotRequested: it is to end as cancelled, and no cancel was requested.
        """
        ended = await _submit(self._ends, (fence, outcome))
        if isinstance(ended, CancelNotRequested):
            raise ended
        return ended or await self._earlier_end(fence, outcome)

    async def refuse(self, fence: Fence) -> NoReturn:
        """Raise `TaskNotFound` or `StaleFence` for a fence that does not hold, and log it."""
        await tasks.get_one(self._database, fence.task_id)
        REFUSED.add(1)
        log.warning(
            "lease.lost",
            task_id=str(fence.task_id),
            claim_no=fence.claim_no,
            lease_id=str(fence.lease_id),
        )
        raise StaleFence(fence.task_id, fence.claim_no)

    async def renew(self, lease_id: UUID, ttl_s: float | None) -> RenewedLease:
        """Renew a lease for `ttl_s` seconds from now (None: as many as before).

        Raises:
            LeaseNotFound: there is no such lease over HTTP.
            LeaseClosed: it has ended.
        """
        renewed = await _submit(self._renewals, (lease_id, ttl_s))
        if renewed is not None:
            return renewed
        state = await remote_leases.find(self._database, lease_id)
        if state is None or not state.is_closed:
            raise LeaseNotFound(lease_id)
        if state.reason not in _BY_ITS_WORKER:
            LEASES_LOST.inc()
        raise LeaseClosed(lease_id, state.reason)

    async def hand_back(self, lease_id: UUID) -> list[UUID]:
        """End a lease; its running tasks wait again, or are cancelled if requested. A repeat does nothing.

        Returns the tasks that ran. Their attempts do not count. They are handed back before the lease is closed:
        otherwise rescue might come between, and count losses.

        Raises:
            LeaseNotFound: there is no such lease over HTTP.
        """
        held = await remote_leases.find_of_lease(self._database, lease_id)
        if not held and await remote_leases.find(self._database, lease_id) is None:
            raise LeaseNotFound(lease_id)
        ended = await self._record([(claim, Interrupted()) for claim in held])
        await remote_leases.settle(self._database, [lease_id], _STOPPED)
        return list(ended)

    async def _end_all(
        self, endings: list[_Ending]
    ) -> Sequence[EndedAttempt | CancelNotRequested | None]:
        found = await remote_leases.find_attempts(self._database, {fence for fence, _ in endings})
        # Of two ends of one claim the first one counts; the other returns what became of it.
        chosen: dict[Fence, Outcome] = {}
        mine: list[bool] = []
        for fence, outcome in endings:
            claim = found.get(fence)
            is_allowed = claim is not None and (
                claim.cancel_requested or not isinstance(outcome, Cancelled)
            )
            mine.append(is_allowed and fence not in chosen)
            if mine[-1]:
                chosen[fence] = outcome
        ended = await self._record([(found[fence], outcome) for fence, outcome in chosen.items()])
        await self._settle({fence.lease_id for fence in chosen})
        return [
            _result(fence, outcome, found, ended.get(fence.task_id) if is_mine else None)
            for (fence, outcome), is_mine in zip(endings, mine, strict=True)
        ]

    async def _record(
        self, endings: Sequence[tuple[RemoteAttempt, Outcome]]
    ) -> dict[UUID, EndedAttempt]:
        ends = [
            decided(claim, outcome, self._policy, jitter=self._randomness.random())
            for claim, outcome in endings
        ]
        ended = await claims.end(self._database, ends, worker=None)
        for claim, outcome in endings:
            if how := ended.get(claim.fence.task_id):
                report_end(claim, outcome, how)
        return ended

    async def _settle(self, lease_ids: set[UUID]) -> None:
        """Close leases without tasks; one that stays open because this fails runs out by itself."""
        if not lease_ids:
            return
        try:
            await remote_leases.settle(self._database, lease_ids, _FINISHED)
        except Exception as error:  # noqa: BLE001 - the ends are committed already
            log.info("lease.left_open", leases=len(lease_ids), error=repr(error))

    async def _renew_all(
        self, renewals: list[tuple[UUID, float | None]]
    ) -> Sequence[RenewedLease | None]:
        renewed = await remote_leases.renew(self._database, dict(renewals))
        LEASES_RENEWED.inc(len(renewed))
        return [renewed.get(lease_id) for lease_id, _ in renewals]

    async def _earlier_end(self, fence: Fence, outcome: Outcome) -> EndedAttempt:
        before = await remote_leases.find_own_end(self._database, fence)
        if before is None or not _is_end_of(outcome, before):
            await self.refuse(fence)
        return before


async def _submit(batch: Batcher[Item, Result], item: Item) -> Result:
    """Add an item to a batch. Raises `Unavailable` when too many wait already."""
    try:
        return await batch(item)
    except Overloaded as error:
        raise Unavailable(RETRY_AFTER_S, "room for more requests") from error


def decided(
    claim: RemoteAttempt, outcome: Outcome, policy: RetryPolicy, *, jitter: float
) -> AttemptEnd:
    """Decide for both cases: only the statement sees whether a cancel was requested."""
    facts = claim.facts(policy)
    return AttemptEnd(
        fence=claim.fence,
        transition=decide(outcome, facts, cancel_requested=False, jitter=jitter),
        if_cancel_requested=decide(outcome, facts, cancel_requested=True, jitter=jitter),
    )


def report_end(claim: RemoteAttempt, outcome: Outcome, ended: EndedAttempt) -> None:
    """Log and count how a claim ended."""
    count_ended(claim, ended.status, ended.event_type, ended.reason, claim.ran_s)
    facts: dict[str, object] = {}
    if error := getattr(outcome, "error", None):
        facts["error_type"] = error.type
    if ended.reason:
        facts["reason"] = ended.reason
    if ended.run_at is not None:
        facts["run_at"] = ended.run_at.isoformat(timespec="milliseconds")
    level = log.warning if ended.event_type is EventType.FAILED else log.info
    level(
        f"task.{ended.event_type}",
        task_id=str(claim.fence.task_id),
        claim_no=claim.fence.claim_no,
        attempt=claim.attempt,
        worker=claim.worker,
        queue=claim.queue,
        type=claim.type,
        duration_ms=round(claim.ran_s * 1000, 1),
        **facts,
    )


def _result(
    fence: Fence,
    outcome: Outcome,
    found: dict[Fence, RemoteAttempt],
    ended: EndedAttempt | None,
) -> EndedAttempt | CancelNotRequested | None:
    claim = found.get(fence)
    if ended is None and claim is not None and isinstance(outcome, Cancelled):
        return None if claim.cancel_requested else CancelNotRequested(fence.task_id)
    return ended


def _is_end_of(outcome: Outcome, before: EndedAttempt) -> bool:
    """Return whether a claim ended by such an outcome; a failure may have become a cancel."""
    match outcome:
        case Succeeded():
            return before.status is Status.SUCCEEDED
        case Cancelled():
            return before.event_type is EventType.CANCELLED
        case _:
            is_cancelled = before.event_type is EventType.CANCELLED
            return is_cancelled or before.reason in _FAILURES
