"""A task as it is requested (`CreateTask`, `to_draft`) and shown (`TaskView`, `task_json`).

The models are the contract: requests are validated with them, the OpenAPI document and the client are made from
them. Responses are written by hand, several times faster, and tested with the models.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Final, cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict

from taskmill.domain.errors import InvalidInput, Violation
from taskmill.domain.lifecycle import Status
from taskmill.domain.task import IdempotencyKey, PolicyPart, Progress, Task, TaskDraft
from taskmill.domain.task_fields import DEFAULT_TYPE, TASK_FIELDS, Kind
from taskmill.wire import fields
from taskmill.wire.basics import etag, format_timestamp
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.encoding import Fragment, encode_json, fast_timestamp
from taskmill.wire.fields import Expected, Timestamp
from taskmill.wire.masking import ShownTask
from taskmill.wire.payload_secrets import pointers_in, without_values
from taskmill.wire.push import TYPE as PUSH
from taskmill.wire.retry import RetrySpec, policy_of
from taskmill.wire.rules import DEFAULT_LIMITS, InputLimits, broken_rules
from taskmill.wire.strict_json import canonical_hash, compact
from taskmill.wire.traceparent import valid_traceparent
from taskmill.wire.urls import Url
from taskmill.wire.violations import MOST_VIOLATIONS, bounded, violations_of


def _given(name: str) -> Any:  # noqa: ANN401 - the value of the field, for type checkers
    """Return the default and the meaning of a field of a request."""
    field = TASK_FIELDS[name]
    if name == "name":
        return Field(description=field.given)
    if field.kind is Kind.LABELS:
        extra: JsonDict = {"maxProperties": 64, "default": {}}
        return Field(default_factory=dict, description=field.given, json_schema_extra=extra)
    return Field(default=field.default, description=field.given)


def _shown(name: str) -> Any:  # noqa: ANN401 - as `_given`
    """Return the meaning of a field of a response."""
    return Field(description=TASK_FIELDS[name].shown or None)


class CreateTask(BaseModel):
    """A request to create a task."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"name": "first"},
                {
                    "name": "monthly report",
                    "queue": "reports",
                    "priority": 7,
                    "payload": {"customer": 4711, "delay_s": 0.5},
                    "max_attempts": 3,
                    "labels": {"team": "finance"},
                    "idempotency_key": "report-2030-01",
                },
            ]
        },
    )

    name: fields.Title = _given("name")
    description: fields.Description | None = _given("description")
    type: fields.Slug = _given("type")
    payload: fields.Payload | None = _given("payload")
    payload_secrets: fields.PayloadSecrets | None = _given("payload_secrets")
    queue: fields.Slug = _given("queue")
    priority: fields.Priority = _given("priority")
    max_attempts: fields.MaxAttempts = _given("max_attempts")
    max_losses: fields.MaxLosses = _given("max_losses")
    retry: Annotated[
        RetrySpec | None,
        Field(strict=False),
        Expected("an object with base_s, factor, max_s and jitter, or null"),
    ] = _given("retry")
    timeout_s: fields.Timeout | None = _given("timeout_s")
    run_at: fields.RequestedTime | None = _given("run_at")
    delay_s: fields.Delay | None = _given("delay_s")
    expires_at: fields.RequestedTime | None = _given("expires_at")
    labels: fields.Labels = _given("labels")
    callback_url: Url | None = _given("callback_url")
    idempotency_key: fields.Key | None = _given("idempotency_key")


def to_draft(
    body: object,
    *,
    header_key: str | None = None,
    source: str,
    traceparent: str | None = None,
    limits: InputLimits = DEFAULT_LIMITS,
) -> TaskDraft:
    """Return the draft that a parsed body makes.

    `header_key` is the idempotency key beside the body; `source` names the entry point. An invalid
    `traceparent` is left out.

    A payload that does not fit its type's contract is refused, too; but with an idempotency key the error goes
    into the draft (`payload_error`), since the key's task may exist already.

    Raises:
        InvalidInput: Something is not allowed; all of it is named at once.
        TakesLong: `limits.is_quick` is set, and checking its payload takes longer.
    """
    body = bounded(body, CreateTask)
    try:
        request = _validate(body)
    except ValidationError as error:
        raise _refusal(error, body, header_key, limits) from None
    sent = cast("dict[str, Any]", body)
    broken: Sequence[Violation] = broken_rules(sent, header_key, limits)
    contract = limits.contracts.get(request.type)
    payload_errors = (
        () if contract is None else contract.violations(request.payload, is_quick=limits.is_quick)
    )
    if request.payload_secrets:
        broken, payload_errors = (
            tuple(without_values(found, request.payload_secrets))
            for found in (broken, payload_errors)
        )
    if broken:
        raise InvalidInput((*broken, *payload_errors)[:MOST_VIOLATIONS])
    draft = _draft(request, sent, header_key, source, traceparent)
    if contract is not None:
        _apply_contract(contract, draft, sent, payload_errors)
    elif request.type not in _BUILT_IN:
        draft.open_policy = sum(part for name, part in _POLICY if name not in sent)
    return draft


_POLICY: Final = tuple(
    (name, int(part))
    for name, part in (
        ("max_attempts", PolicyPart.MAX_ATTEMPTS),
        ("max_losses", PolicyPart.MAX_LOSSES),
        ("retry", PolicyPart.RETRY),
        ("timeout_s", PolicyPart.TIMEOUT),
    )
)
# These never have a contract.
_BUILT_IN: Final = frozenset({DEFAULT_TYPE, PUSH})


def _apply_contract(
    contract: Contract,
    draft: TaskDraft,
    sent: dict[str, Any],
    payload_errors: tuple[Violation, ...],
) -> None:
    """Fill in the contract's defaults, and set or raise the payload's errors."""
    contract.fill(draft, sent)
    if payload_errors:
        draft.payload_error = InvalidInput(payload_errors[:MOST_VIOLATIONS])
        if draft.idempotency is None:
            raise draft.payload_error


def _refusal(
    error: ValidationError, body: object, header_key: str | None, limits: InputLimits
) -> InvalidInput:
    found = list(violations_of(error, CreateTask, body))
    if not isinstance(body, dict):
        return InvalidInput(tuple(found))
    found += broken_rules(body, header_key, limits)
    found += _payload_errors(body, limits)
    return InvalidInput(tuple(without_values(found[:MOST_VIOLATIONS], pointers_in(body))))


def _payload_errors(body: dict[str, Any], limits: InputLimits) -> tuple[Violation, ...]:
    """Check the payload, if any, of a request that is refused anyway."""
    wanted, payload = body.get("type", DEFAULT_TYPE), body.get("payload")
    contract = limits.contracts.get(wanted) if isinstance(wanted, str) else None
    if contract is None or not isinstance(payload, dict | None):
        return ()
    return contract.violations(payload, is_quick=limits.is_quick)


_validate = CreateTask.__pydantic_validator__.validate_python


def _draft(
    request: CreateTask,
    body: dict[str, Any],
    header_key: str | None,
    source: str,
    traceparent: str | None,
) -> TaskDraft:
    key = request.idempotency_key or header_key
    return TaskDraft(
        name=request.name,
        description=request.description,
        type=request.type,
        payload=None if request.payload is None else compact(request.payload),
        payload_secrets=compact(request.payload_secrets) if request.payload_secrets else None,
        queue=request.queue,
        priority=request.priority,
        run_at=request.run_at,
        delay=_seconds(request.delay_s),
        max_attempts=request.max_attempts,
        max_losses=request.max_losses,
        retry=None if request.retry is None else policy_of(request.retry),
        timeout=_seconds(request.timeout_s),
        expires_at=request.expires_at,
        labels=compact(request.labels) if request.labels else "{}",
        source=source,
        idempotency=None if key is None else _idempotency(key, body),
        traceparent=None if traceparent is None else valid_traceparent(traceparent),
        callback_url=request.callback_url,
    )


def _seconds(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _idempotency(key: str, body: dict[str, Any]) -> IdempotencyKey:
    """Hash the body without the key: it may come in the body one time, and beside it another time."""
    keyless = {name: value for name, value in body.items() if name != "idempotency_key"}
    return IdempotencyKey(key=key, request_hash=canonical_hash(keyless))


def _is_absent(value: object) -> bool:
    return value is None


class TaskError(BaseModel):
    """Why a task's latest failed attempt failed."""

    type: str = Field(description="a name for programs, such as that of the exception")
    message: str = Field(description="for people")
    place: str | None = Field(
        default=None,
        exclude_if=_is_absent,
        description="the innermost function of the handler's own code; absent if there is none",
    )
    fingerprint: str | None = Field(
        default=None,
        exclude_if=_is_absent,
        description="the handler's own name for failures of this kind; absent if there is none",
    )


class ProgressView(BaseModel):
    """The latest progress report of a task's latest attempt. It stays when the attempt has ended."""

    share: float | None = Field(ge=0, le=1, description="how much of it is done, from 0 to 1")
    message: str | None = Field(description="what it does, in a few words")
    at: Timestamp


class RetryView(BaseModel):
    """When a failed attempt is tried again, with all defaults filled in."""

    base_s: float = Field(description="wait before the second attempt")
    factor: float = Field(description="growth of the wait from one attempt to the next")
    max_s: float = Field(description="longest wait")
    jitter: float = Field(description="the wait is spread by ± this part of itself")


class TaskView(BaseModel):
    """A task as it is shown."""

    id: UUID = _shown("id")
    number: int = _shown("number")
    name: str = _shown("name")
    description: str | None = _shown("description")
    type: str = _shown("type")
    payload: dict[str, Any] | None = _shown("payload")
    payload_secrets: list[str] | None = _shown("payload_secrets")
    queue: str = _shown("queue")
    priority: int = _shown("priority")
    status: Status = _shown("status")
    run: int = _shown("run")
    attempt: int = _shown("attempt")
    max_attempts: int = _shown("max_attempts")
    losses: int = _shown("losses")
    max_losses: int = _shown("max_losses")
    retry: RetryView | None = _shown("retry")
    timeout_s: float | None = _shown("timeout_s")
    cancel_requested: bool = _shown("cancel_requested")
    run_at: Timestamp = _shown("run_at")
    expires_at: Timestamp | None = _shown("expires_at")
    created_at: Timestamp = _shown("created_at")
    started_at: Timestamp | None = _shown("started_at")
    finished_at: Timestamp | None = _shown("finished_at")
    updated_at: Timestamp = _shown("updated_at")
    progress: ProgressView | None = _shown("progress")
    result: Any = _shown("result")
    error: TaskError | None = _shown("error")
    labels: dict[str, str] = _shown("labels")
    callback_url: str | None = _shown("callback_url")
    source: str = _shown("source")
    version: int = _shown("version")


class CreatedTaskView(TaskView):
    """A task in the response to the request that created it."""

    warning: str | None = Field(
        default=None,
        description="why nothing will be delivered to its callback_url, where that can be seen; else left out",
    )


class TaskList(BaseModel):
    """Tasks of one page of a listing."""

    items: list[TaskView]
    total: int | None = Field(description="null when counting would take too long")
    total_at_least: int | None = Field(
        default=None, description="how many were counted, when total is null"
    )
    next_cursor: str | None = Field(description="null on the last page")


def task_json(task: ShownTask) -> bytes:
    """Return a task as a `TaskView` in JSON."""
    return encode_json(_fields(task))


def created_json(task: ShownTask, warning: str | None) -> bytes:
    """Return a task as a `CreatedTaskView` in JSON."""
    return encode_json(_fields(task) if warning is None else {**_fields(task), "warning": warning})


def task_etag(task: Task) -> str:
    """Return the current entity tag of a task, its progress included."""
    return etag(task.version, 0 if task.progress is None else task.progress.serial)


def _fields(task: ShownTask) -> dict[str, object]:
    return {
        "id": task.id,
        "number": task.number,
        "name": task.name,
        "description": task.description,
        "type": task.type,
        "payload": None if task.payload is None else Fragment(task.payload),
        "payload_secrets": None if task.payload_secrets is None else Fragment(task.payload_secrets),
        "queue": task.queue,
        "priority": task.priority,
        "status": task.status,
        "run": task.run,
        "attempt": task.attempt,
        "max_attempts": task.max_attempts,
        "losses": task.losses,
        "max_losses": task.max_losses,
        "retry": None if task.retry is None else Fragment(task.retry),
        "timeout_s": None if task.timeout is None else task.timeout.total_seconds(),
        "cancel_requested": task.cancel_requested,
        "run_at": fast_timestamp(task.run_at),
        "expires_at": None if task.expires_at is None else fast_timestamp(task.expires_at),
        "created_at": fast_timestamp(task.created_at),
        "started_at": None if task.started_at is None else fast_timestamp(task.started_at),
        "finished_at": None if task.finished_at is None else fast_timestamp(task.finished_at),
        "updated_at": fast_timestamp(task.updated_at),
        "progress": None if task.progress is None else _progress(task.progress),
        "result": None if task.result is None else Fragment(task.result),
        "error": None if task.error is None else Fragment(task.error),
        "labels": Fragment(task.labels),
        "callback_url": task.callback_url,
        "source": task.source,
        "version": task.version,
    }


def _progress(progress: Progress) -> dict[str, object]:
    return {
        "share": progress.share,
        "message": progress.message,
        "at": format_timestamp(progress.at),
    }
