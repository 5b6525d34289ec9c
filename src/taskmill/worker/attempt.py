"""One attempt: a claim that this worker holds, until its outcome is recorded in PostgreSQL.

    claimed ──▶ running ──▶ settled ──▶ recorded
       └───────────────────────▲  └────▶ lost

It only holds state, and refuses invalid changes of it. `pool` owns the attempts and their asyncio tasks, and
`recorder` records their outcomes. There is no I/O here.
"""

import asyncio
from collections.abc import Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

from taskmill.domain.lifecycle import Outcome
from taskmill.domain.task import ClaimedTask, Fence

ClaimKey: TypeAlias = tuple[UUID, int]
"""The id of a task, and the number of a claim of it."""


class AttemptState(StrEnum):
    """The state of an attempt. It holds a slot until it is settled."""

    CLAIMED = "claimed"
    """Its handler has not started."""
    RUNNING = "running"
    SETTLED = "settled"
    """Its outcome is known, and on its way to PostgreSQL."""
    RECORDED = "recorded"
    """PostgreSQL has the outcome."""
    LOST = "lost"
    """The task is no longer this worker's: the outcome was dropped."""


_NEXT: Final[Mapping[AttemptState, frozenset[AttemptState]]] = {
    AttemptState.CLAIMED: frozenset({AttemptState.RUNNING, AttemptState.SETTLED}),
    AttemptState.RUNNING: frozenset({AttemptState.SETTLED}),
    AttemptState.SETTLED: frozenset({AttemptState.RECORDED, AttemptState.LOST}),
    AttemptState.RECORDED: frozenset(),
    AttemptState.LOST: frozenset(),
}


class Span(Protocol):
    """The attempt's part of a trace, where there are traces."""

    def end(self, outcome: Outcome | None) -> None:
        """End it with the attempt's outcome; None if the worker ends before."""
        ...


class InvalidChange(AssertionError):
    """A change that no attempt may make: an error in the worker itself."""


@dataclass(slots=True, kw_only=True, eq=False)
class Attempt:
    """A claim that this worker has held since `began_at`, in seconds by its monotonic clock.

    `stop_reason` is the outcome given with the first request to stop; `ran_s` is how long the attempt took to
    settle. An abandoned attempt is settled without its handler, which goes on running. `timer` fires when the
    attempt times out, or when its handler has not ended in time after a request to stop. `context` is the
    handler's, so that log lines about its end belong to the same trace.
    """

    task: ClaimedTask
    fence: Fence
    began_at: float
    state: AttemptState = AttemptState.CLAIMED
    stop_reason: Outcome | None = None
    outcome: Outcome | None = None
    ran_s: float = 0.0
    is_abandoned: bool = False
    is_replaced: bool = False
    handler_task: asyncio.Task[Any] | None = None
    timer: asyncio.TimerHandle | None = None
    span: Span | None = None
    context: Context = field(default_factory=copy_context, repr=False)

    @property
    def key(self) -> ClaimKey:
        """Its unique key."""
        return (self.fence.task_id, self.fence.claim_no)

    @property
    def is_open(self) -> bool:
        """Whether its outcome is still unknown: it can be stopped, and holds a slot."""
        return self.state is AttemptState.CLAIMED or self.state is AttemptState.RUNNING

    def begin(self) -> None:
        """Mark that its handler starts."""
        self._change(AttemptState.RUNNING)

    def request_stop(self, reason: Outcome) -> bool:
        """Record that it is to stop, with this outcome; False if it has settled, or was to stop already."""
        if not self.is_open or self.stop_reason is not None:
            return False
        self.stop_reason = reason
        self.cancel_timer()
        return True

    def settle(self, outcome: Outcome, *, at: float) -> None:
        """Fix the outcome; `at` is the worker's monotonic time."""
        self._change(AttemptState.SETTLED)
        self.outcome, self.ran_s = outcome, at - self.began_at
        self.cancel_timer()

    def abandon(self) -> None:
        """Detach its running handler: whatever that still does has no effect."""
        if self.state is not AttemptState.RUNNING or self.is_abandoned:
            raise InvalidChange(f"{self.key} can't be abandoned: it is {self.state}")
        self.is_abandoned = True
        self.cancel_timer()

    def replace(self, outcome: Outcome) -> None:
        """Replace its outcome, once, because PostgreSQL refuses it."""
        if self.state is not AttemptState.SETTLED or self.is_replaced:
            raise InvalidChange(f"the outcome of {self.key} can't be replaced: it is {self.state}")
        self.outcome, self.is_replaced = outcome, True

    def record(self) -> None:
        """Mark that its outcome is committed."""
        self._change(AttemptState.RECORDED)

    def lose(self) -> None:
        """Mark that its outcome is dropped: the lease was lost, or the fence refused it."""
        self._change(AttemptState.LOST)

    def _change(self, state: AttemptState) -> None:
        if state not in _NEXT[self.state]:
            raise InvalidChange(f"{self.key} is {self.state}, and can't be {state}")
        self.state = state

    def cancel_timer(self) -> None:
        """Cancel its timer: it has ended in time, or nothing counts any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
