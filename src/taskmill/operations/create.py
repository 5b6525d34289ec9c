"""Creating tasks: keyed, batched, and safe to repeat when an answer is lost.

A task's id is drawn before its first insert. When the connection breaks before the answer comes, the same
insert runs again with the same ids: it waits for the old transaction, then finds its rows or makes them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias, TypeVar
from uuid import UUID

import asyncpg

from taskmill.domain import identity
from taskmill.domain.errors import (
    IdempotencyConflict,
    InvalidInput,
    Unavailable,
    Violation,
)
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import TaskDraft
from taskmill.observability.flow import count_created
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import BATCH_ITEMS, STATEMENTS_FAILED
from taskmill.operations import storing
from taskmill.operations.key_holders import KeyHolders
from taskmill.operations.known_names import KnownNames
from taskmill.operations.known_types import KnownTypes
from taskmill.operations.queues import KnownQueues
from taskmill.operations.writability import Writability
from taskmill.runtime.batching import Batcher, Overloaded
from taskmill.runtime.clock import Clock
from taskmill.runtime.duty_cycle import DutyCycle
from taskmill.runtime.ids import IdFactory
from taskmill.storage import faults, tasks
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.notifier import Notifier
from taskmill.storage.servers import Connection
from taskmill.storage.tasks import NewTask
from taskmill.wire.violations import MOST_VIOLATIONS

log = get_logger(__name__)

# How long a broken connection is worth another try before the caller is told to come back.
_TIMEOUT_S = 3.0
_PAUSE_S = 0.1
# The share of the time in which a process may hold NOTIFY's lock over a commit, and how long at most it may not.
_RINGING_SHARE = 0.1
_RINGING_BURST_S = 0.1
_UNRUNG_S = 1.0

Stored = TypeVar("Stored")
CreationFuture: TypeAlias = asyncio.Future[CreatedTask | IdempotencyConflict]
"""A task that is being stored: its answer, or what became of the transaction that should have done it."""


class TaskCreation:
    """Stores tasks; requests that come together share a commit. Use it as an async context manager."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        ids: IdFactory,
        queues: KnownQueues,
        types: KnownTypes,
        notifier: Notifier,
        writability: Writability,
        key_validity: timedelta,
    ) -> None:
        self.writability = writability
        self._key_holders = KeyHolders(database)
        self._database = database
        self._clock = clock
        self._ids = ids
        self.queues = queues
        self.types = types
        self._notifier = notifier
        self._key_validity = key_validity
        self._under_way = 0
        self._notifying = DutyCycle(
            clock, share=_RINGING_SHARE, most_s=_RINGING_BURST_S, longest_s=_UNRUNG_S
        )
        self._owes_notification = False
        self._batch: Batcher[NewTask, CreatedTask | IdempotencyConflict] = Batcher(
            self._store_batch,
            name="create",
            weigh=_weight,
            is_item_fault=faults.is_item_fault,
            may_be_item_fault=faults.may_be_item_fault,
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
        new = self._completed(draft)
        if refused := await self._refused((new,)):
            [made] = _unraised(refused.values())
            return made
        try:
            answer = await self._batch(new)
        except Overloaded as error:
            raise Unavailable(RETRY_AFTER_S, "room for more tasks") from error
        if isinstance(answer, IdempotencyConflict):
            raise answer
        return answer

    def begin(self, draft: TaskDraft) -> CreationFuture | None:
        """Begin to store one task; None when there is more to do first, which `create` does."""
        if draft.payload_error is not None or not (
            self.queues.has((draft.queue,)) and self.types.has((draft.type,))
        ):
            return None
        later = self._submitted(self._completed(draft))
        return None if isinstance(later, Unavailable) else later

    async def is_held_by_another(self, draft: TaskDraft) -> bool:
        """Tell whether another request is seen to hold the key of this one, which waits; in a second at most.

        Raises:
            Unavailable: nobody can say, as the database takes no writes.
        """
        if await self.writability.probe() is not None:
            raise Unavailable(RETRY_AFTER_S, "writing to the database")
        return await self._key_holders.another_holds_key_of(draft)

    async def create_all(self, drafts: Sequence[TaskDraft]) -> list[CreatedTask]:
        """Store all in one transaction, or none when one of them is refused."""
        if not drafts:
            return []
        new = self.with_ids(drafts)
        refused = await self._refused(new)
        if found := [v for answer in refused.values() for v in _violations(answer)]:
            raise InvalidInput(tuple(found[:MOST_VIOLATIONS]))
        made = dict(zip(refused, _unraised(refused.values()), strict=True))
        rest = [one for one in new if one.id not in made] if made else new
        BATCH_ITEMS.observe(len(rest), ("create_all",))
        stored = iter(await self._patiently(partial(self._store_all, rest)) if rest else ())
        return [made.get(one.id) or next(stored) for one in new]

    async def submit_each(
        self, drafts: Sequence[TaskDraft]
    ) -> list[CreationFuture | CreatedTask | Exception]:
        """Begin to store all that can be stored together with whatever else is being created now.

        Returns for each, in order, the future of its task; or at once why it is refused, or the task there is.

        Raises:
            Unavailable: the database is away; none was begun.
        """
        new = self.with_ids(drafts)
        refused = await self._refused(new)
        return [refused.get(one.id) or self._submitted(one) for one in new]

    def _submitted(self, new: NewTask) -> CreationFuture | Unavailable:
        try:
            return self._batch.submit(new)
        except Overloaded:
            return Unavailable(RETRY_AFTER_S, "room for more tasks")

    def with_ids(self, drafts: Iterable[TaskDraft]) -> list[NewTask]:
        """Give each draft its id and times: however often it is stored, it makes one task."""
        return list(map(self._completed, drafts))

    async def store_each(self, new: Sequence[NewTask]) -> list[CreatedTask | Exception]:
        """Store all that can be stored and answer for each, in order: the task, or why it is refused.

        All share one commit; one that PostgreSQL refuses costs a few more, and fails alone. Safe to
        repeat with the same `new` when an answer was lost.

        Raises:
            Unavailable: the database is away; what was stored is unknown.
        """
        refused = await self._refused(new)
        rest = [one for one in new if one.id not in refused] if refused else new
        answers = iter(await self._store_apart(rest) if rest else ())
        return [refused.get(one.id) or next(answers) for one in new]

    async def _refused(self, new: Sequence[NewTask]) -> dict[UUID, CreatedTask | Exception]:
        """Answer for requests that can't be stored, by their ids: payloads that do not fit, one name too many.

        A key may stand for a task already, which was made while that was allowed: then this is the answer.
        """
        errors: dict[UUID, Exception] = {
            one.id: one.draft.payload_error for one in new if one.draft.payload_error is not None
        }
        names_of: tuple[tuple[KnownNames, Callable[[NewTask], str]], ...] = (
            (self.types, _type_of),
            (self.queues, _queue_of),
        )
        for known, name_of in names_of:
            left = [one for one in new if one.id not in errors] if errors else new
            names = set(map(name_of, left))
            if known.has(names):
                continue
            if refused := await self._patiently(partial(known.refused, names)):
                error = known.limit_reached()
                errors |= {one.id: error for one in left if name_of(one) in refused}
        if not errors:
            return {}
        return await self._patiently(partial(self._find_made, new, errors))

    async def _find_made(
        self, new: Sequence[NewTask], errors: Mapping[UUID, Exception]
    ) -> dict[UUID, CreatedTask | Exception]:
        refused = [one for one in new if one.id in errors]
        keys = {one.id: key for one in refused if (key := storing.scoped_key(one))}
        if not keys:
            return dict(errors)
        async with self._database.hot() as connection:
            held = await tasks.find_live_keys(connection, set(keys.values()))
            there = [one for one in refused if keys.get(one.id) in held]
            answers = await storing.answers(connection, there, {}) if there else []
        return {**errors, **dict(zip((one.id for one in there), answers, strict=True))}

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
        has_callback = any(one.draft.callback_url is not None for one in new)
        is_alone = len(new) == 1 and not has_callback and not self._under_way
        notifies = is_alone and self._notifying.is_open
        began_at = self._clock.monotonic()
        self._under_way += 1
        try:
            async with self._lent(new, in_transaction=has_callback) as connection:
                answers = await self._store_with(connection, new, notifies=notifies)
        except BaseException:
            # It may have been stored, and then the next try finds it there, and notifies for nothing of its own.
            self._owes_notification = True
            raise
        finally:
            self._under_way -= 1
        if notifies:
            self._notifying.charge(self._clock.monotonic() - began_at)
        if not notifies or self._owes_notification:
            self._owes_notification = False
            self._notifier.notify()
        self._told(answers)
        return answers

    @asynccontextmanager
    async def _lent(
        self, new: Sequence[NewTask], *, in_transaction: bool, longer_s: float = 0
    ) -> AsyncIterator[Connection]:
        """Lend a connection to store these with; it is known by whom they are carried until they are committed."""
        database = self._database
        with database.writes.write(), self._key_holders.carrying(new) as carry:
            lending = (
                database.hot_transaction(longer_s=longer_s) if in_transaction else database.hot()
            )
            async with lending as lent:
                carry(lent)
                yield lent

    async def _store_with(
        self, connection: Connection, new: Sequence[NewTask], *, notifies: bool
    ) -> list[CreatedTask | IdempotencyConflict]:
        try:
            return await storing.store(connection, new, notifies=notifies)
        except asyncpg.ProgramLimitExceededError:
            # The queue of notifications is full, as when somebody listens and never ends a transaction.
            if not notifies:
                raise
            self._owes_notification = True
            self._notifying.charge(float("inf"))
            return await storing.store(connection, new)

    async def _store_all(self, new: list[NewTask]) -> list[CreatedTask]:
        longer_s = len(new) * storing.BATCH_TASK_S
        timeout_s = self._database.longest_s(longer_s) + 1
        async with self._lent(new, in_transaction=True, longer_s=longer_s) as connection:
            answers = _unraised(await storing.store(connection, new, timeout_s=timeout_s))
        self._notifier.notify()
        self._told(answers)
        return answers

    def _told(self, answers: Iterable[CreatedTask | IdempotencyConflict]) -> None:
        self._database.notify_committed()
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
        give_up_at = self._clock.monotonic() + _TIMEOUT_S
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


def _type_of(new: NewTask) -> str:
    return new.draft.type


def _queue_of(new: NewTask) -> str:
    return new.draft.queue


def _weight(new: NewTask) -> int:
    draft = new.draft
    return len(draft.payload or "") + len(draft.description or "") + len(draft.labels)


def _run_at(draft: TaskDraft, created_at: datetime) -> datetime:
    if draft.delay is not None:
        return created_at + draft.delay
    return draft.run_at or created_at
