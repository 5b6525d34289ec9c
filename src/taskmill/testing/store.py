"""Tasks in memory, changed by the rules of the domain. It knows neither HTTP nor handlers."""

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
from taskmill.domain.rescheduling import Rescheduling, place_of, rescheduled
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.system import PageRequest, TaskFilter, TaskPage
from taskmill.domain.task import ClaimedTask, Progress, Task, TaskDraft, new_task
from taskmill.testing.attempts import Attempted
from taskmill.wire.retry import policy_json

_START: Final = datetime(2030, 1, 1, tzinfo=UTC)
_EXPIRED: Final = ErrorInfo(
    type="Expired", message="The task was not started before its expires_at."
)


@dataclass(slots=True)
class StoredTask:
    """A task, its draft, and how its attempts ended."""

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
        self.now = _START
        self.tasks: dict[UUID, StoredTask] = {}
        self._keys: dict[str, UUID] = {}

    def create(self, draft: TaskDraft) -> tuple[Task, bool]:
        """Return the task of a request, and whether it is new.

        Raises:
            IdempotencyConflict: its key was used for another request.
            InvalidInput: its payload breaks the contract of its type.
        """
        earlier = self._check(draft)
        if earlier is not None:
            return earlier, False
        key = draft.idempotency
        number = len(self.tasks) + 1
        task = new_task(
            draft,
            task_id=UUID(int=number),
            number=number,
            run_at=draft.run_at or self.now + (draft.delay or timedelta(0)),
            created_at=self.now,
            updated_at=self.now,
            retry=None if draft.retry is None else policy_json(draft.retry),
        )
        self.tasks[task.id] = StoredTask(task, draft)
        if key is not None:
            self._keys[key.key] = task.id
        return task, True

    def create_all(self, drafts: Sequence[TaskDraft]) -> list[Task]:
        """Create all or none; raises as `create` does."""
        before = dict(self.tasks), dict(self._keys)
        try:
            return [self.create(draft)[0] for draft in drafts]
        except TaskmillError:
            self.tasks, self._keys = before
            raise

    def _check(self, draft: TaskDraft) -> Task | None:
        """Return the task that the same request has created before, if any; raises as `create` does."""
        key = draft.idempotency
        if key is not None and key.key in self._keys:
            earlier = self.tasks[self._keys[key.key]]
            if earlier.draft.idempotency != key:
                raise IdempotencyConflict(key.key)
            return earlier.task
        if draft.payload_error is not None:
            raise draft.payload_error
        return None

    def get(self, task_id: UUID | int) -> StoredTask:
        """Return the task with this id, or number. Raises `TaskNotFound`."""
        if isinstance(task_id, int):
            found = [one for one in self.tasks.values() if one.task.number == task_id]
            if not found:
                raise TaskNotFound(task_id)
            return found[0]
        if task_id not in self.tasks:
            raise TaskNotFound(task_id)
        return self.tasks[task_id]

    def page(self, wanted: TaskFilter, request: PageRequest) -> TaskPage:
        """Return a part of a listing."""
        found = [one.task for one in self.tasks.values() if _fits(one.task, wanted)]
        in_order = found if request.oldest_first else found[::-1]
        remaining = [task for task in in_order if _is_beyond(task, request)][request.offset :]
        items = remaining[: request.limit]
        following = items[-1].id if len(remaining) > len(items) else None
        return TaskPage(items=items, total=len(found), total_at_least=None, next_after=following)

    def cancel(self, task: Task) -> None:
        """Cancel a waiting task, or request a running one to stop. Raises `TransitionRefused`."""
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
        stored = self.tasks[task.id]
        stored.draft = replace(stored.draft, expires_at=None)
        self._touch(task)

    def reschedule(self, task: Task, wanted: Rescheduling) -> None:
        """Change where and when a waiting task waits. Raises `TransitionRefused`, `InvalidInput`."""
        if task.status is not Status.NEW:
            raise TransitionRefused(task.id, task.status, "reschedule")
        place = rescheduled(task, wanted, self.now)
        if place != place_of(task):
            task.queue, task.priority, task.run_at = place.queue, place.priority, place.run_at
            self._touch(task)

    def begin(self, stored: StoredTask) -> bool:
        """Claim a task; time moves on to when it is due. False when it has expired by then, and failed."""
        task, expires_at = stored.task, stored.draft.expires_at
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

    def end(self, stored: StoredTask, ended: Attempted) -> None:
        """End the running attempt by its outcome and the task's policy."""
        task = stored.task
        stored.attempts.append(ended)
        facts = AttemptFacts(
            attempt=task.attempt,
            max_attempts=task.max_attempts,
            losses=task.losses,
            max_losses=task.max_losses,
            retry=stored.draft.retry or RetryPolicy(),
        )
        transition = decide(
            ended.outcome, facts, cancel_requested=task.cancel_requested, jitter=0.5
        )
        task.status, task.result = transition.status, transition.result
        if transition.status is Status.SUCCEEDED:
            task.error = None
        elif transition.error is not None:
            task.error = _error_text(transition.error)
        if ended.progress:
            share, message = ended.progress[-1]
            task.progress = Progress(share=share, message=message, at=self.now, serial=1)
        if transition.status is Status.NEW:
            task.run_at = self.now + transition.delay
        else:
            task.finished_at = self.now
        self._touch(task)

    def _touch(self, task: Task) -> None:
        task.updated_at = self.now
        task.version += 1


def _error_text(error: ErrorInfo) -> str:
    fields = {name: getattr(error, name) for name in ("type", "message", "place", "fingerprint")}
    return orjson.dumps(
        {name: value for name, value in fields.items() if value is not None}
    ).decode()


def _fits(task: Task, wanted: TaskFilter) -> bool:
    labels = orjson.loads(task.labels)
    return (
        (not wanted.statuses or task.status in wanted.statuses)
        and wanted.queue in (None, task.queue)
        and (wanted.visible is None or task.queue in wanted.visible)
        and wanted.type in (None, task.type)
        and all(labels.get(key) == value for key, value in wanted.labels)
        and (wanted.name or "").casefold() in task.name.casefold()
        and (wanted.created_after is None or wanted.created_after <= task.created_at)
        and (wanted.created_before is None or task.created_at < wanted.created_before)
    )


def _is_beyond(task: Task, request: PageRequest) -> bool:
    if request.after is None:
        return True
    return task.id > request.after if request.oldest_first else task.id < request.after
