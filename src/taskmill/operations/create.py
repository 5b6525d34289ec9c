"""Creating tasks: keyed, batched, and safe to repeat when the result of a statement is lost.

A task gets its id before its first insert. When the connection breaks before the result comes, the same insert
runs again with the same ids: it waits for the old transaction, then finds its rows or inserts them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias, TypeVar
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
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import BATCH_ITEMS, STATEMENTS_FAILED
from taskmill.operations import storing
from taskmill.operations.creation_reports import LogFacts, report_created, report_new
from taskmill.operations.earlier_keys import EarlierKeys
from taskmill.operations.key_holders import KeyHolders
from taskmill.operations.known_names import KnownNames
from taskmill.operations.known_types import KnownTypes
from taskmill.operations.queues import KnownQueues
from taskmill.operations.waiting_quotas import WaitingQuotas
from taskmill.operations.writability import Writability
from taskmill.runtime.batching import Batcher, Overloaded
from taskmill.runtime.clock import Clock
from taskmill.runtime.context_owner import ContextOwner
from taskmill.runtime.duty_cycle import DutyCycle
from taskmill.runtime.ids import IdFactory
from taskmill.storage import faults, tasks
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.notifier import Notifier
from taskmill.storage.servers import Connection
from taskmill.storage.tasks import NewTask
from taskmill.wire.violations import MOST_VIOLATIONS

log = get_logger(__name__)

# How long an insert is tried again after a broken connection, before the caller gets an error.
_TIMEOUT_S = 3.0
_PAUSE_S = 0.1
# The share of time in which a process may hold NOTIFY's lock over a commit, and the longest pause from that.
_NOTIFY_SHARE = 0.1
_NOTIFY_BURST_S = 0.1
_LONGEST_PAUSE_S = 1.0

Stored = TypeVar("Stored")
CreationFuture: TypeAlias = asyncio.Future[CreatedTask | IdempotencyConflict]
"""A task that is being stored: the result of its creation, or the error of the transaction."""


class TaskCreation(ContextOwner):
    """Stores tasks; requests at the same time share a commit. Use it as an async context manager."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        ids: IdFactory,
        queues: KnownQueues,
        types: KnownTypes,
        waiting: WaitingQuotas,
        notifier: Notifier,
        writability: Writability,
        key_validity: timedelta,
    ) -> None:
        self.writability = writability
        self.key_holders = KeyHolders(database, writability)
        # Where API keys are required.
        self.earlier_keys: EarlierKeys | None = None
        self._database = database
        self._clock = clock
        self.ids = ids
        self.queues = queues
        self.types = types
        self.waiting = waiting
        self._notifier = notifier
        self._key_validity = key_validity
        self._in_flight = 0
        self._notifying = DutyCycle(
            clock, share=_NOTIFY_SHARE, most_s=_NOTIFY_BURST_S, longest_s=_LONGEST_PAUSE_S
        )
        self._must_notify = False
        self._batch: Batcher[NewTask, CreatedTask | IdempotencyConflict] = Batcher(
            self._store_batch,
            name="create",
            weigh=_weight,
            is_item_fault=faults.is_item_fault,
            may_be_item_fault=faults.may_be_item_fault,
        )
        super().__init__(self._batch, self.key_holders)

    async def create(self, draft: TaskDraft) -> CreatedTask:
        """Store one task together with whatever else is being created now, and return after its commit.

        Raises:
            IdempotencyConflict: the key was used for a request with another body.
            QueueLimitReached: the queue is new, and the limit is reached.
            UnservedTypeLimitReached: the same for its type.
            QuotaExceeded: its API key has too much of something.
        """
        new = self._with_id(draft)
        if settled := await self._settled((new,)):
            [made] = _raise_first(settled.values())
            return made
        try:
            result = await self._batch(new)
        except Overloaded as error:
            raise Unavailable(RETRY_AFTER_S, "room for more tasks") from error
        if isinstance(result, IdempotencyConflict):
            raise result
        return result

    def begin(self, draft: TaskDraft) -> CreationFuture | None:
        """Begin to store one task; None when that needs the other steps of `create` first."""
        is_known = self.queues.has((draft.queue,)) and self.types.has((draft.type,))
        if draft.payload_error is not None or not is_known or self._may_be_earlier(draft):
            return None
        new = self._with_id(draft)
        if not self.waiting.admits(new):
            return None
        future = self._submit(new)
        return None if isinstance(future, Unavailable) else future

    async def create_all(self, drafts: Sequence[TaskDraft]) -> list[CreatedTask]:
        """Store all in one transaction, or none when one of them is refused; the results are in the same order."""
        if not drafts:
            return []
        new = self.with_ids(drafts)
        settled = await self._settled(new)
        if found := [v for result in settled.values() for v in _violations(result)]:
            raise InvalidInput(tuple(found[:MOST_VIOLATIONS]))
        made = dict(zip(settled, _raise_first(settled.values()), strict=True))
        remaining = [one for one in new if one.id not in made]
        BATCH_ITEMS.observe(len(remaining), ("create_all",))
        storing_all = partial(self._store_all, remaining)
        stored = iter(await self._with_retries(storing_all) if remaining else ())
        return [made.get(one.id) or next(stored) for one in new]

    async def submit_each(
        self, drafts: Sequence[TaskDraft]
    ) -> list[CreationFuture | CreatedTask | Exception]:
        """Begin to store all that can be stored, together with whatever else is being created now.

        Returns for each, in order, the future of its task; or the error of a refused one, or the existing task.

        Raises:
            Unavailable: the database is away; nothing was begun.
        """
        new = self.with_ids(drafts)
        settled = await self._settled(new)
        return [settled.get(one.id) or self._submit(one) for one in new]

    def _submit(self, new: NewTask) -> CreationFuture | Unavailable:
        try:
            return self._batch.submit(new)
        except Overloaded:
            return Unavailable(RETRY_AFTER_S, "room for more tasks")

    def with_ids(self, drafts: Iterable[TaskDraft]) -> list[NewTask]:
        """Give each draft its id and times: however often it is stored, it becomes one task."""
        return list(map(self._with_id, drafts))

    async def store_each(self, new: Sequence[NewTask]) -> list[CreatedTask | Exception]:
        """Store all that can be stored and return for each, in order, its task or the error of a refused one.

        All share one commit; one that PostgreSQL refuses costs a few more, and fails alone. Safe to
        repeat with the same `new` when the result was lost.

        Raises:
            Unavailable: the database is away; what was stored is unknown.
        """
        settled = await self._settled(new)
        remaining = [one for one in new if one.id not in settled]
        results = iter(await self._store_apart(remaining) if remaining else ())
        return [settled.get(one.id) or next(results) for one in new]

    async def _settled(self, new: Sequence[NewTask]) -> dict[UUID, CreatedTask | Exception]:
        """Return the results of requests that store nothing, by their ids: existing tasks, and refusals."""
        keys, wanted = self.earlier_keys, [one for one in new if self._may_be_earlier(one.draft)]
        if keys is None or not wanted:
            return await self.refused(new)
        earlier = await self._with_retries(partial(keys.find, wanted))
        return {**earlier, **await self.refused([one for one in new if one.id not in earlier])}

    def _may_be_earlier(self, draft: TaskDraft) -> bool:
        return self.earlier_keys is not None and self.earlier_keys.may_have(draft)

    async def refused(self, new: Sequence[NewTask]) -> dict[UUID, CreatedTask | Exception]:
        """Return the results of requests that can't be stored, by their ids: invalid payloads, names over a limit.

        Names that are new are made. A key may stand for a task that was created while that was allowed: then that
        task is the result.
        """
        errors: dict[UUID, Exception] = {
            one.id: one.draft.payload_error for one in new if one.draft.payload_error is not None
        }
        names_of: tuple[tuple[KnownNames, Callable[[NewTask], str]], ...] = (
            (self.types, _type_of),
            (self.queues, _queue_of),
        )
        for known, name_of in names_of:
            remaining = [one for one in new if one.id not in errors]
            names = set(map(name_of, remaining))
            if known.has(names):
                continue
            for owner in {one.draft.owner for one in remaining}:
                own = [one for one in remaining if one.draft.owner == owner]
                names = set(map(name_of, own))
                refused = await self._with_retries(partial(known.refused, names, owner))
                errors |= {
                    one.id: refused[name] for one in own if (name := name_of(one)) in refused
                }
        owned = [one for one in new if one.share is not None and one.id not in errors]
        errors |= await self._with_retries(partial(self.waiting.refused, owned)) if owned else {}
        if not errors:
            return {}
        return await self._with_retries(partial(self._find_existing, new, errors))

    async def _find_existing(
        self, new: Sequence[NewTask], errors: Mapping[UUID, Exception]
    ) -> dict[UUID, CreatedTask | Exception]:
        refused = [one for one in new if one.id in errors]
        keys = {one.id: key for one in refused if (key := one.scoped_key)}
        if not keys:
            return dict(errors)
        async with self._database.hot() as connection:
            held = await tasks.find_live_keys(connection, set(keys.values()))
            existing = [one for one in refused if keys.get(one.id) in held]
            results = await storing.results(connection, existing, {})
        return {**errors, **dict(zip((one.id for one in existing), results, strict=True))}

    async def _store_apart(self, new: Sequence[NewTask]) -> Sequence[CreatedTask | Exception]:
        """Store all, or each half by itself when PostgreSQL refuses one of them, and so on."""
        try:
            return await self._store_batch(new)
        except asyncpg.PostgresError as error:
            if not faults.is_item_fault(error):
                raise
            if len(new) == 1:
                return [error]
        middle = len(new) // 2
        return [*await self._store_apart(new[:middle]), *await self._store_apart(new[middle:])]

    def _with_id(self, draft: TaskDraft) -> NewTask:
        task_id = self.ids()
        created_at = identity.created_at(task_id)
        return NewTask(
            id=task_id,
            created_at=created_at,
            run_at=_run_at(draft, created_at),
            draft=draft,
            key_expires_at=created_at + self._key_validity,
            share=self.waiting.share_of(draft),
        )

    async def _store_batch(self, new: Sequence[NewTask]) -> list[CreatedTask | IdempotencyConflict]:
        return await self._with_retries(partial(self._store, new))

    async def _store(self, new: Sequence[NewTask]) -> list[CreatedTask | IdempotencyConflict]:
        has_callback = any(one.draft.callback_url is not None for one in new)
        is_alone = len(new) == 1 and not has_callback and not self._in_flight
        notifies = is_alone and self._notifying.is_open
        began_at = self._clock.monotonic()
        self._in_flight += 1
        try:
            async with self._connection_for(new, in_transaction=has_callback) as connection:
                results = await self._store_with(connection, new, notifies=notifies)
        except BaseException:
            # It may have been stored: then the next try finds it, stores nothing, and would not notify.
            self._must_notify = True
            raise
        finally:
            self._in_flight -= 1
        if notifies:
            self._notifying.charge(self._clock.monotonic() - began_at)
        if not notifies or self._must_notify:
            self._must_notify = False
            self._notifier.notify()
        self._report_created(results)
        return results

    @asynccontextmanager
    async def _connection_for(
        self, new: Sequence[NewTask], *, in_transaction: bool, longer_s: float = 0
    ) -> AsyncIterator[Connection]:
        """Check out a connection to store these with; until they are committed, the key holders know of it."""
        database, carried = self._database, self.key_holders.carried
        async with database.hot(is_write=True) as connection:
            pid = connection.get_server_pid()
            carried[pid] = new
            try:
                if in_transaction:
                    async with database.transaction(connection, longer_s=longer_s):
                        yield connection
                else:
                    yield connection
            finally:
                del carried[pid]

    async def _store_with(
        self, connection: Connection, new: Sequence[NewTask], *, notifies: bool
    ) -> list[CreatedTask | IdempotencyConflict]:
        try:
            return await storing.store(connection, new, notifies=notifies)
        except asyncpg.ProgramLimitExceededError:
            # The queue of notifications is full, as when somebody listens and never ends a transaction.
            if not notifies:
                raise
            self._must_notify = True
            self._notifying.charge(float("inf"))
            return await storing.store(connection, new)

    async def _store_all(self, new: list[NewTask]) -> list[CreatedTask]:
        longer_s = len(new) * storing.BATCH_TASK_S
        timeout_s = self._database.result_timeout_s(longer_s)
        async with self._connection_for(new, in_transaction=True, longer_s=longer_s) as connection:
            results = _raise_first(await storing.store(connection, new, timeout_s=timeout_s))
        self._notifier.notify()
        self._report_created(results)
        return results

    def report_stored(self, results: Iterable[CreatedTask | IdempotencyConflict]) -> None:
        """Notify workers of tasks that a transaction of the caller's has stored and committed."""
        self._notifier.notify()
        self._report_created(results)

    def report_new(self, new: Iterable[NewTask], facts: LogFacts) -> None:
        """Do what `report_stored` does, of tasks that were not read back; `facts` are for their log lines."""
        self._notifier.notify()
        self._database.notify_committed()
        report_new(new, facts)

    def _report_created(self, results: Iterable[CreatedTask | IdempotencyConflict]) -> None:
        self._database.notify_committed()
        report_created(results)

    async def _with_retries(self, store: Callable[[], Awaitable[Stored]]) -> Stored:
        """Run the same statements again while the database is only briefly away."""
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


def _violations(result: CreatedTask | Exception) -> Iterable[Violation]:
    return result.violations if isinstance(result, InvalidInput) else ()


def _raise_first(results: Iterable[CreatedTask | Exception]) -> list[CreatedTask]:
    """Return the tasks, or raise the first error."""
    tasks_only = []
    for result in results:
        if isinstance(result, Exception):
            raise result
        tasks_only.append(result)
    return tasks_only


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
