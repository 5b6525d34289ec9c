"""The messages between a worker and its isolated processes: one JSON document per line."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import Field, TypeAdapter

from taskmill.app import ScheduledTick
from taskmill.domain.lifecycle import (
    Cancelled,
    Failed,
    Interrupted,
    Lost,
    Outcome,
    Permanent,
    Retry,
    Succeeded,
)
from taskmill.domain.task import ClaimedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The arguments of a process: how to find the app, and the limits for logs and results.

    `path` is the module search path; `log_level` is a level of `logging`; `parent` is the worker's process id.
    """

    app: str
    path: list[str]
    log_level: int
    result_bytes: int
    parent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute:
    """Execute this attempt."""

    task: ClaimedTask
    lease_id: UUID
    schedule: ScheduledTick | None = None
    kind: Literal["execute"] = "execute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Stop the attempt under way, if its handler can be stopped."""

    kind: Literal["stop"] = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The process has loaded the app, and accepts orders."""

    kind: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """The process has received the attempt, and starts it."""

    attempt: str
    kind: Literal["began"] = "began"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the context's logger; `facts` are JSON."""

    attempt: str
    level: str
    event: str
    facts: dict[str, Any]
    kind: Literal["line"] = "line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A record of Python's `logging`; `attempt` is empty if it belongs to no known attempt."""

    attempt: str
    logger: str
    level: int
    message: str
    facts: dict[str, Any]
    kind: Literal["logged"] = "logged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """A progress report."""

    attempt: str
    share: float
    message: str | None
    kind: Literal["progressed"] = "progressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How the attempt ended; `outcome_type` is the outcome's class, since some have the same fields."""

    attempt: str
    outcome_type: str
    outcome: dict[str, Any]
    kind: Literal["finished"] = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The process can't run anything."""

    message: str
    kind: Literal["broken"] = "broken"


Order: TypeAlias = Annotated[Execute | Stop, Field(discriminator="kind")]
Report: TypeAlias = Annotated[
    Ready | Began | Line | Logged | Progressed | Finished | Broken, Field(discriminator="kind")
]

START: TypeAdapter[Start] = TypeAdapter(Start)
ORDER: TypeAdapter[Order] = TypeAdapter(Order)
REPORT: TypeAdapter[Report] = TypeAdapter(Report)

_OUTCOMES: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (Succeeded, Failed, Retry, Permanent, Lost, Interrupted, Cancelled)
}


def attempt_name(task: ClaimedTask) -> str:
    """Return the name of an attempt, which distinguishes its reports from those of an earlier one."""
    return f"{task.id}:{task.claim_no}"


def finished(attempt: str, outcome: Outcome) -> Finished:
    """Return an outcome as a message."""
    outcome_type = type(outcome).__name__
    return Finished(
        attempt=attempt,
        outcome_type=outcome_type,
        outcome=_OUTCOMES[outcome_type].dump_python(outcome, mode="json"),
    )


def outcome_of(report: Finished) -> Outcome:
    """Return the outcome in a message."""
    outcome: Outcome = _OUTCOMES[report.outcome_type].validate_python(report.outcome)
    return outcome
