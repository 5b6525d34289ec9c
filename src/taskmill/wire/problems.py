"""Renders errors for HTTP: one table from the domain's errors to problems (RFC 9457).

The `type` of a problem is stable; titles and details are for people and may change. It shows nothing of a request
but short, printable texts that are not secret.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.api_key_errors import (
    NoDashboard,
    NotAuthenticated,
    ScopeMissing,
    SessionNotFound,
)
from taskmill.domain.errors import (
    BadCursor,
    CancelNotRequested,
    ChangesForgotten,
    ContractRefused,
    DeliveryNotFound,
    FailureKindNotFound,
    IdempotencyConflict,
    InvalidInput,
    KeyInFlight,
    LeaseClosed,
    LeaseNotFound,
    MalformedJson,
    NoticeNotFound,
    QueueLimitReached,
    QueueNotEmpty,
    QueueNotFound,
    RejectionNotFound,
    StaleFence,
    TaskmillError,
    TaskNotFound,
    TooLarge,
    TransitionRefused,
    TypeLimitReached,
    TypeNotFound,
    Unavailable,
    UnservedTypeLimitReached,
    VersionMismatch,
    Violation,
    WebhookInactive,
    WebhookLimitReached,
    WebhookNotFound,
    WorkerGone,
    WorkerNotFound,
)
from taskmill.domain.job_errors import JobLimitReached, JobNotFound
from taskmill.domain.quotas import QuotaExceeded
from taskmill.domain.rate_limits import RateLimitExceeded
from taskmill.domain.schedule_errors import (
    ScheduleLimitReached,
    ScheduleMismatch,
    ScheduleNotFound,
)
from taskmill.wire.basics import PROBLEM_MEDIA_TYPE
from taskmill.wire.wording import safe_text

_LONGEST_DETAIL = 500
_LONGEST_INSTANCE = 200


class ProblemItem(BaseModel):
    """One thing that is wrong with a request."""

    pointer: str = Field(
        description="JSON pointer into the body (empty: all of it), or query:…, header:…, path:…, "
        "property:…"
    )
    expected: str
    got: str


def _add_examples(schema: dict[str, Any]) -> None:
    expected, got = "a whole number from 0 to 9 (the most urgent)", "the number 10"
    errors = (InvalidInput.at("/priority", expected, got), Unavailable(1, "the database"))
    schema["examples"] = [orjson.loads(problem_json(error, "/tasks")[2]) for error in errors]


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra=_add_examples)

    type: str = Field(description="stable; the same for every problem of this kind")
    title: str
    status: int
    detail: str
    instance: str | None = Field(default=None, description="the path of the request")
    errors: list[ProblemItem] | None = Field(default=None, description="all that is wrong")
    limit: int | None = Field(default=None, description="what was exceeded")
    retained_days: int | None = Field(default=None, description="for how long changes are retained")
    retry_after_s: float | None = Field(default=None, description="when to send the request again")
    task_id: str | None = None
    task_status: str | None = Field(default=None, description="the status that does not allow it")
    scope: str | None = Field(default=None, description="what the API key does not grant")
    quota: str | None = Field(default=None, description="what the API key has too much of")
    action: str | None = Field(default=None, description="the requested action")
    waiting: int | None = Field(default=None, description="how many tasks of the queue wait")
    running: int | None = Field(default=None, description="how many of them run")


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One row of the table: what all problems of a kind share, and the members that its error adds."""

    slug: str
    status: int
    title: str
    members: Callable[[Any], dict[str, object]] = lambda _: {}

    @property
    def type(self) -> str:
        """The problem's `type`, a relative URI."""
        return f"/problems/{self.slug}"


def _row(
    error: type[TaskmillError],
    status: int,
    title: str,
    members: Callable[[Any], dict[str, object]] = lambda _: {},
) -> tuple[type[TaskmillError], ProblemKind]:
    """Return the row of an error, whose name in lower case, with dashes, is the slug."""
    slug = re.sub(r"\B(?=[A-Z])", "-", error.__name__).lower()
    return error, ProblemKind(slug, status, title, members)


def _same(*names: str) -> Callable[[TaskmillError], dict[str, object]]:
    """Return what adds members of the names, and with the values, of the error's attributes."""
    return lambda error: {name: getattr(error, name) for name in names}


def _violations(error: InvalidInput) -> dict[str, object]:
    return {"errors": [_item(violation) for violation in error.violations]}


def _item(violation: Violation) -> dict[str, str]:
    return {
        "pointer": safe_text(violation.pointer, _LONGEST_INSTANCE),
        "expected": violation.expected,
        "got": safe_text(violation.got, _LONGEST_INSTANCE),
    }


def _of_task(error: TaskNotFound) -> dict[str, object]:
    return {} if isinstance(error.task_id, int) else {"task_id": str(error.task_id)}


def _of_quota(error: QuotaExceeded) -> dict[str, object]:
    found: dict[str, object] = {"quota": error.quota, "limit": error.limit}
    return found if error.retry_after_s is None else found | {"retry_after_s": error.retry_after_s}


def _of_transition(error: TransitionRefused) -> dict[str, object]:
    return {"task_id": error.task_id, "task_status": error.status, "action": error.action}


PROBLEMS: Final[Mapping[type[TaskmillError], ProblemKind]] = dict(
    (
        _row(BadCursor, 400, "The cursor is not one of this listing", _violations),
        _row(InvalidInput, 422, "The request says something that is not allowed", _violations),
        _row(ContractRefused, 422, "The contract can't be registered", _violations),
        _row(
            ChangesForgotten,
            410,
            "The feed no longer has what follows the cursor",
            _same("retained_days"),
        ),
        _row(MalformedJson, 400, "The body is not strict JSON"),
        _row(TooLarge, 413, "The body is too large", lambda error: {"limit": error.limit_bytes}),
        _row(NotAuthenticated, 401, "A valid API key is needed"),
        _row(ScopeMissing, 403, "The API key does not grant this", _same("scope")),
        _row(TaskNotFound, 404, "There is no such task", _of_task),
        _row(QueueNotFound, 404, "There is no such queue"),
        _row(QueueNotEmpty, 409, "The queue is not empty", _same("waiting", "running")),
        _row(WorkerNotFound, 404, "There is no such worker"),
        _row(WorkerGone, 409, "The worker has ended"),
        _row(TypeNotFound, 404, "No such type has a contract"),
        _row(
            UnservedTypeLimitReached,
            422,
            "No more types may wait without a contract or a worker",
            _same("limit"),
        ),
        _row(TypeLimitReached, 422, "No more types may have contracts", _same("limit")),
        _row(NoticeNotFound, 404, "Nothing of that needs attention now"),
        _row(RejectionNotFound, 404, "There is no such refused message"),
        _row(FailureKindNotFound, 404, "There is no such kind of failures"),
        _row(JobNotFound, 404, "There is no such job"),
        _row(JobLimitReached, 409, "No more jobs may go on at a time", _same("limit")),
        _row(TransitionRefused, 409, "The task's status does not allow it", _of_transition),
        _row(VersionMismatch, 412, "The task has another version", _same("task_id", "action")),
        _row(StaleFence, 409, "The claim is not, or no longer, yours", _same("task_id")),
        _row(CancelNotRequested, 409, "No cancel of the task was requested", _same("task_id")),
        _row(LeaseNotFound, 404, "There is no such lease"),
        _row(LeaseClosed, 409, "The lease has ended"),
        _row(IdempotencyConflict, 422, "The idempotency key was used for another request"),
        _row(
            KeyInFlight,
            409,
            "The first request with this idempotency key is still in progress",
            lambda _: {"retry_after_s": 1.0},
        ),
        _row(QuotaExceeded, 409, "The API key has as much as it may have", _of_quota),
        _row(QueueLimitReached, 422, "No more queues may be made", _same("limit")),
        _row(WebhookNotFound, 404, "There is no such webhook"),
        _row(DeliveryNotFound, 404, "There is no such delivery"),
        _row(WebhookLimitReached, 422, "No more webhooks may be made", _same("limit")),
        _row(SessionNotFound, 404, "There is no such session"),
        _row(NoDashboard, 404, "There is no dashboard"),
        _row(WebhookInactive, 409, "Nothing is sent to this webhook as it is"),
        _row(ScheduleNotFound, 404, "There is no such schedule"),
        _row(ScheduleMismatch, 412, "The schedule has another revision"),
        _row(ScheduleLimitReached, 422, "No more schedules may be made", _same("limit")),
        _row(
            RateLimitExceeded,
            429,
            "Too many requests",
            lambda error: {"limit": error.usage.policy.burst, "retry_after_s": error.retry_after_s},
        ),
        _row(Unavailable, 503, "A part of the service is unavailable", _same("retry_after_s")),
    )
)
"""The problem of every error that a request can meet; any other error is a fault of the service."""

PATH_NOT_FOUND: Final = ProblemKind("not-found", 404, "Nothing is here")
_FAULT: Final = ProblemKind("internal-error", 500, "The service failed; its log says why")

_BY_STATUS: Final[Mapping[int, tuple[ProblemKind, str]]] = {
    kind.status: (kind, detail)
    for kind, detail in (
        (ProblemKind("bad-request", 400, "The request can't be read"), "it is not proper HTTP"),
        (
            ProblemKind("cross-site", 403, "A page of another site may change nothing"),
            "the browser says that a page of another site sent this",
        ),
        (PATH_NOT_FOUND, "this path leads nowhere"),
        (
            ProblemKind("method-not-allowed", 405, "This path does not accept this method"),
            "the Allow header names the methods that it accepts",
        ),
        (
            ProblemKind("not-acceptable", 406, "The response has no form that the request accepts"),
            "responses are JSON",
        ),
        (
            ProblemKind("request-timeout", 408, "The request took too long"),
            "it did not arrive completely",
        ),
        (PROBLEMS[TooLarge], "the body is larger than the service accepts"),
        (ProblemKind("uri-too-long", 414, "The address is too long"), "shorten the query"),
        (
            ProblemKind(
                "unsupported-media-type", 415, "The body has a media type that is not accepted"
            ),
            "bodies are JSON",
        ),
        (
            ProblemKind("unknown-host", 421, "The service is not known under this name"),
            "send the request to its address, or name it in TASKMILL_API__ALLOWED_HOSTS",
        ),
        (PROBLEMS[InvalidInput], "it does not fit"),
        (PROBLEMS[RateLimitExceeded], "wait as long as Retry-After says"),
        (ProblemKind("headers-too-large", 431, "The headers are too large"), "send fewer"),
        (_FAULT, "something unforeseen happened; it is unknown what was done"),
        (PROBLEMS[Unavailable], "a part is away for now"),
    )
}

ALL_KINDS: Final = tuple(
    sorted(
        {*PROBLEMS.values(), *(kind for kind, _ in _BY_STATUS.values())},
        key=lambda kind: (kind.status, kind.slug),
    )
)
"""Every kind of problem that the service can respond with, by status; a proxy may send others."""


def problem_json(
    error: Exception, instance: str | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the response to an error; `instance` is the request's path.

    An error that is not in the table is a 500 without details.
    """
    kind = kind_of(error)
    if kind is None:
        return problem_for_status(_FAULT.status, instance)
    return _rendered(kind, detail_of(error), instance, kind.members(error))


def kind_of(error: Exception) -> ProblemKind | None:
    """Return the row of an error, None when it is a fault of the service."""
    return next((PROBLEMS[c] for c in type(error).__mro__ if c in PROBLEMS), None)


def problem_for_status(
    status: int, instance: str | None = None, detail: str | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Return the response to what the framework refuses by itself (404, 405, 415, …)."""
    other = ProblemKind(f"http-{status}", status, "The request was refused"), "see the status"
    kind, usual = _BY_STATUS.get(status, other)
    return _rendered(kind, usual if detail is None else detail, instance, {})


def detail_of(error: Exception) -> str:
    """Return the error's text; for several violations the first, since `errors` has them all."""
    detail = str(error)
    if isinstance(error, InvalidInput) and error.violations:
        more = len(error.violations) - 1
        detail = f"{error.violations[0]}" + (f" (and {more} more)" if more else "")
    return safe_text(detail, _LONGEST_DETAIL)


def _rendered(
    kind: ProblemKind, detail: str, instance: str | None, members: dict[str, object]
) -> tuple[int, dict[str, str], bytes]:
    problem: dict[str, object] = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": safe_text(detail, _LONGEST_DETAIL),
    }
    if instance is not None:
        problem["instance"] = safe_text(instance, _LONGEST_INSTANCE)
    problem.update(members)
    headers = {"content-type": PROBLEM_MEDIA_TYPE}
    retry_after_s = members.get("retry_after_s")
    if isinstance(retry_after_s, float | int):
        headers["retry-after"] = str(max(1, ceil(retry_after_s)))
    return kind.status, headers, orjson.dumps(problem)
