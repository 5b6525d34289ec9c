"""What a schedule asks for: when it has ticks (`ScheduleSpec`), and what becomes of them (`TickPolicy`).

It computes no tick, see `ticks`, and says nothing about what is not allowed, see `rules`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

DEFAULT_ZONE: Final = "UTC"
DEFAULT_ANCHOR: Final = datetime(2001, 1, 1, tzinfo=UTC)
"""A Monday, from which intervals without an anchor are counted: `PT15M` has ticks at :00, :15, :30 and :45."""

FIRST_TICK: Final = datetime(2000, 1, 1, tzinfo=UTC)
END_OF_TICKS: Final = datetime(2101, 1, 1, tzinfo=UTC)
"""No schedule has a tick before `FIRST_TICK`, or from this time on: tasks can't have other times, either."""


class Gap(StrEnum):
    """What becomes of local times that a clock change leaves out. Programs may rely on these names."""

    END = "end"
    SKIP = "skip"


class Fold(StrEnum):
    """When there are ticks at local times that a clock change repeats. Programs may rely on these names."""

    FIRST = "first"
    LAST = "last"
    BOTH = "both"


class ClockNote(StrEnum):
    """What a clock change has to do with a tick. Programs may rely on these names."""

    AFTER_GAP = "after_gap"
    SKIPPED_GAP = "skipped_gap"
    FOLD_FIRST = "fold_first"
    FOLD_LAST = "fold_last"


class CatchUp(StrEnum):
    """Which of the missed ticks get a task after all. Programs may rely on these names."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


class Overlap(StrEnum):
    """What a tick does while the task of an earlier one has not ended. Programs may rely on these names."""

    ALLOW = "allow"
    SKIP = "skip"
    HOLD_ONE = "hold_one"
    CANCEL_RUNNING = "cancel_running"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec:
    """When a schedule has ticks: exactly one of `cron`, `every` and `at` is given.

    `at` is ascending. Ticks are from `starts_at` on, and before `ends_at`. All times are aware.
    """

    cron: str | None = None
    every: timedelta | None = None
    at: tuple[datetime, ...] = ()
    anchor: datetime | None = None
    zone: str = DEFAULT_ZONE
    gap: Gap = Gap.END
    fold: Fold = Fold.FIRST
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    jitter_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TickPolicy:
    """What becomes of ticks that were missed, and of those that come while an earlier one's task has not ended.

    A missed tick gets a task only if it is at most `within` late; with `all` the newest `most` of them do.
    """

    catch_up: CatchUp = CatchUp.LATEST
    within: timedelta = timedelta(hours=1)
    most: int = 100
    overlap: Overlap = Overlap.ALLOW
