"""Tasks in memory: what may be done to them, by the rules of the domain. It knows neither HTTP nor handlers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from taskmill.domain.errors import (
    IdempotencyConflict,
    TaskmillError,
    TaskNotFound,
    TransitionRefused,
)
from taskmill.domain.lifecycle import TERMINAL, AttemptFacts, ErrorInfo, Status, decide
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.system import PageRequest, TaskFilter, TaskPage
from taskmill.domain.task import ClaimedTask, Progress, Task, TaskDraft
from taskmill.testing.attempts import Attempted
from taskmill.wire.retry import spec_of

_BEGINNING: Final = datetime(2030, 1, 1, tzinfo=UTC)
_EXPIRED: Final = ErrorInfo(
    type="Expired", message="The task was not started before its expires_at."
)


@dataclass(slots=True)
class StoredTask:
    """A task, what it was asked for as, and how its attempts ended."""

    task: Task
    draft: TaskDraft
    attempts: list[Attempted] = field(default_factory=list)

    def claimed(self) -> ClaimedTask:
        """Return the task as a worker gets it."""
        task = self.task
        return ClaimedTask(
            id=task.id,
            claim_no=task.claim_no,
            name=task.name,
            type=task.type,
            queue=task.queue,
            payload=task.payload,
            priority=task.priority,
            run=task.run,
            attempt=task.attempt,
            max_attempts=task.max_attempts,
            losses=task.losses,
            max_losses=task.max_losses,
            timeout=self.draft.timeout,
            retry=self.draft.retry,
            created_at=task.created_at,
            labels=task.labels,
        )


class InMemoryStore:
    """All tasks, in the order in which they were created; `now` is their clock, and stands still by itself."""

    def __init__(self) -> None:
        self.now = _BEGINNING
        self.kept: dict[UUID, StoredTask] = {}
        self._keys: dict[str, UUID] = {}

    def create(self, draft: TaskDraft) -> tuple[Task, bool]:
        """Return the task that a request makes, or has made before, and whether it is new.

        Raises:
            IdempotencyConflict: its key was used for another request.
            InvalidInput: its payload breaks the contract of its type.
        """
        before = self._check(draft)
        if before is not None:
            return before, False
        key = draft.idempotency
        task = _task(draft, len(self.kept) + 1, self.now)
        self.kept[task.id] = StoredTask(task, draft)
        if key is not None:
            self._keys[key.key] = task.id
        return task, True

    def create_all(self, drafts: Sequence[TaskDraft]) -> list[Task]:
        """Create all or none; raises as `create` does."""
        before = dict(self.kept), dict(self._keys)
        try:
            return [self.create(draft)[0] for draft in drafts]
        except TaskmillError:
            self.kept, self._keys = before
            raise

    def _check(self, draft: TaskDraft) -> Task | None:
        """Return the task that a request has made before, if any; raises as `create` does."""
        key = draft.idempotency
        if key is not None and key.key in self._keys:
            before = self.kept[self._keys[key.key]]
            if before.draft.idempotency != key:
                raise IdempotencyConflict(key.key)
            return before.task
        if draft.payload_error is not None:
            raise draft.payload_error
        return None

    def get(self, task_id: UUID | int) -> StoredTask:
        """Return the task with this id, or number. Raises `TaskNotFound`."""
        if isinstance(task_id, int):
            found = [one for one in self.kept.values() if one.task.number == task_id]
            if not found:
                raise TaskNotFound(task_id)
            return found[0]
        if task_id not in self.kept:
            raise TaskNotFound(task_id)
        return self.kept[task_id]

    def page(self, wanted: TaskFilter, asked: PageRequest) -> TaskPage:
        """Return a part of a listing."""
        found = [one.task for one in self.kept.values() if _fits(one.task, wanted)]
        in_order = found if asked.oldest_first else found[::-1]
        rest = [task for task in in_order if _is_beyond(task, asked)][asked.offset :]
        items = rest[: asked.limit]
        following = items[-1].id if len(rest) > len(items) else None
        return TaskPage(items=items, total=len(found), total_at_least=None, next_after=following)

    def cancel(self, task: Task) -> None:
        """Cancel a task that waits, ask one that runs. Raises `TransitionRefused`."""
        if task.status in TERMINAL:
            raise TransitionRefused(task.id, task.status, "cancel")
        task.cancel_requested = True
        if task.status is Status.NEW:
            task.status, task.finished_at = Status.CANCELLED, self.now
        self._touch(task)

    def retry(self, task: Task) -> None:
        """Begin a new run of a task that has ended. Raises `TransitionRefused`."""
        if task.status not in TERMINAL:
            raise TransitionRefused(task.id, task.status, "retry")
        task.status, task.run, task.attempt, task.losses = Status.NEW, task.run + 1, 0, 0
        task.run_at, task.started_at, task.finished_at = self.now, None, None
        task.result, task.error, task.cancel_requested = None, None, False
        task.expires_at = None
        kept = self.kept[task.id]
        kept.draft = replace(kept.draft, expires_at=None)
        self._touch(task)

    def begin(self, kept: StoredTask) -> bool:
        """Claim a task; time moves on to when it is due. False when it has expired by then, and so has failed."""
        task, expires_at = kept.task, kept.draft.expires_at
        self.now = max(self.now, task.run_at)
        if expires_at is not None and expires_at <= self.now:
            task.status, task.finished_at = Status.FAILED, self.now
            task.error = _error_text(_EXPIRED)
            self._touch(task)
            return False
        task.status, task.started_at = Status.IN_PROGRESS, self.now
        task.attempt += 1
        task.claim_no += 1
        self._touch(task)
        return True

    def end(self, kept: StoredTask, ended: Attempted) -> None:
        """End the attempt under way as the outcome and the task's policy have it."""
        task = kept.task
        kept.attempts.append(ended)
        claim = AttemptFacts(
            attempt=task.attempt,
            max_attempts=task.max_attempts,
            losses=task.losses,
            max_losses=task.max_losses,
            retry=kept.draft.retry or RetryPolicy(),
        )
        told = decide(ended.outcome, claim, cancel_requested=task.cancel_requested, jitter=0.5)
        task.status, task.result = told.status, told.result
        if told.status is Status.SUCCEEDED:
            task.error = None
        elif told.error is not None:
            task.error = _error_text(told.error)
        if ended.progress:
            share, message = ended.progress[-1]
            task.progress = Progress(share=share, message=message, at=self.now, serial=1)
        if told.status is Status.NEW:
            task.run_at = self.now + told.delay
        else:
            task.finished_at = self.now
        self._touch(task)

    def _touch(self, task: Task) -> None:
        task.updated_at = self.now
        task.version += 1


def _error_text(error: ErrorInfo) -> str:
    return orjson.dumps({"type": error.type, "message": error.message}).decode()


def _fits(task: Task, wanted: TaskFilter) -> bool:
    labels = orjson.loads(task.labels)
    return (
        (not wanted.statuses or task.status in wanted.statuses)
        and wanted.queue in (None, task.queue)
        and wanted.type in (None, task.type)
        and all(labels.get(key) == value for key, value in wanted.labels)
        and (wanted.name or "").casefold() in task.name.casefold()
        and (wanted.created_after is None or wanted.created_after <= task.created_at)
        and (wanted.created_before is None or task.created_at < wanted.created_before)
    )


def _is_beyond(task: Task, asked: PageRequest) -> bool:
    if asked.after is None:
        return True
    return task.id > asked.after if asked.oldest_first else task.id < asked.after


def _task(draft: TaskDraft, number: int, now: datetime) -> Task:
    return Task(
        id=UUID(int=number),
        number=number,
        name=draft.name,
        description=draft.description,
        type=draft.type,
        payload=draft.payload,
        queue=draft.queue,
        priority=draft.priority,
        status=Status.NEW,
        run=1,
        attempt=0,
        max_attempts=draft.max_attempts,
        losses=0,
        max_losses=draft.max_losses,
        cancel_requested=False,
        run_at=draft.run_at or now + (draft.delay or timedelta(0)),
        created_at=now,
        started_at=None,
        finished_at=None,
        updated_at=now,
        result=None,
        error=None,
        labels=draft.labels,
        source=draft.source,
        version=1,
        claim_no=0,
        retry=None if draft.retry is None else orjson.dumps(spec_of(draft.retry)).decode(),
        timeout=draft.timeout,
        expires_at=draft.expires_at,
        callback_url=draft.callback_url,
    )
