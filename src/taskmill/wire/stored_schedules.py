"""How a schedule is stored, and the task that it makes for a tick.

What is stored was checked when it came in. A later release may have stored what this one does not know: reading
that is an error, not a guess.
"""

from functools import lru_cache
from typing import Any, Final

import orjson

from taskmill.domain.errors import InvalidInput, Violation
from taskmill.domain.fires import ScheduleContent, StoredSchedule
from taskmill.domain.schedule_requests import REQUESTED_IDS, ScheduleRequest
from taskmill.domain.schedules.spec import ScheduleSpec, TickPolicy
from taskmill.domain.schedules.wall_times import cron_fault
from taskmill.domain.schedules.zones import TZ_VERSION, zone_names
from taskmill.domain.task import TaskDraft
from taskmill.wire.encoding import encode_json
from taskmill.wire.rules import InputLimits
from taskmill.wire.schedule_requests import (
    SOURCE,
    SpecFields,
    policy_fields,
    policy_of,
    spec_fields,
    spec_of,
)
from taskmill.wire.tasks import to_draft

LABEL: Final = "schedule"
"""The label of a schedule's tasks; its value is the schedule's name."""


def spec_json(spec: ScheduleSpec, policy: TickPolicy) -> str:
    """Return what is stored of both."""
    return encode_json({**spec_fields(spec), **policy_fields(policy)}).decode()


@lru_cache(maxsize=10_000)
def read_spec(text: str) -> tuple[ScheduleSpec, TickPolicy]:
    """Return what `spec_json` made the text of.

    Raises:
        ValueError: A later release has stored it, or it was changed by hand.
    """
    stored: dict[str, Any] = orjson.loads(text)
    fields = {name: value for name, value in stored.items() if name in SpecFields.model_fields}
    spec = spec_of(fields)
    # Without these nobody here knows its ticks: a process that is not upgraded yet may have older time zones.
    if spec.zone not in zone_names():
        raise ValueError(f"no zone {spec.zone!r} in the time zones of {TZ_VERSION}")
    if spec.cron is not None and (fault := cron_fault(spec.cron)) is not None:
        raise ValueError(f"the cron expression {spec.cron!r}: {fault}")
    return spec, policy_of(stored)


def is_readable(text: str) -> bool:
    """Return whether this release knows a spec that is stored as this text."""
    try:
        read_spec(text)
    except ValueError:
        return False
    return True


def requested_schedule(request: ScheduleRequest) -> StoredSchedule:
    """Return what SQL has asked for, and is not there, as the schedule that it would be: it has no ticks yet."""
    fields = _requested_fields(request)
    task = fields.pop("task", {})
    spec = {**spec_fields(ScheduleSpec()), **policy_fields(TickPolicy()), **fields}
    content = ScheduleContent(
        spec=encode_json(spec).decode(),
        task=encode_json(task).decode(),
        queue=request.queue or request.replaced_queue or "",
        type=request.type or "",
    )
    return StoredSchedule(
        id=REQUESTED_IDS + request.id,
        name=request.name,
        revision=0,
        content=content,
        created_at=request.asked_at,
        updated_at=request.asked_at,
        cursor_at=request.asked_at,
        next_at=None,
        held_tick=None,
        last_task_id=None,
        paused_at=request.asked_at if request.paused else None,
        tz_version="",
        moment=request.asked_at,
        request=request,
    )


def _requested_fields(request: ScheduleRequest) -> dict[str, Any]:
    """Return what is asked for; nothing if it can't be read, which maintenance refuses.

    PostgreSQL looks only at the last of keys that are there twice, and takes numbers there that no double holds.
    """
    try:
        fields: dict[str, Any] = orjson.loads(request.body or "{}")
    except orjson.JSONDecodeError:
        return {}
    return fields


def task_draft(name: str, task: str, queue: str, limits: InputLimits) -> TaskDraft:
    """Return the task that a schedule's template makes now, with the schedule's label.

    Unless the template names one, its queue is `queue`: the schedule belongs to those who may see that one,
    whatever a newer contract says.

    Raises:
        InvalidInput: It is not allowed, or no longer, as by a contract that is newer than the schedule.
    """
    body: dict[str, Any] = orjson.loads(task)
    labels = body.get("labels") or {}
    if labels.get(LABEL, name) != name:
        expected = f"no label {LABEL}, or the schedule's name"
        raise InvalidInput.at(f"/task/labels/{LABEL}", expected, "another text")
    labelled = {**body, "queue": body.get("queue") or queue, "labels": {**labels, LABEL: name}}
    try:
        return to_draft(labelled, source=SOURCE, limits=limits)
    except InvalidInput as error:
        found: tuple[Violation, ...] = tuple(one.below("/task") for one in error.violations)
        raise InvalidInput(found) from None
