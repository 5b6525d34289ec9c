"""What a waiting task waits for, as an operator distinguishes them. It is derived from time, pause and workers.

All of them have the status `new`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

MOST_COUNTED: Final = 10_000
"""So many tasks of each state are counted exactly, in all queues."""


class WaitingState(StrEnum):
    """Why a task waits: for a slot, for its time, for its next attempt, or for an operator."""

    READY = "ready"
    SCHEDULED = "scheduled"
    RETRYING = "retrying"
    HELD = "held"


class WaitingCount(NamedTuple):
    """A number of tasks; at least that if there `are_more`."""

    tasks: int = 0
    are_more: bool = False

    def __str__(self) -> str:
        return f"{self.tasks:,}{'+' if self.are_more else ''}"

    def plus(self, other: "WaitingCount") -> "WaitingCount":
        """Return the sum of both."""
        return WaitingCount(self.tasks + other.tasks, self.are_more or other.are_more)

    def rounded(self) -> "WaitingCount":
        """Return it as it is shown: what is not exact as no more than is counted."""
        return WaitingCount(min(self.tasks, MOST_COUNTED), are_more=True) if self.are_more else self


NO_TASKS: Final = WaitingCount()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingCounts:
    """How many tasks wait, by what they wait for.

    `ready`: due, and a live worker serves them. `scheduled`: due later, for the first time. `retrying`: due later,
    after a failed attempt. `held`: due, but their queue is paused, or no live worker serves them.
    """

    ready: WaitingCount = NO_TASKS
    scheduled: WaitingCount = NO_TASKS
    retrying: WaitingCount = NO_TASKS
    held: WaitingCount = NO_TASKS

    def of(self, state: str) -> WaitingCount:
        """Return the count of a state."""
        count: WaitingCount = getattr(self, WaitingState(state).value)
        return count

    @classmethod
    def total(cls, counts: Iterable["WaitingCounts"]) -> "WaitingCounts":
        """Return the sum of several."""
        sums = dict.fromkeys(WaitingState, NO_TASKS)
        for one in counts:
            for state in WaitingState:
                sums[state] = sums[state].plus(one.of(state))
        return cls(**{str(state): count.rounded() for state, count in sums.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedWaiting:
    """What was counted of a queue: `all` exactly, the others up to a bound, with whether there are more.

    `due` are due now; `unserved` are those among them that no live worker serves.
    """

    all: int
    is_paused: bool
    scheduled: int
    retrying: int
    later_are_more: bool
    due: WaitingCount
    unserved: WaitingCount

    def counts(self) -> WaitingCounts:
        """Return the counts by what the tasks wait for."""
        due = self._due()
        held = due if self.is_paused else self.unserved
        return WaitingCounts(
            ready=NO_TASKS if self.is_paused else self._ready(due).rounded(),
            scheduled=self._later(self.scheduled),
            retrying=self._later(self.retrying),
            held=held.rounded(),
        )

    def _later(self, tasks: int) -> WaitingCount:
        return WaitingCount(tasks, self.later_are_more and tasks > 0).rounded()

    def _ready(self, due: WaitingCount) -> WaitingCount:
        """Return how many of those due a worker serves; of what was counted, if not all unserved ones were."""
        return _difference(self.due if self.unserved.are_more else due, self.unserved)

    def _due(self) -> WaitingCount:
        """Return how many are due: what is left of all, if the others were all counted."""
        if not self.due.are_more:
            return self.due
        if self.later_are_more:
            return self.due
        return WaitingCount(max(self.all - self.scheduled - self.retrying, self.due.tasks))


def _difference(due: WaitingCount, unserved: WaitingCount) -> WaitingCount:
    tasks = max(due.tasks - unserved.tasks, 0)
    return WaitingCount(tasks, due.are_more and tasks > 0)
