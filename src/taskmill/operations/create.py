"""Creating tasks: keyed, batched, and safe to repeat when an answer is lost.

A task's id is drawn before its first insert. When the connection breaks before the answer comes, the same
insert runs again with the same ids: it waits for the old transaction, then finds its rows or makes them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

import asyncpg

from taskmill.domain import identity
from taskmill.domain.errors import (
    IdempotencyConflict,
    InvalidInput,
    QueueLimitReached,
    Unavailable,
    Violation,
)
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import Task, TaskDraft
from taskmill.observability.flow import count_created
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import BATCH_ITEMS, STATEMENTS_FAILED
from taskmill.operations.queues import KnownQueues
from taskmill.runtime.batching import Batcher, Overloaded
from taskmill.runtime.clock import Clock
from taskmill.runtime.ids import IdFactory
from taskmill.storage import callbacks, faults, tasks
from taskmill.storage.callbacks import NewCallback
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.doorbell import Doorbell
from taskmill.storage.servers import Connection
from taskmill.storage.tasks import HeldKey, NewTask, StoredFacts
from taskmill.wire.urls import callback_lane
from taskmill.wire.violations import MOST_VIOLATIONS

log = get_logger(__name__)

# How long a broken connection is worth another try before the caller is told to come back.
_PATIENCE_S = 3.0
_PAUSE_S = 0.1

Stored = TypeVar("Stored")


class TaskCreation:
    """Stores tasks; requests that come together share a commit. Use it as an async context manager."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        ids: IdFactory,
        queues: KnownQueues,
        doorbell: Doorbell,
        key_validity: timedelta,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._queues = queues
        self._doorbell = doorbell
        self._key_validity = key_validity
        self._batch: Batcher[NewTask, CreatedTask | IdempotencyConflict] = Batcher(
            self._store_batch,
            name="create",
            weigh=_weight,
            is_item_fault=faults.is_item_fault,
        )

    async def __aenter__(self) -> Self:
        await self._batch.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._batch.__aexit__(kind, error, trace)

    async def create(self, draft: TaskDraft) -> CreatedTask:
        """Store one task together with whatever else is being created now."""
        if draft.misfit is not None:
            [made] = _unraised((await self._judged(self.drawn((draft,)))).values())
            return made
        await self._ensure_queues((draft.queue,))
        try:
            answer = await self._batch(self._completed(draft))
        except Overloaded as error:
            raise Unavailable(RETRY_AFTER_S, "room for more tasks") from error
        if isinstance(answer, IdempotencyConflict):
            raise answer
        return answer

    async def create_all(self, drafts: Sequence[TaskDraft]) -> list[CreatedTask]:
        """Store all in one transaction, or none when a key of one was used for another request."""
        if not drafts:
            return []
        if any(draft.misfit for draft in drafts):
            return await self._create_all_but_made(self.drawn(drafts))
        return await self._create_drawn(self.drawn(drafts))

    async def _create_drawn(self, new: list[NewTask]) -> list[CreatedTask]:
        await self._ensure_queues({one.draft.queue for one in new})
        BATCH_ITEMS.observe(len(new), ("create_all",))
        return await self._patiently(partial(self._store_all, new))

    def drawn(self, drafts: Iterable[TaskDraft]) -> list[NewTask]:
        """Give each draft its id and times: however often it is stored, it makes one task."""
        return list(map(self._completed, drafts))

    async def store_each(self, new: Sequence[NewTask]) -> list[CreatedTask | Exception]:
        """Store all that can be stored and answer for each, in order: the task, or why it is refused.

        All share one commit; one that PostgreSQL refuses costs a few more, and fails alone. Safe to
        repeat with the same `new` when an answer was lost.

        Raises:
            Unavailable: the database is away; what was stored is unknown.
        """
        judged = await self._judged([one for one in new if one.draft.misfit is not None])
        left = [one for one in new if one.id not in judged] if judged else new
        refused = await self._refused_queues({one.draft.queue for one in left})
        rest = [one for one in left if one.draft.queue not in refused] if refused else left
        answers = iter(await self._store_apart(rest) if rest else ())
        return [judged.get(one.id) or refused.get(one.draft.queue) or next(answers) for one in new]

    async def _judged(self, misfits: Sequence[NewTask]) -> dict[UUID, CreatedTask | Exception]:
        """Answer for requests whose payloads do not fit, by their ids.

        A key may stand for a task already, which was made while another contract held: then that is the answer.
        """
        return await self._patiently(partial(self._find_made, misfits)) if misfits else {}

    async def _find_made(self, misfits: Sequence[NewTask]) -> dict[UUID, CreatedTask | Exception]:
        keys = {one.id: key for one in misfits if (key := _scoped_key(one))}
        async with self._database.hot() as connection:
            held = await tasks.find_live_keys(connection, set(keys.values()))
            there = [one for one in misfits if keys.get(one.id) in held]
            answers = await _answers(connection, there, {}) if there else []
        refused = {one.id: one.draft.misfit for one in misfits if one.draft.misfit is not None}
        return {**refused, **dict(zip((one.id for one in there), answers, strict=True))}

    async def _create_all_but_made(self, new: list[NewTask]) -> list[CreatedTask]:
        """Store a batch in which some payloads do not fit: only if all their tasks are there already."""
        judged = await self._judged([one for one in new if one.draft.misfit is not None])
        found = [v for answer in judged.values() for v in _violations(answer)]
        if found:
            raise InvalidInput(tuple(found[:MOST_VIOLATIONS]))
        made = dict(zip(judged, _unraised(judged.values()), strict=True))
        rest = [one for one in new if one.id not in made]
        stored = iter(await self._create_drawn(rest) if rest else ())
        return [made.get(one.id) or next(stored) for one in new]

    async def _refused_queues(self, names: Collection[str]) -> dict[str, QueueLimitReached]:
        """Make the queues that are missing and return those that there was no room for."""
        try:
            await self._ensure_queues(names)
        except QueueLimitReached as error:
            return {name: error for name in names if not self._queues.has((name,))}
        return {}

    async def _store_apart(self, new: Sequence[NewTask]) -> Sequence[CreatedTask | Exception]:
        """Store in halves, and halves of these, as long as PostgreSQL refuses one of them."""
        try:
            return await self._store_batch(new)
        except asyncpg.PostgresError as error:
            if not faults.is_item_fault(error):
                raise
            if len(new) == 1:
                return [error]
        middle = len(new) // 2
        return [*await self._store_apart(new[:middle]), *await self._store_apart(new[middle:])]

    async def _ensure_queues(self, names: Collection[str]) -> None:
        if not self._queues.has(names):
            await self._patiently(partial(self._queues.ensure, names))

    def _completed(self, draft: TaskDraft) -> NewTask:
        task_id = self._ids()
        created_at = identity.created_at(task_id)
        return NewTask(
            id=task_id,
            created_at=created_at,
            run_at=_run_at(draft, created_at),
            draft=draft,
            key_scope=draft.source,
            key_expires_at=created_at + self._key_validity,
        )

    async def _store_batch(self, new: Sequence[NewTask]) -> list[CreatedTask | IdempotencyConflict]:
        return await self._patiently(partial(self._store, new))

    async def _store(self, new: Sequence[NewTask]) -> list[CreatedTask | IdempotencyConflict]:
        called = _with_callback(new)
        # With a callback, both are written or none is.
        lent = self._database.hot_transaction() if called else self._database.hot()
        async with lent as connection:
            created = await tasks.insert(connection, _first_of_each_key(new))
            await _keep_callbacks(connection, called, created)
            answers = await _answers(connection, new, created)
        self._told(answers)
        return answers

    async def _store_all(self, new: list[NewTask]) -> list[CreatedTask]:
        async with self._database.hot_transaction() as connection:
            created = await tasks.insert(connection, _first_of_each_key(new))
            await _keep_callbacks(connection, _with_callback(new), created)
            answers = _unraised(await _answers(connection, new, created))
        self._told(answers)
        return answers

    def _told(self, answers: Iterable[CreatedTask | IdempotencyConflict]) -> None:
        self._doorbell.ring()
        new = [
            answer.task
            for answer in answers
            if isinstance(answer, CreatedTask) and not answer.replayed
        ]
        count_created((task.queue, task.type) for task in new)
        for task in new:
            log.info(
                "task.created",
                task_id=str(task.id),
                queue=task.queue,
                type=task.type,
                source=task.source,
            )

    async def _patiently(self, store: Callable[[], Awaitable[Stored]]) -> Stored:
        """Run the same insert again while the database is only briefly away."""
        give_up_at = self._clock.monotonic() + _PATIENCE_S
        while True:
            try:
                return await store()
            except Unavailable as error:
                if self._clock.monotonic() + _PAUSE_S >= give_up_at:
                    raise
                log.info("creation.repeated", error=repr(error.__cause__))
            except asyncpg.PostgresError as error:
                if not faults.is_collision(error) or self._clock.monotonic() >= give_up_at:
                    raise
                STATEMENTS_FAILED.add(1, ("collision",))
                log.info("creation.collided", error=repr(error))
            await asyncio.sleep(_PAUSE_S)


def _violations(answer: CreatedTask | Exception) -> Iterable[Violation]:
    return answer.violations if isinstance(answer, InvalidInput) else ()


def _unraised(answers: Iterable[CreatedTask | Exception]) -> list[CreatedTask]:
    kept = []
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
        kept.append(answer)
    return kept


def _weight(new: NewTask) -> int:
    draft = new.draft
    return len(draft.payload or "") + len(draft.description or "") + len(draft.labels)


def _run_at(draft: TaskDraft, created_at: datetime) -> datetime:
    if draft.delay is not None:
        return created_at + draft.delay
    return draft.run_at or created_at


def _first_of_each_key(new: Iterable[NewTask]) -> list[NewTask]:
    """Leave out what repeats a key within the batch: one statement may touch a key only once."""
    seen: set[tuple[str, str]] = set()
    first = []
    for task in new:
        key = _scoped_key(task)
        if key is None or key not in seen:
            first.append(task)
        if key is not None:
            seen.add(key)
    return first


def _scoped_key(new: NewTask) -> tuple[str, str] | None:
    key = new.draft.idempotency
    return (new.key_scope, key.key) if key else None


def _with_callback(new: Iterable[NewTask]) -> list[tuple[UUID, str]]:
    return [(one.id, url) for one in new if (url := one.draft.callback_url) is not None]


async def _keep_callbacks(
    connection: Connection, called: Iterable[tuple[UUID, str]], created: Mapping[UUID, StoredFacts]
) -> None:
    """Keep whom to call for the tasks that this transaction creates."""
    new = [
        NewCallback(task_id, url, callback_lane(url))
        for task_id, url in called
        if task_id in created
    ]
    if new:
        await callbacks.insert(connection, new)


async def _answers(
    connection: Connection, new: Sequence[NewTask], created: Mapping[UUID, StoredFacts]
) -> list[CreatedTask | IdempotencyConflict]:
    """Answer for each: the task just created, the one that its key stands for, or the conflict."""
    rest = [task for task in new if task.id not in created]
    held = await tasks.find_keys(connection, {key for task in rest if (key := _scoped_key(task))})
    holders = {task.id: held[key].task_id for task in rest if (key := _scoped_key(task)) in held}
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
    )
