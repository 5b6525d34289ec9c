"""A schedule as it is requested (`PutSchedule`, `to_schedule`), and its spec and policy as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from taskmill.domain.errors import InvalidInput, Violation
from taskmill.domain.schedules.rules import CRON_WORDS, spec_violations
from taskmill.domain.schedules.spec import (
    CatchUp,
    Fold,
    Gap,
    Overlap,
    ScheduleSpec,
    TickPolicy,
)
from taskmill.domain.task import TaskDraft
from taskmill.domain.task_fields import DAY_S
from taskmill.wire import fields
from taskmill.wire.basics import format_duration, format_timestamp
from taskmill.wire.durations import (
    DURATION_WORDS,
    Duration,
)
from taskmill.wire.fields import Expected
from taskmill.wire.rules import DEFAULT_LIMITS, InputLimits
from taskmill.wire.strict_json import compact
from taskmill.wire.tasks import to_draft
from taskmill.wire.violations import MOST_VIOLATIONS, bounded, violations_of

SOURCE: Final = "schedule"
"""The `source` of tasks that a schedule makes."""

MOST_TIMES: Final = 50
_LONGEST_CRON: Final = 500
_LONGEST_ZONE: Final = 64
_MOST_CAUGHT_UP: Final = 1000
_LONGEST_WITHIN: Final = timedelta(days=31)
_LONGEST_EVERY: Final = timedelta(days=36_525)  # a century: all ticks are within one
_PRINTABLE: Final = r"^[\t -~]+$"
_BODY: Final = ConfigDict(strict=True, extra="forbid", frozen=True)
# What a schedule decides itself for each of its tasks.
_NOT_IN_TEMPLATES: Final = {
    "run_at": "no run_at: tasks run when their tick comes",
    "delay_s": "no delay_s: tasks run when their tick comes",
    "expires_at": "no expires_at: it would be the same time for all tasks",
    "idempotency_key": "no idempotency_key: a tick never makes two tasks",
}

_Cron = Annotated[
    str, Field(max_length=_LONGEST_CRON, pattern=_PRINTABLE), Expected(CRON_WORDS, reveal=True)
]
_Zone = Annotated[
    str,
    Field(max_length=_LONGEST_ZONE, pattern=_PRINTABLE),
    Expected("the IANA name of a time zone, such as Europe/Berlin", reveal=True),
]
_Every = Annotated[
    Duration,
    Field(le=_LONGEST_EVERY),
    Expected(
        f"{DURATION_WORDS}, of a second or more, at most P{_LONGEST_EVERY.days}D", reveal=True
    ),
]
_Times = Annotated[
    list[fields.RequestedTime],
    Field(min_length=1, max_length=MOST_TIMES),
    Expected(
        f"a list of 1 to {MOST_TIMES} RFC 3339 times with a time zone, of the years 2000 to 2100"
    ),
]
_Jitter = Annotated[
    float,
    Field(ge=0, le=DAY_S),
    Expected(f"a number of seconds from 0 to {DAY_S:,} (a day)", reveal=True),
]
_Within = Annotated[
    Duration,
    Field(ge=timedelta(), le=_LONGEST_WITHIN),
    Expected(f"{DURATION_WORDS}, at most P{_LONGEST_WITHIN.days}D", reveal=True),
]
_Most = Annotated[
    int,
    Field(ge=1, le=_MOST_CAUGHT_UP),
    Expected(f"a whole number from 1 to {_MOST_CAUGHT_UP:,}", reveal=True),
]
_DEFAULT_POLICY: Final = TickPolicy()


class SpecFields(BaseModel):
    """When a schedule has ticks: exactly one of `cron`, `every` and `at` is given."""

    model_config = _BODY

    cron: _Cron | None = Field(
        default=None,
        description="5 fields, or 6 of which the first is the second; or `@daily` and the like. In the local time "
        "of `zone`",
    )
    every: _Every | None = Field(
        default=None, description="an ISO 8601 duration of a second or more, counted from `anchor`"
    )
    at: _Times | None = Field(default=None, description="up to 50 times, ascending")
    anchor: fields.RequestedTime | None = Field(
        default=None,
        description="a time at which an interval begins; only with `every`. Unless given 2001-01-01T00:00:00Z, "
        "a Monday",
    )
    zone: _Zone = Field(default="UTC", description="the IANA name of its time zone")
    gap: Annotated[Gap, Field(strict=False), Expected(f"one of {', '.join(Gap)}", reveal=True)] = (
        Field(
            default=Gap.END,
            description="what becomes of times of the day that a clock change leaves out: one tick at the `end` "
            "of the gap, or `skip` them",
        )
    )
    fold: Annotated[
        Fold, Field(strict=False), Expected(f"one of {', '.join(Fold)}", reveal=True)
    ] = Field(
        default=Fold.FIRST,
        description="when it has ticks at times of the day that a clock change repeats",
    )
    starts_at: fields.RequestedTime | None = Field(
        default=None, description="no tick is before it; null for no such bound"
    )
    ends_at: fields.RequestedTime | None = Field(
        default=None, description="all ticks are before it; null for no such bound"
    )
    jitter_s: _Jitter = Field(
        default=0.0,
        description="each tick is due up to so many seconds later, by its schedule's name and its time",
    )


class PutSchedule(SpecFields):
    """A request to create a schedule, or to replace it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "cron": "30 2 * * *",
                    "zone": "Europe/Moscow",
                    "task": {"name": "nightly report", "type": "report", "queue": "reports"},
                    "overlap": "skip",
                },
                {"every": "PT15M", "task": {"name": "refresh"}, "catch_up": "none"},
            ]
        },
    )

    task: Annotated[dict[str, Any], Expected("an object: the body of POST /tasks")] = Field(
        description="what a task of it looks like: the body of `POST /tasks`, without run_at, delay_s, "
        "expires_at and idempotency_key"
    )
    catch_up: Annotated[
        CatchUp, Field(strict=False), Expected(f"one of {', '.join(CatchUp)}", reveal=True)
    ] = Field(default=CatchUp.LATEST, description="which of the missed ticks get a task after all")
    within: _Within = Field(
        default=_DEFAULT_POLICY.within,
        description="how late a missed tick may be to get a task: an ISO 8601 duration",
    )
    most: _Most = Field(
        default=_DEFAULT_POLICY.most,
        description="how many missed ticks get a task with `catch_up=all`: the newest",
    )
    overlap: Annotated[
        Overlap, Field(strict=False), Expected(f"one of {', '.join(Overlap)}", reveal=True)
    ] = Field(
        default=Overlap.ALLOW,
        description="what a tick does while the task of an earlier one has not ended",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDraft:
    """A schedule that somebody wants. `task` is the template as JSON, `draft` the task that it makes now."""

    spec: ScheduleSpec
    policy: TickPolicy
    task: str
    draft: TaskDraft


def to_schedule(body: object, *, limits: InputLimits = DEFAULT_LIMITS) -> ScheduleDraft:
    """Return the schedule that a parsed body asks for.

    Raises:
        InvalidInput: Something is not allowed; all of it is named at once, within the template as well.
        TakesLong: `limits.is_quick` is set, and checking the template's payload takes longer.
    """
    draft, found = checked_template(body, limits)
    request, spec = checked(PutSchedule, body, found)
    assert draft is not None  # noqa: S101 - else the request was refused
    policy = TickPolicy(
        catch_up=request.catch_up, within=request.within, most=request.most, overlap=request.overlap
    )
    return ScheduleDraft(spec=spec, policy=policy, task=compact(request.task), draft=draft)


def checked_template(body: object, limits: InputLimits) -> tuple[TaskDraft | None, list[Violation]]:
    """Return the task that the template in a body makes, and what is wrong with it."""
    template = body.get("task") if isinstance(body, dict) else None
    if not isinstance(template, dict):
        return None, []
    refused = [
        Violation(pointer=f"/task/{name}", expected=expected, got="one")
        for name, expected in _NOT_IN_TEMPLATES.items()
        if template.get(name) is not None
    ]
    rest = {name: value for name, value in template.items() if name not in _NOT_IN_TEMPLATES}
    try:
        return to_draft(rest, source=SOURCE, limits=limits), refused
    except InvalidInput as error:
        return None, [*refused, *(violation.below("/task") for violation in error.violations)]


Request = TypeVar("Request", bound=SpecFields)


def checked(
    model: type[Request], body: object, found: Sequence[Violation] = ()
) -> tuple[Request, ScheduleSpec]:
    """Return a request and its spec; `found` is what is wrong with it already. Raises `InvalidInput`."""
    body = bounded(body, model)
    try:
        request = model.model_validate(body)
    except ValidationError as error:
        raise InvalidInput((*violations_of(error, model, body), *found)[:MOST_VIOLATIONS]) from None
    spec = _spec_of(request)
    found = [*spec_violations(spec), *found]
    if found:
        raise InvalidInput(tuple(found[:MOST_VIOLATIONS]))
    return request, spec


def _spec_of(request: SpecFields) -> ScheduleSpec:
    return ScheduleSpec(
        cron=None if request.cron is None else " ".join(request.cron.split()),
        every=request.every,
        at=tuple(request.at or ()),
        anchor=request.anchor,
        zone=request.zone,
        gap=request.gap,
        fold=request.fold,
        starts_at=request.starts_at,
        ends_at=request.ends_at,
        jitter_s=request.jitter_s,
    )


def spec_fields(spec: ScheduleSpec) -> dict[str, object]:
    """Return a spec as a request has it, all fields included: as it is stored and shown."""
    return {
        "cron": spec.cron,
        "every": None if spec.every is None else format_duration(spec.every),
        "at": [format_timestamp(moment) for moment in spec.at] or None,
        "anchor": None if spec.anchor is None else format_timestamp(spec.anchor),
        "zone": spec.zone,
        "gap": spec.gap,
        "fold": spec.fold,
        "starts_at": None if spec.starts_at is None else format_timestamp(spec.starts_at),
        "ends_at": None if spec.ends_at is None else format_timestamp(spec.ends_at),
        "jitter_s": spec.jitter_s,
    }


def spec_of(stored: Mapping[str, Any]) -> ScheduleSpec:
    """Return the spec that `spec_fields` made."""
    return _spec_of(SpecFields.model_validate(stored))


def policy_fields(policy: TickPolicy) -> dict[str, object]:
    """Return a policy as a request has it."""
    return {
        "catch_up": policy.catch_up,
        "within": format_duration(policy.within),
        "most": policy.most,
        "overlap": policy.overlap,
    }


def policy_of(stored: Mapping[str, Any]) -> TickPolicy:
    """Return the policy that `policy_fields` made."""
    template: dict[str, Any] = {}
    request = PutSchedule.model_validate({**stored, "task": template})
    return TickPolicy(
        catch_up=request.catch_up, within=request.within, most=request.most, overlap=request.overlap
    )
