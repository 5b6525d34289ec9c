"""How many of the tasks that fit a sweep changes, and when those that it retries are due. It changes nothing."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from taskmill.domain.system import Pace, SweepStep

MOST_TASKS: Final = 1_000_000_000
"""A limit of tasks is at most that."""
LEAST_PER_SECOND: Final = 0.01
MOST_PER_SECOND: Final = 100_000
"""Tasks that are run again may be due at a rate between these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepProgress:
    """What is still to be done of a sweep: `remaining` tasks at most (None: all), which are due at a `pace`.

    Without a pace they are due at once.
    """

    remaining: int | None = None
    pace: Pace | None = None

    @property
    def is_over(self) -> bool:
        """Whether as many tasks as wanted have been seen."""
        return self.remaining == 0

    def after(self, step: SweepStep) -> "SweepProgress":
        """Return what is to be done after a step."""
        remaining = None if self.remaining is None else max(self.remaining - step.matched, 0)
        return replace(self, remaining=remaining, pace=self.pace and self.pace.after(step.changed))


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """What is asked for: up to `limit` tasks, the oldest (None: all), due after a delay, one after the other."""

    limit: int | None = None
    delay_s: float = 0.0
    spacing_s: float = 0.0

    @property
    def is_paced(self) -> bool:
        """Whether tasks are due later than at once."""
        return bool(self.delay_s or self.spacing_s)

    def begun(self, now: datetime) -> SweepProgress:
        """Return what is to be done when it begins now."""
        if not self.is_paced:
            return SweepProgress(remaining=self.limit)
        first_at = now + timedelta(seconds=self.delay_s)
        return self.continued(self.limit, first_at)

    def continued(self, remaining: int | None, first_at: datetime | None) -> SweepProgress:
        """Return what is to be done when so many tasks remain (None: all), the first of them due then."""
        pace = None if first_at is None else Pace(first_at=first_at, spacing_s=self.spacing_s)
        return SweepProgress(remaining=remaining, pace=pace)
