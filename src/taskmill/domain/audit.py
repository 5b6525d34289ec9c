"""The audit log's values: who asked for what, of which thing, and the outcome.

It decides nothing about who may do what, and stores nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class AuditAction(StrEnum):
    """What an operator or a program that manages the service asked for. Programs may rely on these names."""

    TASK_CANCEL = "task.cancel"
    TASK_RETRY = "task.retry"
    TASK_RESCHEDULE = "task.reschedule"
    TASKS_CANCEL = "tasks.cancel"
    TASKS_RETRY = "tasks.retry"
    JOB_STOP = "job.stop"
    QUEUE_PAUSE = "queue.pause"
    QUEUE_RESUME = "queue.resume"
    QUEUE_KEEP = "queue.keep"
    QUEUE_DELETE = "queue.delete"
    WORKER_QUIET = "worker.quiet"
    WORKER_STOP = "worker.stop"
    WORKER_RESUME = "worker.resume"
    WORKER_START = "worker.start"
    WEBHOOK_CREATE = "webhook.create"
    WEBHOOK_CHANGE = "webhook.change"
    WEBHOOK_DELETE = "webhook.delete"
    WEBHOOK_TEST = "webhook.test"
    DELIVERY_RESEND = "delivery.resend"
    CALLBACK_KEY_SHOW = "callback_key.show"
    TYPE_REGISTER = "type.register"
    TYPE_DROP = "type.drop"
    REJECTION_RESEND = "rejection.resend"
    FAILURE_RESOLVE = "failure.resolve"
    FAILURE_IGNORE = "failure.ignore"
    FAILURE_REOPEN = "failure.reopen"
    SCHEDULE_PUT = "schedule.put"
    SCHEDULE_DELETE = "schedule.delete"
    SCHEDULE_PAUSE = "schedule.pause"
    SCHEDULE_RESUME = "schedule.resume"
    SCHEDULE_RUN = "schedule.run"
    SCHEDULE_BACKFILL = "schedule.backfill"
    NOTICE_ACKNOWLEDGE = "notice.acknowledge"
    NOTICE_SILENCE = "notice.silence"
    NOTICE_REOPEN = "notice.reopen"
    KEY_CREATE = "key.create"
    KEY_ROTATE = "key.rotate"
    KEY_REVOKE = "key.revoke"
    SESSION_END = "session.end"
    SECRETS_ENCRYPT = "secrets.encrypt"
    SECRETS_DECRYPT = "secrets.decrypt"
    BROKER_REBUILD = "broker.rebuild"
    ACCESS_REFUSE = "access.refuse"


class TargetType(StrEnum):
    """What an action is about."""

    TASK = "task"
    JOB = "job"
    QUEUE = "queue"
    WORKER = "worker"
    WEBHOOK = "webhook"
    DELIVERY = "delivery"
    TYPE = "type"
    REJECTION = "rejection"
    FAILURE = "failure"
    SCHEDULE = "schedule"
    NOTICE = "notice"
    KEY = "key"
    SESSION = "session"


class Target(NamedTuple):
    """One thing that an action is about: its id or name."""

    type: TargetType
    id: str


class ActorKind(StrEnum):
    """How an actor is known."""

    KEY = "key"
    SESSION = "session"
    MACHINE = "machine"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: a key, a session, a program on the machine as a user of the system, or an unknown client.

    `name` is the key's or the user's, `address` the client's, `key_id` the key's public id.
    """

    kind: ActorKind
    name: str | None = None
    key_id: str | None = None
    session: str | None = None
    address: str | None = None


class AuditOutcome(StrEnum):
    """How an action ended. Unknown: it still runs, its process ended meanwhile, or the database went away."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


class RefusalReason(StrEnum):
    """Why a request may not be served. `others` are all that were counted together."""

    NOT_AUTHENTICATED = "not-authenticated"
    SCOPE_MISSING = "scope-missing"
    UNKNOWN_HOST = "unknown-host"
    CROSS_SITE = "cross-site"
    RATE_LIMITED = "rate-limited"
    OTHERS = "others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an action comes from: who acts, and by which request."""

    actor: Actor
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRequest:
    """An action as it was asked for, before it is done. `details` are small, and hold no payload and no secret."""

    action: AuditAction
    origin: Origin
    target: Target | None = None
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """An action as it is read. `details` are JSON text, of what was asked for and of the outcome.

    A later release may have written it: then action and target type are unknown here.
    """

    id: UUID
    action: str
    origin: Origin
    target_type: str | None
    target_id: str | None
    outcome: AuditOutcome
    reason: str | None
    ended_at: datetime | None
    asked: str
    done: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries to list. `since` is inclusive, `until` exclusive; `actor` is a name or an address."""

    action: AuditAction | None = None
    actor: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None
