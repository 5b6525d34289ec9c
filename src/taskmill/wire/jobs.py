"""The shapes of jobs: what each is to do, and how far it is."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.errors import InvalidInput
from taskmill.domain.jobs import Job, JobProblem, JobRequest, JobState
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import Sweep, TaskFilter
from taskmill.domain.waiting import WaitingState
from taskmill.wire.encoding import encode_json, fields_of, format_optional
from taskmill.wire.fields import Expected, Timestamp
from taskmill.wire.sweeps import PlannedSelection, selected, to_plan
from taskmill.wire.violations import validated


class StartJob(PlannedSelection):
    """Which tasks are cancelled or run again, how many of them, and when those are due that run again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"action": "retry", "queue": "reports", "limit": 5000, "per_second": 20}]
        }
    )

    action: Annotated[Literal["cancel", "retry"], Expected("cancel or retry", reveal=True)]
    status: Annotated[
        list[Literal["new", "in_progress", "failed", "cancelled", "succeeded"]],
        Field(max_length=len(Status)),
        Expected("a list of statuses that allow the action"),
    ] = Field(
        default=[],
        description="only in these statuses: `new` and `in_progress` to cancel, both when left out; `failed`, "
        "`cancelled` and `succeeded` to retry, `failed` when left out",
    )


class JobFilterView(BaseModel):
    """Which tasks a job is about; null where it does not matter."""

    status: list[Status]
    queue: str | None
    type: str | None
    label: list[str] = Field(description="with all of these, each `key=value`")
    name: str | None
    waiting: WaitingState | None
    error: str | None = Field(description="that failed so")
    worker_id: UUID | None = Field(description="that run under this lease")
    source: str | None = Field(
        description="that came in there: `rest`, `amqp`, `sql` or `schedule`"
    )
    priority: int | None
    took_over_s: float | None = Field(description="whose last attempt took longer")
    attempts_over: int | None = Field(description="that began more attempts")
    created_after: Timestamp | None
    created_before: Timestamp | None


class JobView(BaseModel):
    """A job: many tasks that are cancelled or run again in the background, oldest first."""

    id: UUID
    action: Literal["cancel", "retry"]
    state: JobState = Field(
        description="over unless `running`; `limited`: it has changed as many as it might, and more tasks may fit"
    )
    problem: JobProblem | None = Field(
        description="why it failed: `key-ended`, its API key has expired or was revoked; or `internal-error`"
    )
    filter: JobFilterView | None = Field(description="null for picked tasks")
    picked: int | None = Field(description="how many tasks were picked; null for a filter")
    limit: int | None = Field(description="only so many tasks, the oldest; null: all")
    expected: int | None = Field(
        description="how many fitted before it began, if they were counted"
    )
    matched: int = Field(description="tasks that fitted so far")
    changed: int = Field(description="of these, tasks that it cancelled, or had run again")
    cancel_requested: int = Field(
        description="of these, running tasks whose workers were asked to stop them"
    )
    first_at: Timestamp | None = Field(
        description="when the first task that it has run again is due; null: at once"
    )
    per_second: float | None = Field(description="how many of these are due each second; null: all")
    last_at: Timestamp | None = Field(
        description="when the last of those that it has run again so far is due; null: at once. No stop keeps "
        "them from running: cancel them while they wait"
    )
    started_by: str | None = Field(description="the name of a key or user, or an address")
    created_at: Timestamp
    updated_at: Timestamp = Field(description="when it last changed something")
    stop_requested_at: Timestamp | None
    stop_requested_by: str | None
    ended_at: Timestamp | None


class JobList(BaseModel):
    """A part of the jobs, newest first."""

    items: list[JobView]
    next_cursor: str | None = Field(description="null on the last page")


def to_job_request(body: object, now: datetime) -> JobRequest:
    """Return the job that a parsed body asks for.

    Raises:
        InvalidInput: It does not fit, selects nothing, or names what the action does not have.
    """
    asked = validated(StartJob, body)
    action = Sweep(asked.action)
    statuses = frozenset(map(Status, asked.status))
    if refused := sorted(statuses - action.statuses):
        expected = f"only {', '.join(sorted(action.statuses))} to {action}"
        raise InvalidInput.at("/status", expected, refused[0])
    _check_plan(asked, action)
    begun = to_plan(asked).begun(now)
    return JobRequest(
        action=action,
        wanted=selected(asked, statuses, action.usual),
        limit=begun.remaining,
        pace=begun.pace,
    )


def _check_plan(asked: StartJob, action: Sweep) -> None:
    """Refuse times at which cancelled tasks would be due."""
    for name in ("delay_s", "per_second"):
        if getattr(asked, name) is not None and action is not Sweep.RETRY:
            raise InvalidInput.at(f"/{name}", "nothing, for a cancel", "a number")


def jobs_json(items: Iterable[Job], next_cursor: str | None) -> bytes:
    """Return a page of jobs as a `JobList` in JSON."""
    return encode_json({"items": [_fields(job) for job in items], "next_cursor": next_cursor})


def job_json(job: Job) -> bytes:
    """Return a job as a `JobView` in JSON."""
    return encode_json(_fields(job))


def _fields(job: Job) -> dict[str, object]:
    request, actor, pace = job.request, job.origin.actor, job.request.pace
    return fields_of(
        JobView,
        job,
        action=request.action,
        filter=None if request.ids else _filter_fields(request.wanted),
        picked=len(request.ids) or None,
        limit=request.limit,
        expected=request.expected,
        cancel_requested=job.requested,
        first_at=None if pace is None else pace.first_at,
        per_second=round(1 / pace.spacing_s, 6) if pace and pace.spacing_s else None,
        started_by=actor.name or actor.address,
    )


def _filter_fields(wanted: TaskFilter) -> dict[str, object]:
    return fields_of(
        JobFilterView,
        wanted,
        status=sorted(wanted.statuses),
        label=[f"{key}={value}" for key, value in wanted.labels],
        worker_id=wanted.lease,
        took_over_s=None if wanted.took_over is None else wanted.took_over.total_seconds(),
        created_after=format_optional(wanted.created_after),
        created_before=format_optional(wanted.created_before),
    )
