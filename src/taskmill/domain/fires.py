"""What became of a schedule's ticks, and a schedule as it is stored. When ticks are, is in `domain/schedules`.

These are named tuples: each tick makes some, and a frozen dataclass takes four times as long to make (2026-11-30).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from taskmill.domain.parts import Part
from taskmill.domain.quotas import QuotaLimit
from taskmill.domain.schedule_requests import ScheduleRequest

HOLD_POLL: Final = timedelta(seconds=1)
"""How often the task is looked at that a held tick waits for."""


class FireCause(StrEnum):
    """Why a schedule fired. A catch-up is for a tick that was missed; `manual` is for no tick."""

    TICK = "tick"
    CATCH_UP = "catch_up"
    BACKFILL = "backfill"
    MANUAL = "manual"


class FireOutcome(StrEnum):
    """What became of a tick."""

    CREATED = "created"
    HELD = "held"
    SKIPPED_OVERLAP = "skipped_overlap"
    SKIPPED_MISSED = "skipped_missed"
    SKIPPED_PAUSED = "skipped_paused"
    SKIPPED_GAP = "skipped_gap"
    REFUSED = "refused"


class Fire(NamedTuple):
    """What became of a tick, or of a stretch of `ticks` ones from `tick` to `until_tick`.

    `task_id` is the task that was made, `cancelled_task_id` the one that was asked to cancel for it; `problem` is
    the problem for which none was made, in JSON. `at` is None until it is stored.
    """

    schedule_id: int
    tick: datetime
    cause: FireCause
    outcome: FireOutcome
    until_tick: datetime | None = None
    ticks: int = 1
    task_id: UUID | None = None
    cancelled_task_id: UUID | None = None
    problem: str | None = None
    at: datetime | None = None

    def with_task(self, task_id: UUID) -> "Fire":
        """Return the same with the task that is made. Quicker than `replace`: each tick needs it."""
        return Fire(
            schedule_id=self.schedule_id,
            tick=self.tick,
            cause=self.cause,
            outcome=self.outcome,
            task_id=task_id,
        )


class FirePart(Part[Fire]):
    """Some fires of a schedule, the latest first; others may be before `next_before`, None if there are none.

    There may be others, though this part is short or empty: it ends after so many fires, whatever their outcome.
    """

    __slots__ = ("next_before",)

    def __init__(self, items: Iterable[Fire], *, next_before: datetime | None) -> None:
        super().__init__(items, has_more=next_before is not None)
        self.next_before = next_before


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTick:
    """The tick for which a schedule made a task; of a `manual` one when it was asked for.

    `queue` is the one that the schedule makes tasks for now, None when it was deleted.
    """

    schedule: str
    queue: str | None
    tick: datetime
    cause: FireCause


class ScheduleContent(NamedTuple):
    """What is stored of a request: `spec` (with its policy) and `task` are JSON, `queue` and `type` the task's."""

    spec: str
    task: str
    queue: str
    type: str
    managed_by: str | None = None
    owner: str | None = None
    owner_quotas: tuple[QuotaLimit, ...] = ()


class StoredSchedule(NamedTuple):
    """A schedule as it was read at `moment`.

    All ticks up to `cursor_at` have their fires. `next_at` is when there is next something to do, None when there
    are no more ticks. With `postponed_since` a tick was due then, and is left for later since. `held_tick` waits
    for `last_task_id`, the task of the latest tick that made one.

    Where that was looked up, `request` is what SQL has asked for and is not done; one that is only asked for has
    revision 0. `undeclared_at` is since when the code of the app that manages it declares it no longer.
    """

    id: int
    name: str
    revision: int
    content: ScheduleContent
    created_at: datetime
    updated_at: datetime
    cursor_at: datetime
    next_at: datetime | None
    held_tick: datetime | None
    last_task_id: UUID | None
    paused_at: datetime | None
    tz_version: str
    moment: datetime
    postponed_since: datetime | None = None
    request: ScheduleRequest | None = None
    undeclared_at: datetime | None = None

    @property
    def held_until(self) -> datetime | None:
        """When the task is looked at that the held tick waits for, None when none is held."""
        return None if self.held_tick is None else self.moment + HOLD_POLL


class TickOfTask(NamedTuple):
    """The tick for which a task was made, and the latest one before it that made a task."""

    tick: datetime
    cause: FireCause
    previous_tick: datetime | None


class ScheduleRevision(NamedTuple):
    """A spec (with its policy, in JSON) that a schedule had for the ticks after `from_tick`."""

    schedule_id: int
    revision: int
    from_tick: datetime
    spec: str
    tz_version: str


class ScheduleStep(NamedTuple):
    """How far a schedule comes by one round, as is recorded with its fires."""

    schedule: StoredSchedule
    cursor_at: datetime
    next_at: datetime | None
    held_tick: datetime | None
    last_task_id: UUID | None
