"""The requests that change schedules, and the responses; what creates schedules is in `schedule_requests`."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.errors import InvalidInput
from taskmill.domain.fires import Fire, StoredSchedule
from taskmill.domain.schedule_requests import ScheduleRequest
from taskmill.domain.schedules.ticks import next_tick
from taskmill.wire import fields
from taskmill.wire.encoding import Fragment, encode_json, fields_of, format_optional
from taskmill.wire.fields import Expected, Flag
from taskmill.wire.schedule_views import FireView, ScheduleRequestView, ScheduleView
from taskmill.wire.stored_schedules import read_spec
from taskmill.wire.violations import validated

_BODY: Final = ConfigDict(strict=True, extra="forbid", frozen=True)
_EARLIEST: Final = timedelta(days=366 * 10)


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
        request=None if schedule.request is None else _request(schedule.request),
    )


def _request(request: ScheduleRequest) -> dict[str, object]:
    problem = None if request.problem is None else Fragment(request.problem)
    return fields_of(ScheduleRequestView, request, problem=problem)


def _next_tick(schedule: StoredSchedule) -> datetime | None:
    """Return the next tick; that of a paused one is after now, since it begins with that when it goes on."""
    if not schedule.revision:
        return None
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
