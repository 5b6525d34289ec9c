"""The shapes of leases over HTTP: requesting tasks, renewing, handing back.

The models are for the OpenAPI document and the client; the bytes of responses are written by hand, and tested
with the models.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.remote import LeaseRequest, RemoteLease, RenewedLease
from taskmill.domain.task import ClaimedTask
from taskmill.wire import fields
from taskmill.wire.basics import format_timestamp
from taskmill.wire.encoding import Fragment, encode_json
from taskmill.wire.fields import Expected, Timestamp
from taskmill.wire.violations import validated

_BODY: Final = ConfigDict(strict=True, extra="forbid", frozen=True)
_ID_LENGTH: Final = 36
_LARGEST_CLAIM_NO: Final = 2**31 - 1
_LEASE_ID: Final = "01a2104c-91d0-7000-8b1e-50f0c6ad9e55"


WorkerName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:@/+-]{0,199}$"),
    Expected(
        "1 to 200 letters, digits, spaces and ._:@/+- (in ASCII), the first a letter or a digit",
        reveal=True,
    ),
]
TimeToLive = Annotated[
    float,
    Field(ge=1, le=3600),
    Expected("a number of seconds from 1 to 3,600, or null", reveal=True),
]


class TakeLease(BaseModel):
    """A worker's request for tasks."""

    model_config = _BODY | ConfigDict(
        json_schema_extra={
            "examples": [
                {"worker": "shell-1", "types": ["thumbnail"]},
                {
                    "worker": "shell-1",
                    "queues": ["images"],
                    "types": ["thumbnail", "resize"],
                    "limit": 10,
                    "ttl_s": 20,
                    "wait_s": 0.5,
                },
            ]
        }
    )

    worker: WorkerName = Field(description="its name in the history and the logs")
    types: Annotated[
        list[fields.Slug],
        Field(min_length=1, max_length=100),
        Expected("a list of 1 to 100 types"),
    ] = Field(description="the types that it can run")
    queues: Annotated[
        list[fields.Slug], Field(max_length=100), Expected("a list of at most 100 queues")
    ] = Field(default=[], description="where it takes tasks from; empty is every queue")
    limit: Annotated[
        int, Field(ge=1, le=1000), Expected("a whole number from 1 to 1,000", reveal=True)
    ] = Field(default=1, description="the most tasks, within the limit of the settings")
    ttl_s: TimeToLive | None = Field(
        default=None,
        description="after how many seconds without a renewal its tasks are given to others; the settings "
        "have bounds, and the response has the value",
    )
    wait_s: Annotated[
        float, Field(ge=0, le=3600), Expected("a number of seconds from 0 to 3,600", reveal=True)
    ] = Field(
        default=0, description="how long it waits for the first task, as far as the settings allow"
    )


class RenewLease(BaseModel):
    """A worker extends its lease."""

    model_config = _BODY | ConfigDict(json_schema_extra={"examples": [{}, {"ttl_s": 60}]})

    ttl_s: TimeToLive | None = Field(
        default=None, description="the seconds from now to its end; as many as before when left out"
    )


class LeasedTaskView(BaseModel):
    """A task that the worker is to run."""

    id: UUID
    claim_no: int = Field(
        description="with the lease's id, the fence of all reports about this attempt"
    )
    name: str
    type: str
    queue: str
    priority: int
    run: int
    attempt: int = Field(description="the number of this attempt, from 1")
    max_attempts: int
    losses: int
    max_losses: int
    timeout_s: float | None = Field(
        description="an attempt that runs longer is ended as failed, whatever its worker does"
    )
    created_at: Timestamp
    traceparent: str | None = Field(description="the trace of who created it (W3C)")
    labels: dict[str, str]
    payload: dict[str, Any] | None


class LeaseView(BaseModel):
    """A lease and the tasks that run under it."""

    lease_id: UUID
    worker: str
    expires_at: Timestamp = Field(
        description="then its tasks are given to others, unless it is renewed"
    )
    ttl_s: float
    tasks: list[LeasedTaskView] = Field(
        description="at least one; the most urgent first, then due longest, then by id"
    )


class RenewedLeaseView(BaseModel):
    """A lease that was renewed."""

    lease_id: UUID
    expires_at: Timestamp
    ttl_s: float
    tasks: list[UUID] = Field(
        description="what still runs under it: a task that is missing is no longer this worker's"
    )
    cancel: list[UUID] = Field(
        description="of these, the tasks to stop, because a cancel was requested"
    )


class ReturnedLeaseView(BaseModel):
    """A lease that has ended."""

    lease_id: UUID
    handed_back: list[UUID] = Field(
        description="tasks that ran under it; they wait again, at no cost, or are cancelled if that was requested"
    )


def to_lease_request(body: object, *, usual_ttl_s: float) -> LeaseRequest:
    """Return the request in a parsed body. Raises `InvalidInput`."""
    request = validated(TakeLease, body)
    return LeaseRequest(
        worker=request.worker,
        queues=frozenset(request.queues),
        types=frozenset(request.types),
        limit=request.limit,
        ttl_s=usual_ttl_s if request.ttl_s is None else request.ttl_s,
        wait_s=request.wait_s,
    )


def to_renewal(body: object) -> RenewLease:
    """Return the request in a parsed body. Raises `InvalidInput`."""
    return validated(RenewLease, body)


def lease_json(lease: RemoteLease) -> bytes:
    """Return a lease as a `LeaseView` in JSON."""
    return encode_json(
        {
            "lease_id": lease.id,
            "worker": lease.worker,
            "expires_at": format_timestamp(lease.expires_at),
            "ttl_s": lease.ttl_s,
            "tasks": [_task(task) for task in lease.tasks],
        }
    )


def renewed_json(lease: RenewedLease) -> bytes:
    """Return a renewal as a `RenewedLeaseView` in JSON."""
    return encode_json(
        {
            "lease_id": lease.id,
            "expires_at": format_timestamp(lease.expires_at),
            "ttl_s": lease.ttl_s,
            "tasks": list(lease.tasks),
            "cancel": list(lease.cancel),
        }
    )


def returned_json(lease_id: UUID, handed_back: Sequence[UUID]) -> bytes:
    """Return the end of a lease as a `ReturnedLeaseView` in JSON."""
    return encode_json({"lease_id": lease_id, "handed_back": list(handed_back)})


def _task(task: ClaimedTask) -> dict[str, object]:
    timeout = task.timeout
    return {
        "id": task.id,
        "claim_no": task.claim_no,
        "name": task.name,
        "type": task.type,
        "queue": task.queue,
        "priority": task.priority,
        "run": task.run,
        "attempt": task.attempt,
        "max_attempts": task.max_attempts,
        "losses": task.losses,
        "max_losses": task.max_losses,
        "timeout_s": None if timeout is None else timeout.total_seconds(),
        "created_at": format_timestamp(task.created_at),
        "traceparent": task.traceparent,
        "labels": Fragment(task.labels),
        "payload": None if task.payload is None else Fragment(task.payload),
    }
