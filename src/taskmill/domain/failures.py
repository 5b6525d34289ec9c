"""Kinds of failures: which there are, how often, since when, and what operators decided about each.

`error_kinds` says which kind an error is of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from taskmill.domain.activity import AnyWindow, Window

WINDOWS: Final = (Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH)
"""The spans of time that failures are counted over."""

OTHER: Final = "*"
"""Stands for all kinds of failures beyond the number that is counted separately."""


class KindState(StrEnum):
    """What operators decided about a kind. One that was resolved and failed again has come back by itself."""

    OPEN = "open"
    CAME_BACK = "came_back"
    RESOLVED = "resolved"
    IGNORED = "ignored"


DECISIONS: Final = (KindState.OPEN, KindState.RESOLVED, KindState.IGNORED)
"""The states that operators choose from."""


class KindOrder(StrEnum):
    """The order of kinds: most failures, seen first or last most recently, or growing by most failures.

    Growth is by how many more failed in the second half of the window than in the first.
    """

    MOST = "most"
    NEWEST = "newest"
    LATEST = "latest"
    GROWING = "growing"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindPosition:
    """Where a page begins: after the kind with this id, and this value in the order."""

    value: float
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFilter:
    """Which kinds to list, of what failed over one of `WINDOWS`.

    `text` is in the kind or its message, in any case; with a `label`, a task that has it failed so. Open are those
    that have come back, too.
    """

    window: AnyWindow = Window.DAY
    queue: str | None = None
    type: str | None = None
    text: str | None = None
    state: KindState | None = None
    label: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPoint:
    """How many failed in a step, which begins at `at`."""

    at: datetime
    tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureKind:
    """A kind of failures over a window: how many, of which types, when first and last, and the last task's id.

    `first_at` is when it was ever seen first, as far as that is known; `message` that of its first failure, None
    where it may not be shown. `trend` has the steps in which there were any. `position` is for pages.
    """

    id: str
    kind: str
    message: str | None
    types: Sequence[str]
    tasks: int
    growth: int
    first_at: datetime
    last_at: datetime
    task_id: UUID
    state: KindState
    state_at: datetime | None
    state_by: str | None
    trend: Sequence[TrendPoint]
    value: float

    @property
    def position(self) -> KindPosition:
        """Where the page after it begins."""
        return KindPosition(value=self.value, id=self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailurePage:
    """A page of kinds; `counts` are those that fit by state, on any page, and `tasks` how many failed so.

    `other_tasks` failed in ways beyond the number that is counted separately. `steps` are when the steps of the
    window begin, the last of them now. If `is_sampled`, only the newest tasks of each kind were searched for the
    label.
    """

    items: Sequence[FailureKind]
    has_more: bool
    counts: Mapping[KindState, int] = field(default_factory=dict)
    tasks: int
    other_tasks: int
    steps: Sequence[datetime]
    is_sampled: bool = False

    @property
    def kinds(self) -> int:
        """How many kinds fit, whatever their state."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class KindDetails:
    """A kind over a window, with how many failed by queue and by type, the most frequent first.

    `steps` are those of the window. With none within it, the kind has no trend.
    """

    kind: FailureKind
    queues: Mapping[str, int]
    types: Mapping[str, int]
    steps: Sequence[datetime]
