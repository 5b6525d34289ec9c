"""The shapes of kinds of failures."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from taskmill.domain.failures import FailureKind, FailurePage, KindDetails, KindState
from taskmill.wire.encoding import encode_json, fast_timestamp, fields_of, format_optional
from taskmill.wire.fields import Timestamp


class TrendPointView(BaseModel):
    """How many tasks failed in a step of time."""

    at: Timestamp = Field(
        description="when the step begins; it lasts 10 minutes in `1h`, an hour in `24h`, else a day"
    )
    tasks: int


class FailureKindView(BaseModel):
    """What failures with one cause have in common, and how many there are."""

    id: str = Field(
        description="16 hexadecimal digits; the same kind has the same id in every service"
    )
    kind: str = Field(
        description="the fingerprint that handlers gave; else class and place of the errors, or class and first "
        "line of the message, with # for numbers and ids"
    )
    message: str | None = Field(
        description="that line of the first failure; empty if it is not known, null for a key for some queues"
    )
    types: list[str] = Field(description="the types of the tasks")
    tasks: int = Field(
        description="how many failed so within the window; those that were retried since count, too"
    )
    growth: int = Field(
        description="how many more in the second half of the window than in the first"
    )
    first_at: Timestamp = Field(
        description="when it was ever seen first; for a key for some queues only, within the window"
    )
    last_at: Timestamp
    task_id: UUID = Field(description="the task that failed last")
    state: KindState = Field(
        description="what operators decided; `came_back`: it was resolved, and has failed again since"
    )
    state_at: Timestamp | None = Field(description="when they decided")
    state_by: str | None = Field(
        description="who decided: the name of a key or user, or an address"
    )
    trend: list[TrendPointView] = Field(
        description="the steps of the window in which there were any"
    )


class CountOf(BaseModel):
    """How many failed of one of these."""

    name: str
    tasks: int


class FailureKindDetails(FailureKindView):
    """A kind of failures, and where they happened. `first_at` and `last_at` are of all that is known of it."""

    queue_counts: list[CountOf] = Field(description="by queue, the most frequent first")
    type_counts: list[CountOf] = Field(description="by type, the most frequent first")


class KindCounts(BaseModel):
    """How many kinds fit the filter, whatever their state; a state without any is left out."""

    open: int = 0
    came_back: int = 0
    resolved: int = 0
    ignored: int = 0


class FailureKindList(BaseModel):
    """A part of the kinds of failures."""

    items: list[FailureKindView]
    next_cursor: str | None = Field(description="null on the last page")
    counts: KindCounts
    tasks: int = Field(
        description="how many tasks failed in all kinds that fit, whatever their state"
    )
    other_tasks: int = Field(
        description="how many failed in kinds beyond the number that is counted separately, whatever the filter"
    )
    is_sampled: bool = Field(
        default=False,
        description="the label is so frequent that only the newest 50 tasks of each kind were searched for it",
    )


def failures_json(page: FailurePage, next_cursor: str | None) -> bytes:
    """Return a page of kinds as a `FailureKindList` in JSON."""
    counts = {state.value: page.counts.get(state, 0) for state in KindState}
    return encode_json(
        {
            "items": [kind_fields(kind) for kind in page.items],
            "next_cursor": next_cursor,
            "counts": counts,
            "tasks": page.tasks,
            "other_tasks": page.other_tasks,
            "is_sampled": page.is_sampled,
        }
    )


def kind_json(found: KindDetails) -> bytes:
    """Return a kind as `FailureKindDetails` in JSON."""
    fields = kind_fields(found.kind) | {"types": list(found.types)}
    return encode_json(
        {**fields, "queue_counts": _counts(found.queues), "type_counts": _counts(found.types)}
    )


def _counts(counts: Mapping[str, int]) -> list[dict[str, object]]:
    return [{"name": name, "tasks": tasks} for name, tasks in counts.items()]


def kind_fields(kind: FailureKind) -> dict[str, object]:
    """Return what `encode_json` writes as a `FailureKindView`."""
    return fields_of(
        FailureKindView,
        kind,
        first_at=fast_timestamp(kind.first_at),
        last_at=fast_timestamp(kind.last_at),
        state_at=format_optional(kind.state_at),
        trend=list(_points((point.at, point.tasks) for point in kind.trend)),
    )


def _points(points: Iterable[tuple[datetime, int]]) -> Iterable[dict[str, object]]:
    for at, tasks in points:
        yield {"at": fast_timestamp(at), "tasks": tasks}
