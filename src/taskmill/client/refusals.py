"""What the service refuses, as errors: a class for each type of problem, below one for its HTTP status.

    NotAccepted                      any other status
    ├── BadRequest                   400
    │   ├── BadCursor                `errors`
    │   └── MalformedJson
    ├── NotAuthenticated             401
    ├── Forbidden                    403
    │   └── ScopeMissing             `scope`
    ├── NotFound                     404
    │   ├── TaskNotFound             `task_id`
    │   ├── QueueNotFound
    │   ├── TypeNotFound
    │   ├── WorkerNotFound
    │   ├── JobNotFound
    │   ├── LeaseNotFound
    │   ├── NoticeNotFound
    │   ├── RejectionNotFound
    │   ├── FailureKindNotFound
    │   ├── WebhookNotFound
    │   ├── DeliveryNotFound
    │   ├── ScheduleNotFound
    │   ├── SessionNotFound
    │   ├── NoDashboard
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
    │   ├── JobLimitReached          `limit`
    │   ├── QueueNotEmpty            `waiting`, `running`
    │   ├── WebhookInactive
    │   ├── QuotaExceeded            `quota`, `limit`
    │   └── KeyInFlight              `retry_after_s`
    ├── Gone                         410
    │   └── ChangesForgotten         `retained_days`
    ├── VersionMismatch              412: `task_id`, `action`
    │   └── ScheduleMismatch
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
    │   ├── WebhookLimitReached      `limit`
    │   └── ScheduleLimitReached     `limit`
    ├── TooManyRequests              429
    │   └── RateLimitExceeded        `limit`, `retry_after_s`
    ├── HeadersTooLarge              431
    ├── ServiceFailed                500
    └── ServiceUnavailable           503: `retry_after_s`

A type that only a newer service knows is raised as the class of its status, or as `NotAccepted` if the status has
none; a field that such a service leaves out is None.
"""

from typing import Final
from uuid import UUID

from taskmill.client.errors import NotAccepted
from taskmill.client.views.problems import Problem

_USUAL_PAUSE_S: Final = 1.0


class BadRequest(NotAccepted):
    """The request can't be read."""


class NotAuthenticated(NotAccepted):
    """The service needs an API key, and this one is not valid, or there is none."""


class Forbidden(NotAccepted):
    """The service takes no changes from pages of other sites, and the request seems to come from one."""


class ScopeMissing(Forbidden):
    """The API key does not grant what the request needs."""

    @property
    def scope(self) -> str | None:
        """The scope that it needs."""
        return self.problem.scope


class NotFound(NotAccepted):
    """There is no such thing; it may be past its retention."""


class MethodNotAllowed(NotAccepted):
    """The address does not accept this method."""


class NotAcceptable(NotAccepted):
    """The service has no representation that the request accepts."""


class RequestTimedOut(NotAccepted):
    """The service did not get the whole request in time."""


class Conflict(NotAccepted):
    """The state does not allow it."""


class Gone(NotAccepted):
    """The requested data is deleted already."""


class TooLarge(NotAccepted):
    """The body is larger than the service takes."""

    @property
    def limit(self) -> int | None:
        """How many bytes it takes."""
        return self.problem.limit


class UriTooLong(NotAccepted):
    """The address is too long."""


class UnsupportedMediaType(NotAccepted):
    """The body has a media type that the service does not take."""


class Misdirected(NotAccepted):
    """The service does not accept requests under this host name: see `TASKMILL_API__ALLOWED_HOSTS`."""


class Unprocessable(NotAccepted):
    """The request was read, but can't be done as it is."""


class TooManyRequests(NotAccepted):
    """The client has sent too much for now; nothing was done."""


class HeadersTooLarge(NotAccepted):
    """The headers are too large."""


class ServiceFailed(NotAccepted):
    """The service failed; its log has the reason. It is unknown whether the request took effect."""


class ServiceUnavailable(NotAccepted):
    """A part that the request needs is away for now."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.retry_after_s: float = (
            _USUAL_PAUSE_S if problem.retry_after_s is None else problem.retry_after_s
        )


class BadCursor(BadRequest):
    """The cursor is not one of this listing; `errors` says where it is."""


class MalformedJson(BadRequest):
    """The body is not strict JSON."""


class PathNotFound(NotFound):
    """There is nothing at the address: it is another version of the service, or another program."""


class _OfTask(NotAccepted):
    """A refusal that names the task."""

    @property
    def task_id(self) -> UUID | None:
        """The task that it is about."""
        return None if self.problem.task_id is None else UUID(self.problem.task_id)


class TaskNotFound(_OfTask, NotFound):
    """No task has this id; it may be past its retention."""


class QueueNotFound(NotFound):
    """No queue has this name: it had no task yet, or was empty for a long time."""


class TypeNotFound(NotFound):
    """No type of this name has a contract."""


class WorkerNotFound(NotFound):
    """No worker has this id; those that ended are kept for days."""


class JobNotFound(NotFound):
    """No job has this id; one that is over is kept for 30 days."""


class LeaseNotFound(NotFound):
    """No worker that pulls over HTTP has this lease."""


class NoticeNotFound(NotFound):
    """Nothing that needs attention now has this id; it may have ended."""


class RejectionNotFound(NotFound):
    """No refused message has this id."""


class FailureKindNotFound(NotFound):
    """No kind of failures has this id; it may not have failed for 40 days."""


class WebhookNotFound(NotFound):
    """No webhook has this id; it may have been deleted."""


class DeliveryNotFound(NotFound):
    """The webhook has no delivery of this id; it may be past its retention."""


class ScheduleNotFound(NotFound):
    """No schedule has this name."""


class SessionNotFound(NotFound):
    """No session of the dashboard has this id, or it has ended, or it is of another key."""


class NoDashboard(NotFound):
    """The dashboard is turned off."""


class TransitionRefused(_OfTask, Conflict):
    """The task is in a status that does not allow the action."""

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


class ScheduleMismatch(VersionMismatch):
    """The schedule has another revision than the given one, or is not there."""


class StaleFence(_OfTask, Conflict):
    """The claim is not, or no longer, the caller's: stop working on it."""


class CancelNotRequested(_OfTask, Conflict):
    """The task's cancellation was not requested."""


class LeaseClosed(Conflict):
    """The lease has ended: its tasks are done, or another worker may have them."""


class WorkerGone(Conflict):
    """The worker has ended."""


class JobLimitReached(Conflict):
    """As many jobs go on as may; nothing was started."""

    @property
    def limit(self) -> int | None:
        """How many may go on at a time."""
        return self.problem.limit


class QueueNotEmpty(Conflict):
    """Tasks wait or run in the queue, so it can't be deleted."""

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


class KeyInFlight(Conflict):
    """The first request with this idempotency key is still in flight; try again after `retry_after_s`."""


class QuotaExceeded(Conflict):
    """The API key has as much as it may have."""

    @property
    def quota(self) -> str | None:
        """What it has too much of."""
        return self.problem.quota

    @property
    def limit(self) -> int | None:
        """How much it may have."""
        return self.problem.limit


class ChangesForgotten(Gone):
    """Changes after the cursor are deleted already: read the tasks as they are, then follow without a cursor."""

    @property
    def retained_days(self) -> int | None:
        """For how many days changes are kept."""
        return self.problem.retained_days


class InvalidInput(Unprocessable):
    """The request has invalid values; `errors` lists all of them, the properties describe the first."""

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


class IdempotencyConflict(Unprocessable):
    """The idempotency key was used for another request."""


class _OverLimit(Unprocessable):
    """As many as are allowed exist already."""

    @property
    def limit(self) -> int | None:
        """How many are allowed."""
        return self.problem.limit


class QueueLimitReached(_OverLimit):
    """The task names a new queue, and no more queues may be made."""


class TypeLimitReached(_OverLimit):
    """No more types may have contracts."""


class UnservedTypeLimitReached(_OverLimit):
    """No more types may wait without a contract and a live worker."""


class RateLimitExceeded(TooManyRequests):
    """The API key, or the address, has sent too many requests; try again after `retry_after_s`."""

    @property
    def limit(self) -> int | None:
        """How many are accepted at once."""
        return self.problem.limit


class WebhookLimitReached(_OverLimit):
    """No more webhooks may be made."""


class ScheduleLimitReached(_OverLimit):
    """No more schedules may be made."""
