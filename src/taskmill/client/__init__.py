"""Client of a Taskmill service over HTTP, for synchronous and asynchronous Python.

    from taskmill.client import TaskmillClient

    with TaskmillClient("http://127.0.0.1:8000") as taskmill:
        task = taskmill.create("monthly report", payload={"customer": 4711})
        print(taskmill.wait(task.id, timeout_s=60).status)

It knows the wire format, but nothing about the server. The asynchronous client is imported, with asyncio, when
somebody asks for it.
"""

from typing import TYPE_CHECKING

from taskmill.client.calls import Filters
from taskmill.client.chunks import CreateResult
from taskmill.client.contracts import ContractDefaults
from taskmill.client.errors import (
    ClientError,
    NotAccepted,
    NotAllCreated,
    StillRunning,
    Unexpected,
    Unreachable,
)
from taskmill.client.refusals import (
    BadCursor,
    BadRequest,
    CancelNotRequested,
    ChangesForgotten,
    Conflict,
    ContractRefused,
    DeliveryNotFound,
    FailureKindNotFound,
    Forbidden,
    Gone,
    HeadersTooLarge,
    IdempotencyConflict,
    InvalidInput,
    JobLimitReached,
    JobNotFound,
    KeyInFlight,
    LeaseClosed,
    LeaseNotFound,
    MalformedJson,
    MethodNotAllowed,
    Misdirected,
    NoDashboard,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    NoticeNotFound,
    PathNotFound,
    QueueLimitReached,
    QueueNotEmpty,
    QueueNotFound,
    QuotaExceeded,
    RateLimitExceeded,
    RejectionNotFound,
    RequestTimedOut,
    ScheduleLimitReached,
    ScheduleMismatch,
    ScheduleNotFound,
    ScopeMissing,
    ServiceFailed,
    ServiceUnavailable,
    SessionNotFound,
    StaleFence,
    TaskNotFound,
    TooLarge,
    TooManyRequests,
    TransitionRefused,
    TypeLimitReached,
    TypeNotFound,
    Unprocessable,
    UnservedTypeLimitReached,
    UnsupportedMediaType,
    UriTooLong,
    VersionMismatch,
    WebhookInactive,
    WebhookLimitReached,
    WebhookNotFound,
    WorkerGone,
    WorkerNotFound,
)
from taskmill.client.schedules import ScheduleFields
from taskmill.client.sweeps import Planned, Selected
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.tasks import TaskFields
from taskmill.client.webhooks import WebhookChanges, WebhookFields

if TYPE_CHECKING:
    from taskmill.client.asynchronous.client import AsyncTaskmillClient

__all__ = [
    "AsyncTaskmillClient",
    "BadCursor",
    "BadRequest",
    "CancelNotRequested",
    "ChangesForgotten",
    "ClientError",
    "Conflict",
    "ContractDefaults",
    "ContractRefused",
    "CreateResult",
    "DeliveryNotFound",
    "FailureKindNotFound",
    "Filters",
    "Forbidden",
    "Gone",
    "HeadersTooLarge",
    "IdempotencyConflict",
    "InvalidInput",
    "JobLimitReached",
    "JobNotFound",
    "KeyInFlight",
    "LeaseClosed",
    "LeaseNotFound",
    "MalformedJson",
    "MethodNotAllowed",
    "Misdirected",
    "NoDashboard",
    "NotAcceptable",
    "NotAccepted",
    "NotAllCreated",
    "NotAuthenticated",
    "NotFound",
    "NoticeNotFound",
    "PathNotFound",
    "Planned",
    "QueueLimitReached",
    "QueueNotEmpty",
    "QueueNotFound",
    "QuotaExceeded",
    "RateLimitExceeded",
    "RejectionNotFound",
    "RequestTimedOut",
    "ScheduleFields",
    "ScheduleLimitReached",
    "ScheduleMismatch",
    "ScheduleNotFound",
    "ScopeMissing",
    "Selected",
    "ServiceFailed",
    "ServiceUnavailable",
    "SessionNotFound",
    "StaleFence",
    "StillRunning",
    "TaskFields",
    "TaskNotFound",
    "TaskmillClient",
    "TooLarge",
    "TooManyRequests",
    "TransitionRefused",
    "TypeLimitReached",
    "TypeNotFound",
    "Unexpected",
    "Unprocessable",
    "Unreachable",
    "UnservedTypeLimitReached",
    "UnsupportedMediaType",
    "UriTooLong",
    "VersionMismatch",
    "WebhookChanges",
    "WebhookFields",
    "WebhookInactive",
    "WebhookLimitReached",
    "WebhookNotFound",
    "WorkerGone",
    "WorkerNotFound",
]


def __getattr__(name: str) -> object:
    if name != "AsyncTaskmillClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from taskmill.client.asynchronous import client  # noqa: PLC0415 - see above

    return client.AsyncTaskmillClient
