"""What the service refuses, as errors: a class for each type of problem, below one for its HTTP status.

    NotAccepted                      any other status
    ├── BadRequest                   400
    │   ├── BadCursor                `errors`
    │   └── MalformedJson
    ├── Forbidden                    403
    ├── NotFound                     404
    │   ├── TaskNotFound             `task_id`
    │   ├── QueueNotFound
    │   ├── TypeNotFound
    │   ├── WorkerNotFound
    │   ├── LeaseNotFound
    │   ├── RejectionNotFound
    │   ├── WebhookNotFound
    │   ├── DeliveryNotFound
    │   └── PathNotFound             there is nothing at the address
    ├── MethodNotAllowed             405
    ├── NotAcceptable                406
    ├── RequestTimedOut              408
    ├── Conflict                     409
    │   ├── TransitionRefused        `task_id`, `task_status`, `action`
    │   ├── StaleFence               `task_id`
    │   ├── CancelNotRequested       `task_id`
    │   ├── LeaseClosed
    │   ├── WorkerGone
    │   ├── QueueNotEmpty            `waiting`, `running`
    │   ├── WebhookInactive
    │   └── KeyInFlight              `retry_after_s`
    ├── Gone                         410
    │   └── ChangesForgotten         `retained_days`
    ├── VersionMismatch              412: `task_id`, `action`
    ├── TooLarge                     413: `limit`
    ├── UriTooLong                   414
    ├── UnsupportedMediaType         415
    ├── Misdirected                  421
    ├── Unprocessable                422
    │   ├── InvalidInput             `errors`, and of the first `pointer`, `expected`, `got`
    │   │   └── ContractRefused
    │   ├── IdempotencyConflict
    │   ├── QueueLimitReached        `limit`
    │   ├── TypeLimitReached         `limit`
    │   ├── UnservedTypeLimitReached `limit`
    │   └── WebhookLimitReached      `limit`
    ├── HeadersTooLarge              431
    ├── ServiceFailed                500
    └── ServiceUnavailable           503: `retry_after_s`

A type that only a newer service knows is raised as the class of its status, or as `NotAccepted` if the status has
none; a field that such a service leaves out is None.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, Final
from uuid import UUID

from taskmill.client.errors import NotAccepted
from taskmill.client.statuses import (
    BadRequest,
    Conflict,
    Gone,
    NotFound,
    Unprocessable,
)
from taskmill.wire.problems import Problem


class BadCursor(BadRequest):
    """The cursor is not one of this listing; `errors` says where it is."""

    problem_type = "/problems/bad-cursor"


class MalformedJson(BadRequest):
    """The body is not strict JSON."""

    problem_type = "/problems/malformed-json"


class PathNotFound(NotFound):
    """There is nothing at the address: it is another version of the service, or another program."""

    problem_type = "/problems/not-found"


class _OfTask(NotAccepted):
    """A refusal that names the task."""

    @property
    def task_id(self) -> UUID | None:
        """The task that it is about."""
        return None if self.problem.task_id is None else UUID(self.problem.task_id)


class TaskNotFound(_OfTask, NotFound):
    """No task has this id; it may be past its retention."""

    problem_type = "/problems/task-not-found"


class QueueNotFound(NotFound):
    """No queue has this name: it had no task yet, or was empty for a long time."""

    problem_type = "/problems/queue-not-found"


class TypeNotFound(NotFound):
    """No type of this name has a contract."""

    problem_type = "/problems/type-not-found"


class WorkerNotFound(NotFound):
    """No worker has this id; those that ended are kept for days."""

    problem_type = "/problems/worker-not-found"


class LeaseNotFound(NotFound):
    """No worker that pulls over HTTP has this lease."""

    problem_type = "/problems/lease-not-found"


class RejectionNotFound(NotFound):
    """No refused message has this id."""

    problem_type = "/problems/rejection-not-found"


class WebhookNotFound(NotFound):
    """No webhook has this id; it may have been deleted."""

    problem_type = "/problems/webhook-not-found"


class DeliveryNotFound(NotFound):
    """The webhook has no delivery of this id; it may be past its retention."""

    problem_type = "/problems/delivery-not-found"


class TransitionRefused(_OfTask, Conflict):
    """The task is in a status that does not allow the action."""

    problem_type = "/problems/transition-refused"

    @property
    def task_status(self) -> str | None:
        """The status that does not allow it."""
        return self.problem.task_status

    @property
    def action(self) -> str | None:
        """The requested action."""
        return self.problem.action


class VersionMismatch(_OfTask):
    """The task has another version than the given one."""

    problem_type: ClassVar[str | None] = "/problems/version-mismatch"
    http_status: ClassVar[int | None] = 412


class StaleFence(_OfTask, Conflict):
    """The claim is not, or no longer, the caller's: stop working on it."""

    problem_type = "/problems/stale-fence"


class CancelNotRequested(_OfTask, Conflict):
    """The task's cancellation was not requested."""

    problem_type = "/problems/cancel-not-requested"


class LeaseClosed(Conflict):
    """The lease has ended: its tasks are done, or another worker may have them."""

    problem_type = "/problems/lease-closed"


class WorkerGone(Conflict):
    """The worker has ended."""

    problem_type = "/problems/worker-gone"


class QueueNotEmpty(Conflict):
    """Tasks wait or run in the queue, so it can't be deleted."""

    problem_type = "/problems/queue-not-empty"

    @property
    def waiting(self) -> int | None:
        """How many wait."""
        return self.problem.waiting

    @property
    def running(self) -> int | None:
        """How many run."""
        return self.problem.running


class WebhookInactive(Conflict):
    """The webhook is paused or disabled: enable it first."""

    problem_type = "/problems/webhook-inactive"


class KeyInFlight(Conflict):
    """The first request with this idempotency key is still in flight; try again after `retry_after_s`."""

    problem_type = "/problems/key-in-flight"


class ChangesForgotten(Gone):
    """Changes after the cursor are deleted already: read the tasks as they are, then follow without a cursor."""

    problem_type = "/problems/changes-forgotten"

    @property
    def retained_days(self) -> int | None:
        """For how many days changes are kept."""
        return self.problem.retained_days


class InvalidInput(Unprocessable):
    """The request has invalid values; `errors` lists all of them, the properties describe the first."""

    problem_type = "/problems/invalid-input"

    @property
    def pointer(self) -> str:
        """Where it is: a JSON pointer into the body, or query:…, header:…, path:…."""
        return self.errors[0].pointer if self.errors else ""

    @property
    def expected(self) -> str:
        """What would be allowed there."""
        return self.errors[0].expected if self.errors else ""

    @property
    def got(self) -> str:
        """The value that came instead, shortened."""
        return self.errors[0].got if self.errors else ""


class ContractRefused(InvalidInput):
    """The entry points can't check the contract of a type."""

    problem_type = "/problems/contract-refused"


class IdempotencyConflict(Unprocessable):
    """The idempotency key was used for another request."""

    problem_type = "/problems/idempotency-conflict"


class _OverLimit(Unprocessable):
    """As many as are allowed exist already."""

    @property
    def limit(self) -> int | None:
        """How many are allowed."""
        return self.problem.limit


class QueueLimitReached(_OverLimit):
    """The task names a new queue, and no more queues may be made."""

    problem_type = "/problems/queue-limit-reached"


class TypeLimitReached(_OverLimit):
    """No more types may have contracts."""

    problem_type = "/problems/type-limit-reached"


class UnservedTypeLimitReached(_OverLimit):
    """No more types may wait without a contract and a live worker."""

    problem_type = "/problems/unserved-type-limit-reached"


class WebhookLimitReached(_OverLimit):
    """No more webhooks may be made."""

    problem_type = "/problems/webhook-limit-reached"


def _descendants(kind: type[NotAccepted]) -> Iterator[type[NotAccepted]]:
    for child in kind.__subclasses__():
        yield from (child, *_descendants(child))


_KINDS: Final = tuple(_descendants(NotAccepted))

BY_TYPE: Final[Mapping[str, type[NotAccepted]]] = MappingProxyType(
    {kind.__dict__["problem_type"]: kind for kind in _KINDS if kind.__dict__.get("problem_type")}
)
"""The class of each type of problem that the service can return."""

BY_STATUS: Final[Mapping[int, type[NotAccepted]]] = MappingProxyType(
    {kind.__dict__["http_status"]: kind for kind in _KINDS if "http_status" in kind.__dict__}
)
"""The class of each HTTP status, for unknown types."""


def refusal(problem: Problem) -> NotAccepted:
    """Return the error that a problem is."""
    by_status = BY_STATUS.get(problem.status, NotAccepted)
    return BY_TYPE.get(problem.type, by_status)(problem)
