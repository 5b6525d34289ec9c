"""One try to store a batch: what the transaction writes, and what that means for each of its tasks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from taskmill.domain.errors import IdempotencyConflict, Unavailable
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import Task
from taskmill.storage import callbacks, tasks
from taskmill.storage.callbacks import NewCallback
from taskmill.storage.database import RETRY_AFTER_S
from taskmill.storage.servers import Connection
from taskmill.storage.tasks import HeldKey, NewTask, StoredFacts
from taskmill.wire.urls import callback_endpoint

BATCH_TASK_S: Final = 0.002
"""So much longer a transaction may take for each of its tasks: ten times what it takes at rest."""


async def store(
    connection: Connection,
    new: Sequence[NewTask],
    *,
    notifies: bool = False,
    timeout_s: float | None = None,
) -> list[CreatedTask | IdempotencyConflict]:
    """Store what is new and answer for each, in order. With `notifies`, of a single one, listeners are notified.

    It is waited for as long as is usual, or for `timeout_s`.

    Tasks with a callback want a transaction around it: both are written, or none is.
    """
    created = await tasks.insert(
        connection, _first_of_each_key(new), notifies=notifies, timeout_s=timeout_s
    )
    await _keep_callbacks(connection, called(new), created)
    return await answers(connection, new, created)


def _first_of_each_key(new: Iterable[NewTask]) -> list[NewTask]:
    """Leave out what repeats a key within the batch: one statement may touch a key only once."""
    seen: set[tuple[str, str]] = set()
    first = []
    for task in new:
        key = scoped_key(task)
        if key is None or key not in seen:
            first.append(task)
        if key is not None:
            seen.add(key)
    return first


def scoped_key(new: NewTask) -> tuple[str, str] | None:
    """Return what the task's idempotency key is known by, None when it has none."""
    key = new.draft.idempotency
    return (new.key_scope, key.key) if key else None


def called(new: Iterable[NewTask]) -> list[tuple[UUID, str]]:
    """Return the tasks that have somebody to call when they end, and whom."""
    return [(one.id, url) for one in new if (url := one.draft.callback_url) is not None]


async def _keep_callbacks(
    connection: Connection, called: Iterable[tuple[UUID, str]], created: Mapping[UUID, StoredFacts]
) -> None:
    """Keep whom to call for the tasks that this transaction creates."""
    new = [
        NewCallback(task_id, url, callback_endpoint(url))
        for task_id, url in called
        if task_id in created
    ]
    if new:
        await callbacks.insert(connection, new)


async def answers(
    connection: Connection, new: Sequence[NewTask], created: Mapping[UUID, StoredFacts]
) -> list[CreatedTask | IdempotencyConflict]:
    """Answer for each: the task just created, the one that its key stands for, or the conflict."""
    rest = [task for task in new if task.id not in created]
    held = await tasks.find_keys(connection, {key for task in rest if (key := scoped_key(task))})
    holders = {task.id: held[key].task_id for task in rest if (key := scoped_key(task)) in held}
    wanted = {holders.get(task.id, task.id) for task in rest}
    stored = await tasks.get_with(connection, wanted) if wanted else {}
    if stored:
        await tasks.wait_for_standby(connection)
    return [
        CreatedTask(task=_task(task, created[task.id]), replayed=False)
        if task.id in created
        else _answer_of_holder(task, held, stored)
        for task in new
    ]


def _answer_of_holder(
    new: NewTask, held: Mapping[tuple[str, str], HeldKey], stored: Mapping[UUID, Task]
) -> CreatedTask | IdempotencyConflict:
    key = new.draft.idempotency
    holder = held.get((new.key_scope, key.key)) if key else None
    if key and holder and holder.request_hash != key.request_hash:
        return IdempotencyConflict(key.key)
    task = stored.get(holder.task_id if holder else new.id)
    if task is None:
        # The key ran out, or its task passed retention, between two statements: the next try sees it.
        raise Unavailable(RETRY_AFTER_S, "the idempotency key")
    return CreatedTask(task=task, replayed=task.id != new.id)


def _task(new: NewTask, stored: StoredFacts) -> Task:
    """Put together what is now stored, without reading it back."""
    draft = new.draft
    return Task(
        id=new.id,
        number=stored.number,
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
        run_at=new.run_at,
        created_at=new.created_at,
        started_at=None,
        finished_at=None,
        updated_at=stored.updated_at,
        result=None,
        error=None,
        labels=draft.labels,
        source=draft.source,
        version=1,
        claim_no=0,
        retry=None if draft.retry is None else tasks.retry_text(draft.retry),
        timeout=draft.timeout,
        expires_at=draft.expires_at,
        callback_url=draft.callback_url,
    )
