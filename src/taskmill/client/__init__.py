"""Client of a Taskmill service over HTTP, for synchronous and asynchronous Python.

    from taskmill.client import TaskmillClient

    with TaskmillClient("http://127.0.0.1:8000") as taskmill:
        task = taskmill.create("monthly report", payload={"customer": 4711})
        print(taskmill.wait(task.id, timeout_s=60).status)

It knows the wire format, but nothing about the server.
"""

from taskmill.client.asynchronous.client import AsyncTaskmillClient
from taskmill.client.calls import Filters, TaskFields
from taskmill.client.contracts import ContractDefaults
from taskmill.client.errors import (
    ClientError,
    NotAccepted,
    NotAllCreated,
    StillRunning,
    Unexpected,
    Unreachable,
)
from taskmill.client.many import CreateResult
from taskmill.client.refusals import (
    BadCursor,
    CancelNotRequested,
    ChangesForgotten,
    ContractRefused,
    DeliveryNotFound,
    IdempotencyConflict,
    InvalidInput,
    KeyInFlight,
    LeaseClosed,
    LeaseNotFound,
    MalformedJson,
    PathNotFound,
    QueueLimitReached,
    QueueNotEmpty,
    QueueNotFound,
    RejectionNotFound,
    StaleFence,
    TaskNotFound,
    TransitionRefused,
    TypeLimitReached,
    TypeNotFound,
    UnservedTypeLimitReached,
    VersionMismatch,
    WebhookInactive,
    WebhookLimitReached,
    WebhookNotFound,
    WorkerGone,
    WorkerNotFound,
)
from taskmill.client.statuses import (
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    HeadersTooLarge,
    MethodNotAllowed,
    Misdirected,
    NotAcceptable,
    NotFound,
    RequestTimedOut,
    ServiceFailed,
    ServiceUnavailable,
    TooLarge,
    Unprocessable,
    UnsupportedMediaType,
    UriTooLong,
)
from taskmill.client.sweeps import Selected
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.webhooks import WebhookChanges, WebhookFields

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
    "Filters",
    "Forbidden",
    "Gone",
    "HeadersTooLarge",
    "IdempotencyConflict",
    "InvalidInput",
    "KeyInFlight",
    "LeaseClosed",
    "LeaseNotFound",
    "MalformedJson",
    "MethodNotAllowed",
    "Misdirected",
    "NotAcceptable",
    "NotAccepted",
    "NotAllCreated",
    "NotFound",
    "PathNotFound",
    "QueueLimitReached",
    "QueueNotEmpty",
    "QueueNotFound",
    "RejectionNotFound",
    "RequestTimedOut",
    "Selected",
    "ServiceFailed",
    "ServiceUnavailable",
    "StaleFence",
    "StillRunning",
    "TaskFields",
    "TaskNotFound",
    "TaskmillClient",
    "TooLarge",
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
