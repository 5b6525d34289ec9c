"""One try to store a batch: what the transaction writes, and the result of each of its tasks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from taskmill.domain.errors import IdempotencyConflict, Unavailable
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import Task, new_task
from taskmill.storage import callbacks, tasks
from taskmill.storage.callbacks import NewCallback
from taskmill.storage.database import RETRY_AFTER_S
from taskmill.storage.servers import Connection
from taskmill.storage.tasks import HeldKey, NewTask, StoredFacts
from taskmill.wire.retry import policy_json
from taskmill.wire.urls import callback_endpoint

BATCH_TASK_S: Final = 0.002
"""How much longer a transaction may take for each of its tasks: ten times what it takes on an idle system."""


async def store(
    connection: Connection,
    new: Sequence[NewTask],
    *,
    notifies: bool = False,
    timeout_s: float | None = None,
) -> list[CreatedTask | IdempotencyConflict]:
    """Store what is new and return a result for each, in order. With `notifies`, notify of a single new one.

    The statement has `timeout_s`, or the usual time.

    Tasks with a callback need a transaction around it, so that both are written or neither.
    """
    created = await tasks.insert(connection, new, notifies=notifies, timeout_s=timeout_s)
    await _store_callbacks(connection, callbacks_of(new), created)
    return await results(connection, new, created)


def callbacks_of(new: Iterable[NewTask]) -> list[tuple[UUID, str]]:
    """Return the ids of tasks with a callback, and its URL."""
    return [(one.id, url) for one in new if (url := one.draft.callback_url) is not None]


async def _store_callbacks(
    connection: Connection, urls: Iterable[tuple[UUID, str]], created: Mapping[UUID, StoredFacts]
) -> None:
    """Store the callbacks of the tasks that this transaction creates."""
    new = [
        NewCallback(task_id, url, callback_endpoint(url))
        for task_id, url in urls
        if task_id in created
    ]
    if new:
        await callbacks.insert(connection, new)


async def store_new(connection: Connection, new: Sequence[NewTask]) -> list[NewTask]:
    """Store tasks without idempotency keys, and return those that were new: all, unless this ran before.

    Nobody reads them back, as nobody waits for a response.
    """
    created = await tasks.insert(connection, new)
    await _store_callbacks(connection, callbacks_of(new), created)
    return [task for task in new if task.id in created]


async def results(
    connection: Connection, new: Sequence[NewTask], created: Mapping[UUID, StoredFacts]
) -> list[CreatedTask | IdempotencyConflict]:
    """Return for each the task just created, the one that its key stands for, or the conflict."""
    remaining = [task for task in new if task.id not in created]
    keys = {key for task in remaining if (key := task.scoped_key)}
    held = await tasks.find_keys(connection, keys)
    holders = {task.id: held[key].task_id for task in remaining if (key := task.scoped_key) in held}
    wanted = {holders.get(task.id, task.id) for task in remaining}
    stored = await tasks.get_with(connection, wanted) if wanted else {}
    if stored:
        await tasks.wait_for_standby(connection)
    return [
        CreatedTask(task=_task(task, created[task.id]), replayed=False)
        if task.id in created
        else _result_of_holder(task, held, stored)
        for task in new
    ]


def _result_of_holder(
    new: NewTask, held: Mapping[tuple[str, str], HeldKey], stored: Mapping[UUID, Task]
) -> CreatedTask | IdempotencyConflict:
    key = new.draft.idempotency
    holder = held.get(scoped) if (scoped := new.scoped_key) else None
    if key and holder and holder.request_hash != key.request_hash:
        return IdempotencyConflict(key.key)
    task = stored.get(holder.task_id if holder else new.id)
    if task is None and key and holder and holder.is_valid:
        # A queue keeps its tasks for less than a key holds: it stands for no second one.
        return IdempotencyConflict(key.key, "stands for a task that was deleted")
    if task is None:
        # Between two statements the key ran out, or its task passed its retention: the next try sees that.
        raise Unavailable(RETRY_AFTER_S, "the idempotency key")
    return CreatedTask(task=task, replayed=task.id != new.id)


def _task(new: NewTask, stored: StoredFacts) -> Task:
    """Build the stored task without reading it back."""
    retry = new.draft.retry
    return new_task(
        new.draft,
        task_id=new.id,
        number=stored.number,
        run_at=new.run_at,
        created_at=new.created_at,
        updated_at=stored.updated_at,
        retry=None if retry is None else policy_json(retry),
    )
