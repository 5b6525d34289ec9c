"""The shapes of sweeps: which tasks to cancel or to run again, and the result."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.errors import InvalidInput
from taskmill.domain.lifecycle import Status
from taskmill.domain.sweep_plans import (
    LEAST_PER_SECOND,
    MOST_PER_SECOND,
    MOST_TASKS,
    SweepPlan,
)
from taskmill.domain.system import Sweep, SweepStep, TaskFilter
from taskmill.domain.task_groups import TaskGroups
from taskmill.wire import fields
from taskmill.wire.encoding import encode_json
from taskmill.wire.fields import Expected
from taskmill.wire.violations import validated

_FILTERS = (
    "status",
    "queue",
    "type",
    "label",
    "name",
    "error",
    "created_after",
    "created_before",
)
_LABEL = r"^[^=]{1,63}=[\s\S]{0,255}$"
_MOST_LABELS = 64
_MOST_GROUPS = 100


class TaskSelection(BaseModel):
    """Which tasks are selected: all that fit every field that is given."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    queue: fields.Slug | None = Field(default=None, description="only of this queue")
    type: fields.Slug | None = Field(default=None, description="only of this type")
    label: Annotated[
        list[Annotated[str, Field(pattern=_LABEL)]],
        Field(max_length=_MOST_LABELS),
        Expected(
            f"a list of at most {_MOST_LABELS} texts key=value, "
            "the key of 1 to 63 characters, the value of at most 255"
        ),
    ] = Field(default=[], description="only with all of these labels, each `key=value`")
    name: fields.NamePart | None = Field(
        default=None, description="only with this in the name, in any case"
    )
    error: fields.FailureKind | None = Field(
        default=None,
        description="only whose latest error is of this kind, the `kind` of `GET /failures`",
    )
    created_after: fields.RequestedTime | None = Field(
        default=None, description="only from this time on"
    )
    created_before: fields.RequestedTime | None = Field(
        default=None, description="only up to, without, this time"
    )
    all: fields.Flag = Field(
        default=False, description="all tasks, whatever they are; not with a filter"
    )


class PlannedSelection(TaskSelection):
    """Which tasks are selected, how many of them, and when those are due that run again."""

    limit: (
        Annotated[
            int,
            Field(ge=1, le=MOST_TASKS),
            Expected(f"a whole number from 1 to {MOST_TASKS:,}, or null", reveal=True),
        ]
        | None
    ) = Field(default=None, description="only so many tasks, the oldest; all when left out")
    delay_s: fields.Delay | None = Field(
        default=None,
        description="those that run again are due so many seconds from now; at once when left out",
    )
    per_second: (
        Annotated[
            float,
            Field(ge=LEAST_PER_SECOND, le=MOST_PER_SECOND),
            Expected(
                f"a number from {LEAST_PER_SECOND} to {MOST_PER_SECOND:,}, or null", reveal=True
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="those that run again are due one after the other, so many each second; all at the same time "
        "when left out",
    )


class Selection(TaskSelection):
    """Which tasks are selected, and which step of that is asked for."""

    dry_run: fields.Flag = Field(default=False, description="only count, change nothing")
    cursor: Annotated[str, Expected("a cursor, or null")] | None = Field(
        default=None, description="`next_cursor` of the step before, of the same filter"
    )


class CancelSelection(Selection):
    """Which tasks to cancel. Finished ones are never among them."""

    usual: ClassVar = Sweep.CANCEL.usual

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"queue": "reports", "status": ["new"], "dry_run": True}]}
    )

    status: Annotated[
        list[Literal["new", "in_progress"]],
        Field(max_length=2),
        Expected("a list of new, in_progress; finished tasks can't be cancelled"),
    ] = Field(default=[], description="only in these statuses; both when left out")


class RetrySelection(Selection, PlannedSelection):
    """Which finished tasks to run again; failed ones, unless `status` names others."""

    usual: ClassVar = Sweep.RETRY.usual

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"queue": "reports", "created_after": "2026-11-25T00:00:00Z"},
                {"error": "TimeoutError in shop.mail.send", "delay_s": 600, "per_second": 10},
            ]
        }
    )

    status: Annotated[
        list[Literal["failed", "cancelled", "succeeded"]],
        Field(max_length=3),
        Expected("a list of failed, cancelled, succeeded; others are not finished"),
    ] = Field(default=[], description="only in these statuses; `failed` when left out")


class TaskGroupView(BaseModel):
    """How many tasks are of a queue and a type."""

    queue: str
    type: str
    tasks: int


class TaskGroupsView(BaseModel):
    """Of which queues and types tasks are."""

    items: list[TaskGroupView] = Field(description="the largest groups first, 100 at most")
    more: int = Field(description="how many groups are left out")
    running: int = Field(description="how many of the tasks run")
    are_complete: bool = Field(
        description="whether all tasks were read; of very many only the oldest and some of the newest are"
    )


class SweepView(BaseModel):
    """What a step did, in tasks. With a `next_cursor` there is more to do: send the request again with it."""

    matched: int = Field(description="tasks that fitted")
    changed: int = Field(
        description="of these, tasks that are cancelled now, or wait for a new run"
    )
    cancel_requested: int = Field(
        description="of these, running tasks whose worker was asked to stop them"
    )
    dry_run: bool
    is_complete: bool = Field(
        description="every task that fitted at the beginning was seen, or as many as the `limit`"
    )
    next_cursor: str | None = Field(description="null when it is complete")
    groups: TaskGroupsView | None = Field(
        default=None,
        description="of which queues and types they are: in the first step with `dry_run`, else null",
    )


def to_cancel_selection(body: object) -> CancelSelection:
    """Return which tasks a parsed body selects to cancel. Raises `InvalidInput`."""
    return validated(CancelSelection, body)


def to_retry_selection(body: object) -> RetrySelection:
    """Return which tasks a parsed body selects to run again. Raises `InvalidInput`."""
    return validated(RetrySelection, body)


def to_filter(selection: CancelSelection | RetrySelection) -> TaskFilter:
    """Return which tasks are selected. Raises as `selected`."""
    return selected(selection, map(Status, selection.status), selection.usual)


def selected(
    selection: TaskSelection, statuses: Iterable[Status], usual: frozenset[Status]
) -> TaskFilter:
    """Return which tasks are selected, of the `usual` statuses if none is named.

    Raises:
        InvalidInput: labels contradict each other, nothing is named, or both a filter and all.
    """
    named = frozenset(statuses)
    _check_selection(selection, has_status=bool(named))
    labels = sorted({_split(label) for label in selection.label})
    if len({key for key, _ in labels}) < len(labels):
        raise InvalidInput.at("/label", "one value for each key", "two for one key")
    return TaskFilter(
        statuses=named or usual,
        queue=selection.queue,
        type=selection.type,
        labels=tuple(labels),
        name=selection.name,
        error=selection.error,
        created_after=selection.created_after,
        created_before=selection.created_before,
    )


def to_plan(selection: TaskSelection) -> SweepPlan:
    """Return how many of the selected tasks are meant, and when they are to be due."""
    if not isinstance(selection, PlannedSelection):
        return SweepPlan()
    spacing_s = 1 / selection.per_second if selection.per_second else 0.0
    return SweepPlan(limit=selection.limit, delay_s=selection.delay_s or 0.0, spacing_s=spacing_s)


def _check_selection(selection: TaskSelection, *, has_status: bool) -> None:
    """Refuse an empty body, which may be a mistake: it must not select everything."""
    has_filter = has_status or any(getattr(selection, name) for name in _FILTERS[1:])
    if not has_filter and not selection.all:
        expected = f'at least one of {", ".join(_FILTERS)}, or "all": true'
        raise InvalidInput.at("", expected, "none of them")
    if has_filter and selection.all:
        raise InvalidInput.at("/all", "either a filter or all", "both")


def sweep_json(
    step: SweepStep, *, dry_run: bool, next_cursor: str | None, groups: TaskGroups | None = None
) -> bytes:
    """Return a step as a `SweepView` in JSON."""
    return encode_json(
        {
            "matched": step.matched,
            "changed": step.changed,
            "cancel_requested": step.requested,
            "dry_run": dry_run,
            "is_complete": next_cursor is None,
            "next_cursor": next_cursor,
            "groups": None if groups is None else _groups(groups),
        }
    )


def _groups(groups: TaskGroups) -> dict[str, object]:
    largest = sorted(groups.tasks.items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "items": [
            {"queue": queue, "type": type_, "tasks": tasks}
            for (queue, type_), tasks in largest[:_MOST_GROUPS]
        ],
        "more": max(len(largest) - _MOST_GROUPS, 0),
        "running": groups.running,
        "are_complete": groups.is_whole,
    }


def _split(label: str) -> tuple[str, str]:
    key, _, value = label.partition("=")
    return key, value
