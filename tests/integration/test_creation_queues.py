"""Queues that tasks create: no more than allowed, also by several processes at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from taskmill.domain.errors import QueueLimitReached
from taskmill.storage.statements import statement
from tests.support.builders import a_draft
from tests.support.locks import until_blocked
from tests.support.stage import Stage, a_creation


async def test_no_more_queues_are_created_than_allowed(stage: Stage) -> None:
    async with a_creation(stage.database, stage.clock, stage.ids, queue_limit=2) as creation:
        await creation.create(a_draft(queue="a"))
        await creation.create(a_draft(queue="b"))
        with pytest.raises(QueueLimitReached):
            await creation.create(a_draft(queue="c"))
        await creation.create(a_draft(queue="a"))
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.queue") == 2


async def test_the_queue_limit_holds_between_processes(stage: Stage) -> None:
    async with _lock_on_queues(stage) as lock_holder, asyncio.TaskGroup() as group:
        calls = [group.create_task(_made_queue(stage, f"q{n}", limit=2)) for n in range(4)]
        await until_blocked(stage, sessions=4)
        await lock_holder.execute("COMMIT")
    assert sum(task.result() for task in calls) == 2
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.queue") == 2


async def test_processes_may_use_the_same_new_queue_at_the_same_time(stage: Stage) -> None:
    async with _lock_on_queues(stage) as lock_holder, asyncio.TaskGroup() as group:
        calls = [group.create_task(_made_queue(stage, "new", limit=10)) for _ in range(4)]
        await until_blocked(stage, sessions=4)
        await lock_holder.execute("COMMIT")
    assert all(task.result() for task in calls)


@asynccontextmanager
async def _lock_on_queues(stage: Stage) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A session that holds the lock on creating queues until it commits."""
    connection = await stage.database.connect()
    await connection.execute("BEGIN")
    await connection.execute(statement("lock_queues"))
    yield connection
    await connection.close()


async def _made_queue(stage: Stage, name: str, *, limit: int) -> bool:
    """Use a queue in a process of its own; False when the limit is reached."""
    async with a_creation(stage.database, stage.clock, stage.ids, queue_limit=limit) as creation:
        try:
            await creation.create(a_draft(queue=name))
        except QueueLimitReached:
            return False
        return True
