"""Cached queues and types: no task waits or is refused because of another one's names."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from taskmill.domain.errors import QueueLimitReached, UnservedTypeLimitReached
from taskmill.operations.known_types import KnownTypes
from taskmill.operations.queues import KnownQueues
from taskmill.storage import queues, unserved_types
from taskmill.storage.database import Database
from tests.support.builders import a_draft
from tests.support.polling import eventually
from tests.support.stage import Stage, a_creation


@asynccontextmanager
async def held(stage: Stage, lock: str) -> AsyncIterator[None]:
    """Have a session hold the lock on creating names, as if it had created one and not committed yet."""
    session = await stage.database.connect()
    transaction = session.transaction()
    await transaction.start()
    await session.execute("SELECT pg_advisory_xact_lock(hashtext($1))", lock)
    try:
        yield
    finally:
        await transaction.rollback()
        await session.close()


async def test_creating_a_name_does_not_delay_tasks_whose_names_exist(stage: Stage) -> None:
    await stage.created(type="known", queue="known")
    for lock, new in (
        ("taskmill.unserved_type", a_draft(type="new", queue="known")),
        ("taskmill.queue", a_draft(type="known", queue="new")),
    ):
        async with (
            a_creation(stage.database, stage.clock, stage.ids) as creation,
            asyncio.TaskGroup() as group,
        ):
            async with held(stage, lock):
                waiting = group.create_task(creation.create(new))
                await eventually(partial(_one_waits, stage), "one that waits to make a name")
                async with asyncio.timeout(3):
                    await creation.create(a_draft(type="known", queue="known"))
                assert not waiting.done()
            assert (await waiting).task.type == new.type


async def _one_waits(stage: Stage) -> bool:
    return bool(
        await stage.sql.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        )
    )


async def test_one_name_too_many_refuses_no_other_when_the_cache_expires_at_that_moment(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache expired between the refusal and the check which tasks it concerns."""
    async with a_creation(
        stage.database, stage.clock, stage.ids, queue_limit=1, type_limit=1
    ) as creation:
        await creation.create(a_draft(queue="there", type="there"))
        for adds, known in ((queues, creation.queues), (unserved_types, creation.types)):
            _expire_cache_within(adds, known, monkeypatch)
        drafts = [
            a_draft(queue="there", type="there"),
            a_draft(queue="one-more", type="there"),
            a_draft(queue="there", type="one-more"),
        ]
        results = await creation.store_each(creation.with_ids(drafts))
    assert [type(one) for one in results][1:] == [QueueLimitReached, UnservedTypeLimitReached]
    assert not isinstance(results[0], Exception)


def _expire_cache_within(
    module: object, known: KnownQueues | KnownTypes, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "add" if module is queues else "record"
    add = getattr(module, name)

    async def slow(database: Database, names: set[str], *, limit: int) -> set[str]:
        found: set[str] = await add(database, names, limit=limit)
        known._known_until = float("-inf")
        return found

    monkeypatch.setattr(module, name, slow)
