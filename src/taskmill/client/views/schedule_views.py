"""What the client returns of `taskmill.wire.schedule_views`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from taskmill.client.view import OpenView, View

if TYPE_CHECKING:
    from taskmill.domain.fires import FireCause, FireOutcome
    from taskmill.domain.schedules.spec import CatchUp, Fold, Gap, Overlap

IMPORTED_LATER = {
    "CatchUp": "taskmill.domain.schedules.spec",
    "FireCause": "taskmill.domain.fires",
    "FireOutcome": "taskmill.domain.fires",
    "Fold": "taskmill.domain.schedules.spec",
    "Gap": "taskmill.domain.schedules.spec",
    "Overlap": "taskmill.domain.schedules.spec",
}


class BackfillView(View):
    """The ticks for which a backfill made tasks, or would."""

    ticks: list[datetime]
    dry_run: bool
    next_from: datetime | None
    """`from` of the request that goes on; null when all is done"""


class FireProblem(OpenView):
    """Why a tick made no task, or a schedule was refused: a problem, as a request would get it."""

    type: str
    title: str
    status: int
    detail: str


class FireView(View):
    """What became of a tick, or of several one after another."""

    tick: datetime
    """when it was; of `manual` ones when it was asked for"""
    until_tick: datetime | None
    """the last one, if they are several"""
    ticks: int
    """how many they are"""
    cause: FireCause
    """`tick`: it was due; `catch_up`: it had been missed; `backfill` and `manual`: it was asked for"""
    outcome: FireOutcome
    """
    `created`: a task; `held`: it waits for the task before; else no task: that had not ended
    (`skipped_overlap`), nothing fired in time (`skipped_missed`), the schedule was paused (`skipped_paused`), a
    clock change left it out (`skipped_gap`), or the task was `refused`
    """
    task_id: UUID | None
    cancelled_task_id: UUID | None
    """the task before, which was asked to cancel (`overlap=cancel_running`)"""
    problem: FireProblem | None
    at: datetime
    """when this was recorded"""


class FireList(View):
    """What became of ticks, the latest first."""

    items: list[FireView]
    next_cursor: str | None
    """null on the last page"""


class ScheduleRequestView(View):
    """What SQL has asked for of a schedule (`taskmill.put_schedule`), and is not done."""

    asked_at: datetime
    asked_by: str
    """the login"""
    problem: FireProblem | None
    """why it was refused; null while it waits for maintenance"""


class ScheduleView(View):
    """A schedule as it is shown."""

    name: str
    revision: int
    """grows when it is replaced; the ETag has it. 0 while it is only asked for by SQL"""
    cron: str | None
    every: str | None
    """an ISO 8601 duration"""
    at: list[datetime] | None
    anchor: datetime | None
    zone: str
    gap: Gap
    fold: Fold
    starts_at: datetime | None
    ends_at: datetime | None
    jitter_s: float
    catch_up: CatchUp
    within: str
    """an ISO 8601 duration"""
    most: int
    overlap: Overlap
    task: dict[str, Any]
    """what a task of it looks like; secret values are masked"""
    paused: bool
    paused_at: datetime | None
    next_tick: datetime | None
    """null when there are no more ticks; `jitter_s` delays its task"""
    done_until: datetime
    """`GET …/fires` says of all ticks up to here what became of them"""
    held_tick: datetime | None
    """a tick that waits until `last_task_id` has ended (`overlap=hold_one`)"""
    last_task_id: UUID | None
    """the task that it made last"""
    managed_by: str | None
    """the app whose code declares it; null for others"""
    undeclared_at: datetime | None
    """
    since when the code of that app declares it no longer, for which it was paused; in responses to reads only
    """
    request: ScheduleRequestView | None
    """what SQL has asked for and is not done; in responses to reads only"""
    created_at: datetime
    updated_at: datetime
    """when it was last replaced, paused or resumed"""


class ScheduleList(View):
    """Schedules, the oldest first."""

    items: list[ScheduleView]
    next_cursor: str | None
    """null on the last page"""
