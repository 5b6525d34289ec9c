"""What the client returns of `taskmill.wire.audit`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from taskmill.client.view import View

if TYPE_CHECKING:
    from taskmill.domain.audit import ActorKind, AuditOutcome

IMPORTED_LATER = {"ActorKind": "taskmill.domain.audit", "AuditOutcome": "taskmill.domain.audit"}


class TargetView(View):
    """What the action was about."""

    type: str
    id: str
    """its id, or its name"""


class ActorView(View):
    """Who acted."""

    kind: ActorKind
    """
    `key`: an API key; `session`: somebody who has logged in; `machine`: a user of the machine that a program
    ran on; `anonymous`: a client of whom nothing else is known
    """
    name: str | None
    """the key's, or the user's"""
    key_id: str | None
    session: str | None
    address: str | None
    """the client's; of clients that were refused, the network of an IPv6 address"""


class AuditEntryView(View):
    """What was asked for, and how it ended."""

    id: UUID
    at: datetime
    """when it was asked for, by the database's clock"""
    action: str
    """
    one of task.cancel, task.retry, task.reschedule, tasks.cancel, tasks.retry, job.stop, queue.pause,
    queue.resume, queue.keep, queue.delete, worker.quiet, worker.stop, worker.resume, worker.start,
    webhook.create, webhook.change, webhook.delete, webhook.test, delivery.resend, callback_key.show,
    type.register, type.drop, rejection.resend, failure.resolve, failure.ignore, failure.reopen, schedule.put,
    schedule.delete, schedule.pause, schedule.resume, schedule.run, schedule.backfill, notice.acknowledge,
    notice.silence, notice.reopen, key.create, key.rotate, key.revoke, session.end, secrets.encrypt,
    secrets.decrypt, broker.rebuild, access.refuse; later releases have more
    """
    actor: ActorView
    request_id: str | None
    """the request's, as in `X-Request-Id` and in logs"""
    target: TargetView | None
    outcome: AuditOutcome
    """`unknown` while it still runs, or if its process ended or the database went away meanwhile"""
    reason: str | None
    """why it was refused, or failed"""
    ended_at: datetime | None
    details: dict[str, Any]
    """what was asked for (as the filter of a sweep), and what was done (as the number of tasks)"""


class AuditEntryList(View):
    """A part of the audit log, newest first."""

    items: list[AuditEntryView]
    next_cursor: str | None
    """null on the last page"""
