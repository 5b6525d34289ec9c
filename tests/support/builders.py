"""Builders of domain objects with defaults: a test names only what it is about."""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from taskmill.domain.lifecycle import AttemptFacts, ErrorInfo, Outcome
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import Fence, IdempotencyKey, TaskDraft
from taskmill.storage.claims import AttemptEnd, TakenTask
from taskmill.worker.ends import decided

ERROR = ErrorInfo(type="ValueError", message="no such customer")
AT_ONCE = RetryPolicy(base=timedelta(0), jitter=0.0)


def a_draft(**parts: Any) -> TaskDraft:  # noqa: ANN401 - the fields of a draft
    """A draft that is valid as it is; `payload` may be a mapping."""
    parts.setdefault("name", "a task")
    if isinstance(parts.get("payload"), Mapping):
        parts["payload"] = orjson.dumps(parts["payload"]).decode()
    return TaskDraft(**parts)


def a_key(key: str = "order-1", body: str = "one") -> IdempotencyKey:
    return IdempotencyKey(key=key, request_hash=hashlib.sha256(body.encode()).digest())


def a_fence(taken: TakenTask, lease_id: UUID) -> Fence:
    return Fence(task_id=taken.task.id, lease_id=lease_id, claim_no=taken.task.claim_no)


def an_end(taken: TakenTask, lease_id: UUID, outcome: Outcome) -> AttemptEnd:
    """The end of a claim, retried at once unless the task has a policy of its own."""
    task = taken.task
    claim = AttemptFacts(
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        losses=task.losses,
        max_losses=task.max_losses,
        retry=task.retry or AT_ONCE,
    )
    return decided(a_fence(taken, lease_id), outcome, claim, jitter=0.0)
