"""Records how claims ended: in batches, under their fences, and again after a lost answer.

A failed connection is no reason to drop a result, nor is any other trouble that is not the result's own: it is
written when the database takes it, as long as the worker runs. Whether it is still wanted then, the fence
decides.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeAlias
from uuid import UUID

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import (
    Claim,
    Happening,
    Interrupted,
    Outcome,
    Permanent,
    Succeeded,
    decide,
    succeeded,
)
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
_MOST_NAMED: Final = 100
# Of each kind: together they leave half of the pool's connections to claims and all else.
_MOST_IN_FLIGHT = 2

Then: TypeAlias = Callable[[BaseException | None], None]
"""Hears that an end is written down, or why it never will be."""


@dataclass(slots=True, kw_only=True)
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
        left: Callable[[Collection[UUID]], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._worker = worker
        self._policy = policy
        self._clock = clock
        self._randomness = randomness
        # Bound once: the module's looks for the real one at each line.
        self._log = log.bind()
        # Apart, since a batch of successes alone costs three quarters.
        self._successes = self._batches(batch_size)
        self._others = self._batches(batch_size)
        self._open = AsyncExitStack()
        self._unwritten: dict[_Ending, None] = {}
        self._left = left

    def _batches(self, size: int) -> Batcher[ClaimEnd, EndedClaim | None]:
        return Batcher(
            self._end,
            name="finish",
            max_size=size,
            max_in_flight=_MOST_IN_FLIGHT,
            max_waiting=1_000_000,
            weigh=lambda end: len(end.transition.result or ""),
            is_item_fault=faults.is_item_fault,
        )

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(self._others)
        # Left first: a success that PostgreSQL refuses becomes a failure.
        await self._open.enter_async_context(self._successes)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._open.__aexit__(kind, error, trace)
        finally:
            if self._unwritten:
                self._report_left([*self._unwritten])

    def _report_left(self, endings: Sequence["_Ending"]) -> None:
        """Say which results are lost with this worker: their tasks run again."""
        results = [one.attempt.task.id for one in endings if one.has_result]
        log.error(
            "finish.unwritten",
            worker=self._worker,
            results=len(results),
            handed_back=len(endings) - len(results),
            task_ids=[str(task_id) for task_id in results[:_MOST_NAMED]],
        )
        if results:
            self._left(results)

    def begin(self, attempt: Attempt, outcome: Outcome, then: Then) -> None:
        """Have the outcome written down together with others', and tell `then`.

        No future and no asyncio task for each: a worker ends thousands a second. An outcome that PostgreSQL
        refuses as such becomes a failure that says so.
        """
        ran_s = self._clock.monotonic() - attempt.began_at
        batches = self._successes if isinstance(outcome, Succeeded) else self._others
        ending = _Ending(self, attempt, outcome, ran_s, then)
        batches.put(self._decided(attempt, outcome), ending)
        self._unwritten[ending] = None

    def forget(self, ending: "_Ending") -> None:
        """Count an outcome no more: what becomes of it is known."""
        self._unwritten.pop(ending, None)

    def begin_anew(self, ending: "_Ending", failure: Permanent) -> None:
        """Have a failure written down instead of what PostgreSQL refused."""
        self._others.put(self._decided(ending.attempt, failure), ending)

    def _decided(self, attempt: Attempt, outcome: Outcome) -> ClaimEnd:
        if isinstance(outcome, Succeeded):  # always wins, and knows all: this is what most are
            transition = succeeded(outcome.result)
            return ClaimEnd(
                fence=attempt.fence, transition=transition, if_cancel_requested=transition
            )
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

    def tell(self, attempt: Attempt, outcome: Outcome, ended: EndedClaim | None) -> None:
        """Log how an attempt ended; None: it was no longer ours."""
        task = attempt.task
        event = f"task.{ended.happening}" if ended else "lease.lost"
        is_fine = ended is not None and ended.happening is not Happening.FAILED
        (self._log.info if is_fine else self._log.warning)(
            event,
            task_id=task.id,
            claim_no=task.claim_no,
            attempt=task.attempt,
            worker=self._worker,
            queue=task.queue,
            type=task.type,
            duration_ms=round((self._clock.monotonic() - attempt.began_at) * 1000, 1),
            **_details(outcome, ended),
        )


class _Ending:
    """An outcome on its way: what waits for the answer of the batch that carries it."""

    __slots__ = (
        "_context",
        "_finishing",
        "_is_replaced",
        "_is_told",
        "_outcome",
        "_ran_s",
        "_then",
        "attempt",
    )

    def __init__(
        self, finishing: Finishing, attempt: Attempt, outcome: Outcome, ran_s: float, then: Then
    ) -> None:
        self._finishing = finishing
        self.attempt = attempt
        self._outcome = outcome
        self._ran_s = ran_s
        self._then = then
        self._is_replaced = self._is_told = False
        # What the handler's lines carry, such as a trace, the line of its end carries, too.
        self._context = copy_context()

    @property
    def has_result(self) -> bool:
        """Whether the handler has done something; else the task is only handed back."""
        return not isinstance(self._outcome, Interrupted)

    def done(self) -> bool:
        """Tell whether its end is known: nobody takes an outcome back before."""
        return self._is_told

    def set_result(self, ended: EndedClaim | None) -> None:
        """It is committed, or the fence refused it."""
        try:
            self._context.run(self._count_and_tell, ended)
        except Exception as error:  # noqa: BLE001 - the others of the batch must not suffer
            self._told(error)
        else:
            self._told(None)

    def set_exception(self, error: Exception) -> None:
        """PostgreSQL refused it: whatever the result has in it, the task must end."""
        if self._is_replaced:
            self._told(error)
            return
        self._is_replaced = True
        try:
            self._outcome = Permanent(error=describe(error))
            self._context.run(self._tell_refusal, error)
            self._finishing.begin_anew(self, self._outcome)
        except Exception as refusal:  # noqa: BLE001 - the others of the batch must not suffer
            self._told(refusal)

    def cancel(self) -> None:
        """The worker comes to its end by an error, and writes nothing down any more."""
        self._is_told = True
        self._then(asyncio.CancelledError())

    def _count_and_tell(self, ended: EndedClaim | None) -> None:
        if ended is None:
            REFUSED.add(1)
        else:
            task = self.attempt.task
            count_ended(task, ended.status, ended.happening, ended.reason, self._ran_s)
        self._finishing.tell(self.attempt, self._outcome, ended)

    def _tell_refusal(self, error: Exception) -> None:
        log.warning("task.unstorable", task_id=str(self.attempt.task.id), error=repr(error))

    def _told(self, error: BaseException | None) -> None:
        self._is_told = True
        self._finishing.forget(self)
        self._then(error)


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
    if ended is not None and ended.run_at is not None:
        details["run_at"] = ended.run_at.isoformat(timespec="milliseconds")
    return details
