"""The shapes of sweeps: which tasks to cancel or to run again, and the result."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.errors import InvalidInput
from taskmill.domain.lifecycle import Status
from taskmill.domain.sweep_plans import SweepPlan
from taskmill.domain.system import Sweep, SweepStep, TaskFilter
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
_MOST_PER_SECOND = 100_000
_MOST_TASKS = 1_000_000_000
_LABEL = r"^[^=]{1,63}=[\s\S]{0,255}$"
_MOST_LABELS = 64


class Selection(BaseModel):
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


class RetrySelection(Selection):
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
    limit: (
        Annotated[
            int,
            Field(ge=1, le=_MOST_TASKS),
            Expected(f"a whole number from 1 to {_MOST_TASKS:,}, or null", reveal=True),
        ]
        | None
    ) = Field(default=None, description="only so many tasks, the oldest; all when left out")
    delay_s: fields.Delay | None = Field(
        default=None, description="due so many seconds from now; at once when left out"
    )
    per_second: (
        Annotated[
            int,
            Field(ge=1, le=_MOST_PER_SECOND),
            Expected(f"a whole number from 1 to {_MOST_PER_SECOND:,}, or null", reveal=True),
        ]
        | None
    ) = Field(
        default=None,
        description="due one after the other, so many each second; all at the same time when left out",
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


def to_cancel_selection(body: object) -> CancelSelection:
    """Return which tasks a parsed body selects to cancel. Raises `InvalidInput`."""
    return validated(CancelSelection, body)


def to_retry_selection(body: object) -> RetrySelection:
    """Return which tasks a parsed body selects to run again. Raises `InvalidInput`."""
    return validated(RetrySelection, body)


def to_filter(selection: CancelSelection | RetrySelection) -> TaskFilter:
    """Return which tasks are selected.

    Raises:
        InvalidInput: labels contradict each other, nothing is named, or both a filter and all.
    """
    _check_selection(selection)
    labels = sorted({_split(label) for label in selection.label})
    if len({key for key, _ in labels}) < len(labels):
        raise InvalidInput.at("/label", "one value for each key", "two for one key")
    return TaskFilter(
        statuses=frozenset(map(Status, selection.status)) or selection.usual,
        queue=selection.queue,
        type=selection.type,
        labels=tuple(labels),
        name=selection.name,
        error=selection.error,
        created_after=selection.created_after,
        created_before=selection.created_before,
    )


def to_plan(selection: CancelSelection | RetrySelection) -> SweepPlan:
    """Return how many of the selected tasks are meant, and when they are to be due."""
    if isinstance(selection, CancelSelection):
        return SweepPlan()
    spacing_s = 1 / selection.per_second if selection.per_second else 0.0
    return SweepPlan(most=selection.limit, delay_s=selection.delay_s or 0.0, spacing_s=spacing_s)


def _check_selection(selection: Selection) -> None:
    """Refuse an empty body, which may be a mistake: it must not select everything."""
    has_filter = any(getattr(selection, name) for name in _FILTERS)
    if not has_filter and not selection.all:
        expected = f'at least one of {", ".join(_FILTERS)}, or "all": true'
        raise InvalidInput.at("", expected, "none of them")
    if has_filter and selection.all:
        raise InvalidInput.at("/all", "either a filter or all", "both")


def sweep_json(step: SweepStep, *, dry_run: bool, next_cursor: str | None) -> bytes:
    """Return a step as a `SweepView` in JSON."""
    return encode_json(
        {
            "matched": step.matched,
            "changed": step.changed,
            "cancel_requested": step.requested,
            "dry_run": dry_run,
            "is_complete": next_cursor is None,
            "next_cursor": next_cursor,
        }
    )


def _split(label: str) -> tuple[str, str]:
    key, _, value = label.partition("=")
    return key, value
