"""One attempt: a claim that this worker holds, from its answer until PostgreSQL has its end.

    claimed ──▶ running ──▶ settled ──▶ recorded
       └───────────────────────▲  └────▶ lost

It holds what is known, and refuses changes that make no sense. `pool` owns the attempts and their
asyncio tasks, and `recorder` writes their outcomes down. There is no I/O here.
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
    """How far an attempt has come. It holds a slot until it is settled."""

    CLAIMED = "claimed"
    """Its handler has not begun."""
    RUNNING = "running"
    SETTLED = "settled"
    """Its outcome is known, and on its way to PostgreSQL."""
    RECORDED = "recorded"
    """PostgreSQL has the outcome."""
    LOST = "lost"
    """Somebody else has the task: the outcome counts no more."""


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
        """End it as the attempt ends; None when the worker ends before."""
        ...


class InvalidChange(AssertionError):
    """An attempt was to change as none may: an error of the worker's own."""


@dataclass(slots=True, kw_only=True, eq=False)
class Attempt:
    """A claim that this worker holds since `began_at`, in seconds by its monotonic clock.

    `stop_reason` is the outcome that whoever stopped the attempt gave it; `ran_s` is how long it took to settle.
    An abandoned attempt is settled without its handler, which goes on. `timer` is what ends the time of the
    attempt, or of the handler after it was stopped. `context` is the handler's: log lines of its trace are written
    in it.
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
        """What names it: no other attempt has the same."""
        return (self.fence.task_id, self.fence.claim_no)

    @property
    def is_open(self) -> bool:
        """Whether its outcome is not known yet, so that it can be stopped, and holds a slot."""
        return self.state is AttemptState.CLAIMED or self.state is AttemptState.RUNNING

    def begin(self) -> None:
        """Its handler begins."""
        self._change(AttemptState.RUNNING)

    def request_stop(self, reason: Outcome) -> bool:
        """Note that it is to stop, and as what; False when it need not, or was asked before."""
        if not self.is_open or self.stop_reason is not None:
            return False
        self.stop_reason = reason
        self._cancel_timer()
        return True

    def settle(self, outcome: Outcome, *, at: float) -> None:
        """Fix the outcome; `at` is the worker's monotonic time."""
        self._change(AttemptState.SETTLED)
        self.outcome, self.ran_s = outcome, at - self.began_at
        self._cancel_timer()

    def abandon(self) -> None:
        """Leave its handler, which runs, to itself: whatever that still does changes nothing."""
        if self.state is not AttemptState.RUNNING or self.is_abandoned:
            raise InvalidChange(f"{self.key} can't be abandoned: it is {self.state}")
        self.is_abandoned = True

    def replace(self, outcome: Outcome) -> None:
        """Have another outcome written, once: PostgreSQL refuses the one it has."""
        if self.state is not AttemptState.SETTLED or self.is_replaced:
            raise InvalidChange(f"the outcome of {self.key} can't be replaced: it is {self.state}")
        self.outcome, self.is_replaced = outcome, True

    def record(self) -> None:
        """Its outcome is committed."""
        self._change(AttemptState.RECORDED)

    def lose(self) -> None:
        """Its outcome is dropped: the lease was lost, or the fence refused it."""
        self._change(AttemptState.LOST)

    def _change(self, state: AttemptState) -> None:
        if state not in _NEXT[self.state]:
            raise InvalidChange(f"{self.key} is {self.state}, and can't be {state}")
        self.state = state

    def _cancel_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
