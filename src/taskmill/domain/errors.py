"""What Taskmill refuses, and why: one tree of errors.

    TaskmillError
    ├── InvalidInput            the request was read, but something in it is not allowed
    │   ├── BadCursor           a page's cursor that this service did not make
    │   └── ContractRefused     a type's contract that can't be enforced
    ├── ChangesForgotten        the feed no longer has all that follows the cursor
    ├── MalformedJson           the body is not strict JSON
    ├── TooLarge                the body is over its limit
    ├── TaskNotFound            no such task
    ├── QueueNotFound           no such queue
    ├── QueueNotEmpty           tasks wait or run in the queue
    ├── TypeNotFound            no contract of such a type
    ├── TypeLimitReached        no more types may have contracts
    ├── UnservedTypeLimitReached no more types may wait without a worker or contract
    ├── RejectionNotFound       no such refused message
    ├── FailureKindNotFound     no such kind of failures
    ├── NoticeNotFound          nothing of that needs attention now
    ├── WorkerNotFound          no such worker
    ├── WorkerGone              the worker has ended
    ├── TransitionRefused       the task's status does not allow the action
    ├── VersionMismatch         the task is not as the caller knows it
    ├── StaleFence              the claim is not, or no longer, the caller's
    ├── CancelNotRequested          a claim can't end as cancelled without a requested cancel
    ├── LeaseNotFound           no such lease of a worker that pulls over HTTP
    ├── LeaseClosed             the lease has ended
    ├── IdempotencyConflict     the key was used for another request
    ├── KeyInFlight             the key's first request is still under way
    ├── QueueLimitReached       no more queues may be made
    ├── WebhookNotFound         no such webhook
    ├── DeliveryNotFound        no such delivery of the webhook
    ├── WebhookLimitReached     no more webhooks may be made
    ├── WebhookInactive         the webhook is paused or disabled
    ├── SecretUnreadable        a stored secret can't be decrypted
    ├── Unavailable             a part that the request needs is away for now
    ├── BrokerAway              RabbitMQ is away: no request ever waits for it
    ├── Unroutable              no queue at the broker takes the message
    └── ConfigurationError      the program's settings can't be used

An exception's docstring says what it means. The fields are for programs, `str(error)` is for people.
`wire/problems.py` decides how each looks over HTTP. Those about API keys are in `domain/api_key_errors.py`, about
schedules in `schedule_errors.py`, about jobs in `job_errors.py`, that about packages in `extras.py` of `domain`.
"""

from dataclasses import dataclass, replace
from uuid import UUID

from taskmill.domain.lifecycle import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something that is wrong with a request.

    `pointer` is a JSON pointer into the body (`/labels/team`, empty for the whole body), or
    `query:status`, `header:Idempotency-Key`, `path:id`, `property:message_id`. `got` is short and never a secret.
    """

    pointer: str
    expected: str
    got: str

    def __str__(self) -> str:
        where = self.pointer or "the body"
        return f"{where}: expected {self.expected}, got {self.got}"

    def below(self, pointer: str) -> "Violation":
        """Return the same, found in a part of the body that is at `pointer`."""
        return replace(self, pointer=pointer + self.pointer)


class TaskmillError(Exception):
    """The base of all errors that Taskmill raises on purpose."""


class InvalidInput(TaskmillError):
    """The request was read, but something in it is not allowed; `violations` names all of it."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        super().__init__("; ".join(str(violation) for violation in violations))
        self.violations = violations

    @classmethod
    def at(cls, pointer: str, expected: str, got: str) -> "InvalidInput":
        """Make the error of a single violation."""
        return cls((Violation(pointer=pointer, expected=expected, got=got),))


class BadCursor(InvalidInput):
    """The cursor was not made by this service, or belongs to a listing with other filters."""

    def __init__(
        self,
        why: str = "something else",
        *,
        pointer: str = "query:cursor",
        expected: str = "a cursor from an earlier page of the same listing",
    ) -> None:
        super().__init__((Violation(pointer=pointer, expected=expected, got=why),))


class ContractRefused(InvalidInput):
    """The contract of a type can't be enforced; `violations` names what is in the way."""

    def __init__(self, type: str, violations: tuple[Violation, ...]) -> None:  # noqa: A002 - as everywhere
        super().__init__(violations)
        self.type = type

    def __str__(self) -> str:
        return f"the contract of type {self.type!r}: {super().__str__()}"


class ChangesForgotten(TaskmillError):
    """The feed no longer has all that follows the cursor: who went on would miss changes without knowing.

    `retained_days` is how many days changes are kept, None where that is not known.
    """

    def __init__(self, after: str, retained_days: int | None = None) -> None:
        retained = "" if retained_days is None else f" (they are kept for {retained_days} days)"
        super().__init__(
            f"changes after {after} are no longer all there{retained}: read the tasks as they are now, "
            "then follow the feed without a cursor, or with after=0 from the oldest change that is kept"
        )
        self.after = after
        self.retained_days = retained_days


class MalformedJson(TaskmillError):
    """The body is not strict JSON: not one document, bad UTF-8, a repeated key, a wild number."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class TooLarge(TaskmillError):
    """The body is larger than its limit."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body is larger than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class TaskNotFound(TaskmillError):
    """No task has this id, or this number; it may be past its retention."""

    def __init__(self, task_id: UUID | int) -> None:
        super().__init__(f"there is no task {task_id}")
        self.task_id = task_id


class QueueNotFound(TaskmillError):
    """No queue has this name; a queue exists from its first task on, until it has been empty for a day."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no queue {name!r}")
        self.name = name


class QueueNotEmpty(TaskmillError):
    """Tasks wait or run in the queue, so it can't be removed."""

    def __init__(self, name: str, *, waiting: int, running: int) -> None:
        super().__init__(
            f"queue {name!r} is not empty: {waiting} of its tasks wait, and {running} run; "
            "cancel them or let them end first"
        )
        self.name = name
        self.waiting = waiting
        self.running = running


class TypeNotFound(TaskmillError):
    """No type of this name has a contract."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no type {name!r} has a contract")
        self.name = name


class TypeLimitReached(TaskmillError):
    """The limit of types with a contract is reached."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} types have contracts already, and no more may have one")
        self.limit = limit


class UnservedTypeLimitReached(TaskmillError):
    """The type has neither a contract nor a live worker, and the limit of such types that may wait is reached."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"tasks of {limit} types without a contract and without a live worker wait already, and no more "
            "such types may: start a worker for the type, or register a contract"
        )
        self.limit = limit


class NoticeNotFound(TaskmillError):
    """Nothing that needs attention now has this id; it may have ended."""

    def __init__(self, notice_id: UUID) -> None:
        super().__init__(f"there is no notice {notice_id}; it may have ended")
        self.notice_id = notice_id


class RejectionNotFound(TaskmillError):
    """No refused message has this id; it may be past its retention."""

    def __init__(self, rejection_id: UUID) -> None:
        super().__init__(f"there is no rejection {rejection_id}")
        self.rejection_id = rejection_id


class FailureKindNotFound(TaskmillError):
    """No kind of failures has this id; it may not have failed for 40 days."""

    def __init__(self, kind_id: str) -> None:
        super().__init__(f"there is no kind of failures {kind_id}")


class WorkerNotFound(TaskmillError):
    """No worker has a lease with this id; leases of workers that ended are kept for a day."""

    def __init__(self, lease_id: UUID) -> None:
        super().__init__(f"there is no worker {lease_id}")
        self.lease_id = lease_id


class WorkerGone(TaskmillError):
    """The worker's lease is closed: it has ended, or begun another lease."""

    def __init__(self, lease_id: UUID) -> None:
        super().__init__(f"worker {lease_id} has ended")
        self.lease_id = lease_id


class TransitionRefused(TaskmillError):
    """The task is in a status that does not allow the action."""

    def __init__(self, task_id: UUID, status: Status, action: str) -> None:
        super().__init__(f"can't {action} task {task_id}: it is {status}")
        self.task_id = task_id
        self.status = status
        self.action = action


class VersionMismatch(TaskmillError):
    """The task has changed since the caller saw it: it has none of the versions that the request names."""

    def __init__(self, task_id: UUID, version: int, action: str) -> None:
        super().__init__(
            f"can't {action} task {task_id}: it has version {version} now, not the one that was named"
        )
        self.task_id = task_id
        self.version = version
        self.action = action


class StaleFence(TaskmillError):
    """The claim that the fence names has ended, or never existed: its worker can no longer change anything."""

    def __init__(self, task_id: UUID, claim_no: int) -> None:
        super().__init__(
            f"claim {claim_no} of task {task_id} does not hold under this lease: the task is somebody "
            "else's, or nobody's; stop what you do for it"
        )
        self.task_id = task_id


class CancelNotRequested(TaskmillError):
    """No cancel of the task was requested: an attempt that did not do its work has failed."""

    def __init__(self, task_id: UUID) -> None:
        super().__init__(f"no cancel of task {task_id} was requested")
        self.task_id = task_id


class LeaseNotFound(TaskmillError):
    """No worker that pulls over HTTP has this lease; one that ended is forgotten after some minutes."""

    def __init__(self, lease_id: UUID) -> None:
        super().__init__(f"there is no lease {lease_id}")
        self.lease_id = lease_id


class LeaseClosed(TaskmillError):
    """The lease has ended: nothing runs under it any more. `reason` says why."""

    def __init__(self, lease_id: UUID, reason: str | None) -> None:
        super().__init__(
            f"lease {lease_id} has ended ({reason}): its tasks are somebody else's, or done"
        )
        self.lease_id = lease_id
        self.reason = reason


class IdempotencyConflict(TaskmillError):
    """The idempotency key was used before: for another body, or for a task that was deleted since."""

    def __init__(self, key: str, what: str = "was used for a request with another body") -> None:
        super().__init__(f"the idempotency key {key!r} {what}")
        self.key, self.what = key, what


class KeyInFlight(TaskmillError):
    """Another request with this idempotency key is still under way; try again soon."""

    def __init__(self, key: str) -> None:
        super().__init__(f"a request with the idempotency key {key!r} is still in progress")
        self.key = key


class QueueLimitReached(TaskmillError):
    """The task names a new queue, and the limit of queues is reached."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"there are {limit} queues already, and no more may be made")
        self.limit = limit


class WebhookNotFound(TaskmillError):
    """No webhook has this id; it may have been deleted."""

    def __init__(self, webhook_id: UUID) -> None:
        super().__init__(f"there is no webhook {webhook_id}")
        self.webhook_id = webhook_id


class DeliveryNotFound(TaskmillError):
    """The webhook has no delivery of this id; it may be past its retention."""

    def __init__(self, delivery_id: int) -> None:
        super().__init__(f"the webhook has no delivery {delivery_id}")
        self.delivery_id = delivery_id


class WebhookLimitReached(TaskmillError):
    """The limit of webhooks is reached."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"there are {limit} webhooks already, and no more may be made")
        self.limit = limit


class WebhookInactive(TaskmillError):
    """Nothing is delivered to the webhook, as it is paused or disabled."""

    def __init__(self, webhook_id: UUID, state: str) -> None:
        super().__init__(f"nothing is sent to webhook {webhook_id}: it is {state}; enable it first")
        self.webhook_id = webhook_id
        self.state = state


class SecretUnreadable(TaskmillError):
    """A stored secret can't be decrypted: its key is missing, or it was changed. `owner` is whose it is."""

    def __init__(self, owner: str, why: str) -> None:
        super().__init__(f"the secret of {owner} can't be decrypted: {why}")
        self.owner = owner
        self.why = why


class Unavailable(TaskmillError):
    """A part that the request needs is away for now; trying again later may help, or what the `advice` says."""

    def __init__(self, retry_after_s: float, what: str, advice: str | None = None) -> None:
        advice = advice or f"try again in {retry_after_s:g} s"
        super().__init__(f"{what} is not available; {advice}")
        self.retry_after_s = retry_after_s
        self.what = what


class BrokerAway(TaskmillError):
    """RabbitMQ can't be reached, or did not confirm in time; what was sent may have arrived."""

    def __init__(self, trouble: str) -> None:
        super().__init__(f"RabbitMQ is away: {trouble}")
        self.trouble = trouble


class Unroutable(TaskmillError):
    """The broker returned the message: no queue takes it."""

    def __init__(self, exchange: str, routing_key: str) -> None:
        super().__init__(
            f"no queue takes messages of exchange {exchange!r} with key {routing_key!r}"
        )
        self.exchange = exchange
        self.routing_key = routing_key


class ConfigurationError(TaskmillError):
    """The settings can't be used; the message names the setting and what was expected."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
