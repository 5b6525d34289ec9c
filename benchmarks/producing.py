"""A producer of tasks in this process, through the operation that all entry points share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from taskmill import settings as configuration
from taskmill.composition.process import Process
from taskmill.domain.task import TaskDraft
from taskmill.domain.task_fields import DEFAULT_TYPE
from taskmill.operations.create import TaskCreation
from taskmill.operations.known_types import KnownTypes
from taskmill.operations.queues import KnownQueues
from taskmill.operations.waiting_quotas import WaitingQuotas
from taskmill.storage.notifier import Notifier

_PRODUCED_AT_ONCE = 1000


class Producer:
    """Creates tasks in this process, through the operation that all entry points share."""

    def __init__(self, process: Process, creation: TaskCreation) -> None:
        self.process = process
        self.creation = creation

    async def create(self, count: int, payload: str | None, *, kind: str = DEFAULT_TYPE) -> None:
        """Create `count` tasks of a type, a thousand in a transaction."""
        draft = TaskDraft(name="benchmark", type=kind, payload=payload)
        for start in range(0, count, _PRODUCED_AT_ONCE):
            await self.creation.create_all([draft] * min(_PRODUCED_AT_ONCE, count - start))


@asynccontextmanager
async def producing(url: str) -> AsyncIterator[Producer]:
    """Connect to a database as the API does, with a notifier."""
    settings = configuration.load(database_url=url)
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        process = await Process.start(settings, stack, stop)
        notifier = Notifier(process.database)
        creation = TaskCreation(
            process.database,
            clock=process.clock,
            ids=process.ids,
            queues=KnownQueues(process.database, limit=settings.limits.queues, clock=process.clock),
            types=KnownTypes(
                process.database, limit=settings.limits.unserved_types, clock=process.clock
            ),
            waiting=WaitingQuotas(process.database, clock=process.clock),
            notifier=notifier,
            writability=process.writability,
            key_validity=timedelta(days=settings.retention.idempotency_days),
        )
        await stack.enter_async_context(creation)
        async with asyncio.TaskGroup() as services:
            services.create_task(notifier.run(stop))
            yield Producer(process, creation)
            stop.set()
