"""The calls for schedules: when they have ticks, what they make, and what became of each tick."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar
from uuid import uuid4

from taskmill.client.calls import Call, deleted, got, path_of, sent
from taskmill.client.responses import reader
from taskmill.client.views.schedule_previews import SchedulePreviewView
from taskmill.client.views.schedule_views import BackfillView, FireList, ScheduleList, ScheduleView
from taskmill.client.views.tasks import TaskView
from taskmill.wire.basics import etag

T = TypeVar("T")
Time: TypeAlias = datetime | str
Outcomes: TypeAlias = str | Iterable[str]


class SpecFields(TypedDict, total=False):
    """When a schedule has ticks: exactly one of `cron`, `every` (ISO 8601, such as `PT15M`) and `at`."""

    cron: str
    every: str
    at: Sequence[datetime | str]
    anchor: datetime | str | None
    zone: str
    gap: Literal["end", "skip"]
    fold: Literal["first", "last", "both"]
    starts_at: datetime | str | None
    ends_at: datetime | str | None
    jitter_s: float


class ScheduleFields(SpecFields, total=False):
    """The fields of a schedule beside its name and its task; `within` is ISO 8601, such as `PT1H`."""

    catch_up: Literal["none", "latest", "all"]
    within: str
    most: int
    overlap: Literal["allow", "skip", "hold_one", "cancel_running"]


def preview(
    spec: SpecFields, after: datetime | str | None, count: int | None
) -> Call[SchedulePreviewView]:
    """Show the next ticks that a schedule would have."""
    asked = {"after": after, "count": count}
    body = {**spec, **{name: value for name, value in asked.items() if value is not None}}
    return sent("POST", "/schedules/preview", body, SchedulePreviewView, repeatable=True)


def put(
    name: str, task: Mapping[str, Any], fields: ScheduleFields, revision: int | None
) -> Call[ScheduleView]:
    """Create or replace a schedule."""
    # A repeated replacement of one revision finds the next one.
    body = {"task": task, **fields}
    call = sent("PUT", _path(name), body, ScheduleView, repeatable=revision is None)
    return _only_in(revision, call)


def page(cursor: str | None, limit: int) -> Call[ScheduleList]:
    """Read a page of the schedules."""
    return got("/schedules", ScheduleList, limit=limit, cursor=cursor)


def get(name: str) -> Call[ScheduleView]:
    """Read a schedule."""
    return got(_path(name), ScheduleView)


def delete(name: str, revision: int | None) -> Call[None]:
    """Delete a schedule."""
    return _only_in(revision, deleted(_path(name)))


def pause(name: str, revision: int | None) -> Call[ScheduleView]:
    """Pause a schedule."""
    return _change(name, {"paused": True}, revision)


def resume(name: str, revision: int | None, *, catch_up: bool) -> Call[ScheduleView]:
    """Have a paused schedule go on."""
    return _change(name, {"paused": False, "catch_up": "all" if catch_up else None}, revision)


def run(name: str, idempotency_key: str | None) -> Call[TaskView]:
    """Make a task of a schedule now; without a key it gets a new one, so that a retry is safe."""
    key = str(uuid4()) if idempotency_key is None else idempotency_key
    return Call(
        method="POST",
        path=_path(name, "run"),
        headers={"Idempotency-Key": key},
        read=reader(TaskView),
    )


def backfill(
    name: str, since: Time, until: Time, priority: int, *, dry_run: bool
) -> Call[BackfillView]:
    """Make tasks for ticks of the past. Not repeatable: a second try reports only what the first left."""
    body = {"from": since, "to": until, "priority": priority, "dry_run": dry_run}
    return sent("POST", _path(name, "backfill"), body, BackfillView, repeatable=dry_run)


def fires(name: str, outcome: Outcomes, cursor: str | None, limit: int) -> Call[FireList]:
    """Read a page of what became of a schedule's ticks."""
    return got(_path(name, "fires"), FireList, outcome=outcome, limit=limit, cursor=cursor)


def _change(name: str, body: Mapping[str, object], revision: int | None) -> Call[ScheduleView]:
    return _only_in(revision, sent("PATCH", _path(name), body, ScheduleView, repeatable=True))


def _only_in(revision: int | None, call: Call[T]) -> Call[T]:
    """Return a call that changes only this revision, if one is given."""
    if revision is None:
        return call
    return replace(call, headers={**call.headers, "If-Match": etag(revision)})


def _path(name: str, *more: str) -> str:
    return path_of("schedules", name, *more)
