"""Decides how claims end, and records that in PostgreSQL."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from taskmill.domain.lifecycle import AttemptFacts, Outcome, Succeeded, decide, succeeded
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import Fence
from taskmill.storage import claims
from taskmill.storage.claims import AttemptEnd, EndedAttempt
from taskmill.storage.database import Database
from taskmill.worker.attempt import Attempt


class ClaimEnds(Protocol):
    """A store for the ends of claims."""

    async def end(self, ends: Sequence[AttemptEnd]) -> Mapping[UUID, EndedAttempt]:
        """End claims, and return how, by task; those that are missing were no longer this worker's.

        Raises:
            Unavailable: it is unknown whether this was done.
            PostgresError: this was not done.
        """
        ...

    async def find_ended(self, fences: Sequence[Fence]) -> Mapping[UUID, EndedAttempt]:
        """Return how this worker ended these claims, if it did. Raises as `end` does."""
        ...


@dataclass(frozen=True, slots=True)
class StoredEnds:
    """The ends of one worker's claims in PostgreSQL."""

    database: Database
    worker: str

    async def end(self, ends: Sequence[AttemptEnd]) -> Mapping[UUID, EndedAttempt]:
        """End claims whose fence still holds."""
        return await claims.end(self.database, ends, worker=self.worker)

    async def find_ended(self, fences: Sequence[Fence]) -> Mapping[UUID, EndedAttempt]:
        """Return how these claims were ended."""
        return await claims.find_ended(self.database, fences, worker=self.worker)


@dataclass(frozen=True, slots=True)
class EndPolicy:
    """Decides how attempts end, with `retry` for tasks that have no retry policy of their own."""

    retry: RetryPolicy
    randomness: random.Random

    def end_of(self, attempt: Attempt) -> AttemptEnd:
        """Return the end of an attempt that is settled."""
        outcome, task = attempt.outcome, attempt.task
        if isinstance(outcome, Succeeded):  # the fast path for most: a success needs no decision
            end = succeeded(outcome.result)
            return AttemptEnd(fence=attempt.fence, transition=end, if_cancel_requested=end)
        assert outcome is not None  # noqa: S101 - it is settled
        claim = AttemptFacts(
            attempt=task.attempt,
            max_attempts=task.max_attempts,
            losses=task.losses,
            max_losses=task.max_losses,
            retry=task.retry or self.retry,
        )
        return decided(attempt.fence, outcome, claim, jitter=self.randomness.random())


def decided(fence: Fence, outcome: Outcome, claim: AttemptFacts, *, jitter: float) -> AttemptEnd:
    """Decide for both cases: only PostgreSQL knows at the moment of the end whether a cancel was requested."""
    transition = decide(outcome, claim, cancel_requested=False, jitter=jitter)
    otherwise = transition
    if not isinstance(outcome, Succeeded):  # a success always wins
        otherwise = decide(outcome, claim, cancel_requested=True, jitter=jitter)
    return AttemptEnd(fence=fence, transition=transition, if_cancel_requested=otherwise)
