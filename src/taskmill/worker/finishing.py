"""Records how claims ended: in batches, under their fences, and again after a lost answer.

A failed connection is no reason to drop a result, nor is any other trouble that is not the result's own: it is
written when the database takes it, as long as the worker runs. Whether it is still wanted then, the fence
decides.
"""

import asyncio
import random
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Claim, Happening, Outcome, Permanent, Succeeded, decide
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import ClaimedTask, Fence
from taskmill.observability.flow import REFUSED, count_ended
from taskmill.observability.logs import get_logger
from taskmill.runtime.batching import Batcher
from taskmill.runtime.clock import Clock
from taskmill.storage import claims, faults
from taskmill.storage.claims import ClaimEnd, EndedClaim
from taskmill.storage.database import Database
from taskmill.worker.execution import describe

log = get_logger(__name__)

_LONGEST_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A claim that this worker runs, and since when by its monotonic clock, in seconds."""

    task: ClaimedTask
    fence: Fence
    began_at: float


class Finishing:
    """Ends attempts. Use it as an async context manager; leaving waits for what was handed in."""

    def __init__(
        self,
        database: Database,
        *,
        worker: str,
        policy: RetryPolicy,
        clock: Clock,
        randomness: random.Random,
        batch_size: int,
    ) -> None:
        self._database = database
        self._worker = worker
        self._policy = policy
        self._clock = clock
        self._randomness = randomness
        self._batch: Batcher[ClaimEnd, EndedClaim | None] = Batcher(
            self._end,
            name="finish",
            max_size=batch_size,
            max_waiting=1_000_000,
            weigh=lambda end: len(end.transition.result or ""),
            is_item_fault=faults.is_item_fault,
        )

    async def __aenter__(self) -> Self:
        await self._batch.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._batch.__aexit__(kind, error, trace)

    async def finish(self, attempt: Attempt, outcome: Outcome) -> None:
        """Record the outcome; one that PostgreSQL refuses as such becomes a failure that says so."""
        ran_s = self._clock.monotonic() - attempt.began_at
        try:
            ended = await self._batch(self._decided(attempt, outcome))
        except Exception as error:  # noqa: BLE001 - whatever the result has in it, the task must end
            log.warning("task.unstorable", task_id=str(attempt.task.id), error=repr(error))
            failure = Permanent(error=describe(error))
            ended = await self._batch(self._decided(attempt, failure))
        if ended is None:
            REFUSED.add(1)
        else:
            count_ended(attempt.task, ended.status, ended.happening, ended.reason, ran_s)
        self._tell(attempt, outcome, ended)

    def _decided(self, attempt: Attempt, outcome: Outcome) -> ClaimEnd:
        task = attempt.task
        claim = Claim(
            attempt=task.attempt,
            max_attempts=task.max_attempts,
            losses=task.losses,
            max_losses=task.max_losses,
            retry=task.retry or self._policy,
        )
        return decided(attempt.fence, outcome, claim, jitter=self._randomness.random())

    async def _end(self, ends: list[ClaimEnd]) -> list[EndedClaim | None]:
        failures = 0
        while True:
            try:
                ended = await claims.end(self._database, ends, worker=self._worker)
                if failures and len(ended) < len(ends):
                    # An earlier try may have ended them, though its answer was lost. The try after it has
                    # waited for it: only now is its history there to be read.
                    missing = [e.fence for e in ends if e.fence.task_id not in ended]
                    ended |= await claims.find_ended(self._database, missing, worker=self._worker)
                return [ended.get(end.fence.task_id) for end in ends]
            except (Unavailable, asyncpg.PostgresError) as error:
                if faults.is_item_fault(error):
                    raise
                failures += 1
                log.warning("finish.delayed", tasks=len(ends), failures=failures, error=str(error))
                await asyncio.sleep(min(0.1 * 2 ** min(failures, 10), _LONGEST_PAUSE_S))

    def _tell(self, attempt: Attempt, outcome: Outcome, ended: EndedClaim | None) -> None:
        task = attempt.task
        event = f"task.{ended.happening}" if ended else "lease.lost"
        level = log.info if ended and ended.happening is not Happening.FAILED else log.warning
        level(
            event,
            task_id=str(task.id),
            claim_no=task.claim_no,
            attempt=task.attempt,
            worker=self._worker,
            queue=task.queue,
            type=task.type,
            duration_ms=round((self._clock.monotonic() - attempt.began_at) * 1000, 1),
            **_details(outcome, ended),
        )


def decided(fence: Fence, outcome: Outcome, claim: Claim, *, jitter: float) -> ClaimEnd:
    """Decide once for each case: PostgreSQL knows at the last moment whether a cancel was asked."""
    transition = decide(outcome, claim, cancel_requested=False, jitter=jitter)
    otherwise = transition
    if not isinstance(outcome, Succeeded):  # a success always wins
        otherwise = decide(outcome, claim, cancel_requested=True, jitter=jitter)
    return ClaimEnd(fence=fence, transition=transition, if_cancel_requested=otherwise)


def _details(outcome: Outcome, ended: EndedClaim | None) -> dict[str, str]:
    details = {}
    error = getattr(outcome, "error", None)
    if error is not None:
        details["error_type"] = error.type
    if ended is None:
        details["dropped"] = type(outcome).__name__.lower()
    elif ended.reason:
        details["reason"] = ended.reason
    if ended is not None and ended.happening in (Happening.RETRY_SCHEDULED, Happening.HANDED_BACK):
        details["run_at"] = ended.run_at.isoformat(timespec="milliseconds")
    return details
