"""Checks what only endpoints know: the queues, types and hosts that the body of a request names. Masks secrets.

Each function does nothing where no key is required.
"""

from typing import cast

from starlette.types import Scope

from taskmill.api.context import Context
from taskmill.domain.api_key_errors import ScopeMissing
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.fires import StoredSchedule
from taskmill.domain.grants import Scope as KeyScope
from taskmill.domain.quotas import Owner
from taskmill.domain.remote import LeaseRequest
from taskmill.domain.task import Task
from taskmill.operations.authorisation import (
    authorise_draft,
    authorise_keep,
    authorise_move,
    authorise_url,
    missing,
    permits_keep,
    permits_secrets,
    permitted_limits,
)
from taskmill.runtime.http_scope import API_KEY
from taskmill.wire.masking import ShownTask

__all__ = [
    "authorise_draft",
    "authorise_keep",
    "authorise_lease",
    "authorise_move",
    "authorise_url",
    "missing",
    "owner_of",
    "permits_keep",
    "permits_secrets",
    "permitted_limits",
    "schedule_guard",
    "shown_key",
    "shown_made",
    "shown_task",
]


def shown_key(scope: Scope) -> ApiKey | None:
    """Return the key that a request has shown, None where none is required."""
    return cast("ApiKey | None", scope.get(API_KEY))


async def shown_task(context: Context, scope: Scope, task: Task) -> ShownTask:
    """Return a task as the caller may see it."""
    return await context.service.masking.show(shown_key(scope), task)


async def shown_made(context: Context, scope: Scope, task: Task) -> ShownTask:
    """Return a task of a schedule as the caller may see it who has it made now."""
    return await context.service.masking.show_made(shown_key(scope), task)


def owner_of(scope: Scope) -> Owner | None:
    """Return whose what a request makes is, None where no key is required."""
    key = shown_key(scope)
    return None if key is None else key.owner


def schedule_guard(key: ApiKey | None, schedule: StoredSchedule) -> None:
    """Check that a key may replace a schedule: one of other queues has the name. Raises `ScopeMissing`."""
    if key is None:
        return
    content = schedule.content
    if not key.permits(KeyScope.TASKS_CREATE, queue=content.queue, type=content.type):
        raise ScopeMissing(
            KeyScope.TASKS_CREATE, f"the schedule {schedule.name!r}, which is another's"
        )


def authorise_lease(key: ApiKey | None, wanted: LeaseRequest) -> None:
    """Check that a key may take tasks of all the queues and types that are wanted. Raises `ScopeMissing`."""
    if key is None:
        return
    for queue in sorted(wanted.queues) or (None,):
        for one in sorted(wanted.types) or (None,):
            if not key.permits(KeyScope.WORKER, queue=queue, type=one):
                raise missing(KeyScope.WORKER, queue, one)
