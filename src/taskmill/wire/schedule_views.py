"""Schedules and what became of their ticks, as they are shown."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.fires import FireCause, FireOutcome
from taskmill.domain.schedules.spec import CatchUp, Fold, Gap, Overlap
from taskmill.wire.fields import Timestamp


class FireProblem(BaseModel):
    """Why a tick made no task, or a schedule was refused: a problem, as a request would get it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str


class ScheduleRequestView(BaseModel):
    """What SQL has asked for of a schedule (`taskmill.put_schedule`), and is not done."""

    asked_at: Timestamp
    asked_by: str = Field(description="the login")
    problem: FireProblem | None = Field(
        description="why it was refused; null while it waits for maintenance"
    )


class ScheduleView(BaseModel):
    """A schedule as it is shown."""

    name: str
    revision: int = Field(
        description="grows when it is replaced; the ETag has it. 0 while it is only asked for by SQL"
    )
    cron: str | None
    every: str | None = Field(description="an ISO 8601 duration")
    at: list[Timestamp] | None
    anchor: Timestamp | None
    zone: str
    gap: Gap
    fold: Fold
    starts_at: Timestamp | None
    ends_at: Timestamp | None
    jitter_s: float
    catch_up: CatchUp
    within: str = Field(description="an ISO 8601 duration")
    most: int
    overlap: Overlap
    task: dict[str, Any] = Field(
        description="what a task of it looks like; secret values are masked"
    )
    paused: bool
    paused_at: Timestamp | None
    next_tick: Timestamp | None = Field(
        description="null when there are no more ticks; `jitter_s` delays its task"
    )
    done_until: Timestamp = Field(
        description="`GET …/fires` says of all ticks up to here what became of them"
    )
    held_tick: Timestamp | None = Field(
        description="a tick that waits until `last_task_id` has ended (`overlap=hold_one`)"
    )
    last_task_id: UUID | None = Field(description="the task that it made last")
    managed_by: str | None = Field(description="the app whose code declares it; null for others")
    undeclared_at: Timestamp | None = Field(
        description="since when the code of that app declares it no longer, for which it was paused; in responses "
        "to reads only"
    )
    request: ScheduleRequestView | None = Field(
        description="what SQL has asked for and is not done; in responses to reads only"
    )
    created_at: Timestamp
    updated_at: Timestamp = Field(description="when it was last replaced, paused or resumed")


class ScheduleList(BaseModel):
    """Schedules, the oldest first."""

    items: list[ScheduleView]
    next_cursor: str | None = Field(description="null on the last page")


class BackfillView(BaseModel):
    """The ticks for which a backfill made tasks, or would."""

    ticks: list[Timestamp]
    dry_run: bool
    next_from: Timestamp | None = Field(
        description="`from` of the request that goes on; null when all is done"
    )


class FireView(BaseModel):
    """What became of a tick, or of several one after another."""

    tick: Timestamp = Field(description="when it was; of `manual` ones when it was asked for")
    until_tick: Timestamp | None = Field(description="the last one, if they are several")
    ticks: int = Field(description="how many they are")
    cause: FireCause = Field(
        description="`tick`: it was due; `catch_up`: it had been missed; `backfill` and `manual`: it was asked for"
    )
    outcome: FireOutcome = Field(
        description="`created`: a task; `held`: it waits for the task before; else no task: that had not ended "
        "(`skipped_overlap`), nothing fired in time (`skipped_missed`), the schedule was paused "
        "(`skipped_paused`), a clock change left it out (`skipped_gap`), or the task was `refused`"
    )
    task_id: UUID | None
    cancelled_task_id: UUID | None = Field(
        description="the task before, which was asked to cancel (`overlap=cancel_running`)"
    )
    problem: FireProblem | None
    at: Timestamp = Field(description="when this was recorded")


class FireList(BaseModel):
    """What became of ticks, the latest first."""

    items: list[FireView]
    next_cursor: str | None = Field(description="null on the last page")
