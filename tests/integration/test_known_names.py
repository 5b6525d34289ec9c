"""Cached queues and types: no task waits or is refused because of another one's names."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final

import aio_pika
import orjson
import pytest

from taskmill.domain.errors import QueueLimitReached, Unavailable, UnservedTypeLimitReached
from taskmill.domain.quotas import Owner, QuotaExceeded
from taskmill.operations.known_types import KnownTypes
from taskmill.operations.queues import KnownQueues, remove, tidy
from taskmill.storage import queues, unserved_types
from taskmill.storage.database import Database
from taskmill.storage.statements import statement
from tests.support.builders import a_draft
from tests.support.clocks import ManualClock
from tests.support.intake import assert_all_acknowledged, producing, taking_in, until_counted
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.sql import a_session, create
from tests.support.stage import Stage, a_creation


@asynccontextmanager
async def held(stage: Stage, lock: str) -> AsyncIterator[None]:
    """Have a session hold the lock on creating names, as if a process hung just while it creates one."""
    session = await stage.database.connect()
    transaction = session.transaction()
    await transaction.start()
    await session.execute(statement(lock))
    try:
        yield
    finally:
        await transaction.rollback()
        await session.close()


async def test_creating_a_name_does_not_delay_tasks_whose_names_exist(stage: Stage) -> None:
    await stage.created(type="known", queue="known")
    for lock, new in (
        ("lock_types", a_draft(type="new", queue="known")),
        ("lock_queues", a_draft(type="known", queue="new")),
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


# New to everybody, and being made by an open transaction; and new names that are not.
_NAMES: Final[tuple[Mapping[str, str], ...]] = (
    {},
    {"queue": "made"},
    {"type": "made"},
    {"queue": "other"},
    {"type": "other"},
)


async def names(stage: Stage, table: str) -> list[str]:
    found = await stage.sql.fetch(f"SELECT name FROM taskmill.{table} ORDER BY name")  # noqa: S608 - a test
    return [row["name"] for row in found]


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_an_open_transaction_that_makes_names_delays_no_other_task(
    stage: Stage, end: str
) -> None:
    async with a_session(stage) as session:
        await session.execute("BEGIN")
        await create(session, queue="made", type="made")
        async with asyncio.timeout(3):
            stored = await stage.creation.store_each(
                stage.creation.with_ids(a_draft(**parts) for parts in _NAMES)
            )
            assert [one for one in stored if isinstance(one, Exception)] == []
            await tidy(stage.maintenance_database)
            await unserved_types.prune(stage.maintenance_database)
            with pytest.raises(Unavailable, match="a queue that an open transaction makes"):
                await stage.service.set_queue_paused("made", paused=True)
        assert await names(stage, "queue") == ["default", "other"]
        await session.execute(end)
    await tidy(stage.maintenance_database)
    assert await names(stage, "queue") == ["default", "made", "other"]
    async with a_creation(stage.database, stage.clock, stage.ids) as later:
        await later.create(a_draft(type="made"))
    assert await names(stage, "unserved_type") == ["made", "other"]
    await assert_safe(stage.sql)


async def test_an_open_transaction_that_notes_a_type_again_delays_nobody(stage: Stage) -> None:
    await stage.created(type="waits")
    await stage.created(type="ended")
    await stage.sql.execute(
        "DELETE FROM taskmill.dispatch WHERE type = 'ended'; "
        "UPDATE taskmill.unserved_type SET noted_at = now() - interval '1 hour'"
    )
    async with (
        a_session(stage) as session,
        a_creation(stage.database, stage.clock, stage.ids) as other,
    ):
        await session.execute("BEGIN")
        await create(session, type="ended")
        await create(session, type="waits")
        async with asyncio.timeout(3):
            await other.create(a_draft(type="waits"))
            await unserved_types.prune(stage.maintenance_database)
        await session.execute("COMMIT")
    assert await names(stage, "unserved_type") == ["ended", "waits"]


async def test_running_a_task_again_waits_for_no_transaction_that_makes_its_queue(
    stage: Stage,
) -> None:
    task = await stage.created(queue="made")
    await stage.service.cancel(task.id)
    await stage.service.remove_queue("made")
    async with a_session(stage) as session:
        await session.execute("BEGIN")
        await create(session, queue="made")
        async with asyncio.timeout(5):
            await stage.service.retry(task.id)
        await session.execute("ROLLBACK")
    await tidy(stage.maintenance_database)
    assert await names(stage, "queue") == ["made"]
    await assert_safe(stage.sql)


async def test_a_batch_of_messages_waits_for_no_transaction_that_makes_names(
    stage: Stage, broker_url: str
) -> None:
    async with producing(broker_url) as producer:
        async with a_session(stage) as session:
            await session.execute("BEGIN")
            await create(session, queue="made", type="made")
            async with taking_in(stage, broker_url):
                await producer.send_all(
                    aio_pika.Message(orjson.dumps({"name": "a", **parts}), message_id=f"{n}")
                    for n, parts in enumerate(_NAMES * 20)
                )
                await until_counted(stage, 100, 0)
            await assert_all_acknowledged(producer)
            await session.execute("COMMIT")
        await until_counted(stage, 101, 0)
    await assert_safe(stage.sql)


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

    async def slow(database: Database, names: set[str], **limits: Any) -> set[str]:  # noqa: ANN401 - passed on
        found: set[str] = await add(database, names, **limits)
        known._known_until = float("-inf")
        return found

    monkeypatch.setattr(module, name, slow)


async def test_an_owner_with_as_many_as_it_may_have_is_looked_at_again_after_a_second(
    stage: Stage,
) -> None:
    clock = ManualClock(stage.clock.now())
    known = KnownQueues(stage.database, limit=10, clock=clock, quota=1)
    owner = Owner("mine", ())
    assert await known.refused({"first"}, owner) == {}
    assert (await known.refused({"second"}, owner)).keys() == {"second"}
    await remove(stage.database, known, "first", with_keep=False)
    [error] = (await known.refused({"second"}, owner)).values()
    assert isinstance(error, QuotaExceeded)
    assert await known.refused({"second"}, Owner("another", ())) == {}
    clock.advance(timedelta(seconds=1))
    assert await known.refused({"third"}, owner) == {}
