"""Checks what only endpoints know: the queues, types and hosts that the body of a request names.

Each function does nothing where no key is required.
"""

from dataclasses import replace
from typing import cast

import orjson
from starlette.types import Scope

from taskmill.domain.api_key_errors import ScopeMissing
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.grants import Scope as KeyScope, permits_host
from taskmill.domain.remote import LeaseRequest
from taskmill.domain.task import TaskDraft
from taskmill.runtime.http_scope import API_KEY
from taskmill.wire import push
from taskmill.wire.urls import target_of


def shown_key(scope: Scope) -> ApiKey | None:
    """Return the key that a request has shown, None where none is required."""
    return cast("ApiKey | None", scope.get(API_KEY))


def authorise_draft(key: ApiKey | None, draft: TaskDraft) -> None:
    """Check that a key may create a task, and make the task's idempotency key one of the key's name.

    Raises:
        ScopeMissing: It may not, or not with this callback or this push.
    """
    if key is None:
        return
    if not key.permits(KeyScope.TASKS_CREATE, queue=draft.queue, type=draft.type):
        raise missing(KeyScope.TASKS_CREATE, draft.queue, draft.type)
    authorise_url(key, draft.callback_url)
    if draft.type == push.TYPE and draft.payload is not None and draft.payload_error is None:
        authorise_url(key, orjson.loads(draft.payload)["url"])
    if draft.idempotency is not None:
        draft.idempotency = replace(draft.idempotency, owner=key.draft.name)


def authorise_url(key: ApiKey | None, url: str | None) -> None:
    """Check that a key may have requests sent to an address, if one is given. Raises `ScopeMissing`."""
    if key is None or url is None:
        return
    host = target_of(url).host.lower()
    if not permits_host(key.draft.grants, host):
        raise ScopeMissing(KeyScope.OUTBOUND, f"host {host!r}")


def authorise_lease(key: ApiKey | None, wanted: LeaseRequest) -> None:
    """Check that a key may take tasks of all the queues and types that are wanted. Raises `ScopeMissing`."""
    if key is None:
        return
    for queue in sorted(wanted.queues) or (None,):
        for one in sorted(wanted.types) or (None,):
            if not key.permits(KeyScope.WORKER, queue=queue, type=one):
                raise missing(KeyScope.WORKER, queue, one)


def missing(scope: KeyScope, queue: str | None, type_: str | None = None) -> ScopeMissing:
    """Return the refusal of a scope for a queue and a type, None for all of them."""
    what = "all queues" if queue is None else f"queue {queue!r}"
    return ScopeMissing(scope, what if type_ is None else f"{what} and type {type_!r}")
