"""Schedules as they are shown, and the requests that change them; what creates them is in `schedule_requests`."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.errors import InvalidInput
from taskmill.domain.fires import Fire, FireCause, FireOutcome, StoredSchedule
from taskmill.domain.schedules.spec import CatchUp, Fold, Gap, Overlap
from taskmill.domain.schedules.ticks import next_tick
from taskmill.wire import fields
from taskmill.wire.encoding import Fragment, encode_json, fields_of, format_optional
from taskmill.wire.fields import Expected, Flag, Timestamp
from taskmill.wire.stored_schedules import read_spec
from taskmill.wire.violations import validated

_BODY: Final = ConfigDict(strict=True, extra="forbid", frozen=True)
_EARLIEST: Final = timedelta(days=366 * 10)


class ScheduleView(BaseModel):
    """A schedule as it is shown."""

    name: str
    revision: int = Field(description="grows when it is replaced; the ETag has it")
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
    created_at: Timestamp
    updated_at: Timestamp = Field(description="when it was last replaced, paused or resumed")


class ScheduleList(BaseModel):
    """Schedules, the oldest first."""

    items: list[ScheduleView]
    next_cursor: str | None = Field(description="null on the last page")


class ChangeSchedule(BaseModel):
    """A request to pause a schedule, or to have it go on."""

    model_config = ConfigDict(**_BODY, json_schema_extra={"examples": [{"paused": True}]})

    paused: Flag = Field(
        description="ticks of a paused one make no task, and are recorded as skipped"
    )
    catch_up: Annotated[Literal["all"], Expected("all, or null", reveal=True)] | None = Field(
        default=None,
        description="with `paused: false`: make tasks for the ticks since it was paused, within its `within` and "
        "`most`. Else it goes on with the next tick",
    )


class BackfillSchedule(BaseModel):
    """A request to make tasks for ticks of the past that made none."""

    model_config = ConfigDict(
        **_BODY,
        json_schema_extra={
            "examples": [{"from": "2030-01-30T00:00:00Z", "to": "2030-01-31T00:00:00Z"}]
        },
    )

    from_: fields.RequestedTime = Field(alias="from", description="from this tick on")
    to: fields.RequestedTime = Field(description="up to this tick; at most as far as `done_until`")
    priority: fields.Priority = Field(default=0, description="of these tasks: 0, the least urgent")
    dry_run: Flag = Field(default=False, description="only say which ticks there are")


class BackfillView(BaseModel):
    """The ticks for which a backfill made tasks, or would."""

    ticks: list[Timestamp]
    dry_run: bool
    next_from: Timestamp | None = Field(
        description="`from` of the request that goes on; null when all is done"
    )


class FireProblem(BaseModel):
    """Why a tick made no task: a problem, as a request with its template would get it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str


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


def to_schedule_change(body: object) -> ChangeSchedule:
    """Return the requested change in a parsed body. Raises `InvalidInput`."""
    change = validated(ChangeSchedule, body)
    if change.paused and change.catch_up is not None:
        raise InvalidInput.at("/catch_up", "nothing: it is for `paused: false`", change.catch_up)
    return change


def to_backfill(body: object) -> BackfillSchedule:
    """Return the requested backfill in a parsed body. Raises `InvalidInput`."""
    wanted = validated(BackfillSchedule, body)
    if wanted.to < wanted.from_:
        raise InvalidInput.at("/to", "a time from `from` on", "one before it")
    if wanted.to - wanted.from_ > _EARLIEST:
        raise InvalidInput.at("/to", "a time within 10 years of `from`", "one after that")
    return wanted


def schedule_json(schedule: StoredSchedule, task: str) -> bytes:
    """Return a schedule as a `ScheduleView` in JSON; `task` is its template as the reader may see it."""
    return encode_json(_fields(schedule, task))


def schedules_json(items: Iterable[tuple[StoredSchedule, str]], next_cursor: str | None) -> bytes:
    """Return a page as a `ScheduleList` in JSON."""
    shown = [_fields(schedule, task) for schedule, task in items]
    return encode_json({"items": shown, "next_cursor": next_cursor})


def backfill_json(
    ticks: Iterable[datetime], next_from: datetime | None, *, is_dry_run: bool
) -> bytes:
    """Return a `BackfillView` in JSON."""
    return encode_json(
        {
            "ticks": list(map(format_optional, ticks)),
            "dry_run": is_dry_run,
            "next_from": format_optional(next_from),
        }
    )


def fires_json(items: Iterable[Fire], next_cursor: str | None) -> bytes:
    """Return a page as a `FireList` in JSON."""
    return encode_json({"items": list(map(_fire, items)), "next_cursor": next_cursor})


def _fields(schedule: StoredSchedule, task: str) -> dict[str, object]:
    spec = orjson.loads(schedule.content.spec)
    own = {name: spec.get(name) for name in ScheduleView.model_fields if name in spec}
    return fields_of(
        ScheduleView,
        schedule,
        **own,
        task=Fragment(task),
        paused=schedule.paused_at is not None,
        next_tick=format_optional(_next_tick(schedule)),
        done_until=format_optional(schedule.cursor_at),
        managed_by=schedule.content.managed_by,
    )


def _next_tick(schedule: StoredSchedule) -> datetime | None:
    """Return the next tick; that of a paused one is after now, since it begins with that when it goes on."""
    try:
        spec, _ = read_spec(schedule.content.spec)
    except ValueError:
        return None
    is_paused = schedule.paused_at is not None
    after = max(schedule.cursor_at, schedule.moment) if is_paused else schedule.cursor_at
    found = next_tick(spec, after)
    return None if found is None else found.at


def _fire(fire: Fire) -> dict[str, object]:
    problem = None if fire.problem is None else Fragment(fire.problem)
    return fields_of(FireView, fire, problem=problem)
