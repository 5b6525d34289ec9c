"""Batches of which all tasks are stored or none: how long they may take, and what is known of them."""

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from taskmill.domain.errors import Unavailable
from taskmill.observability.flow import CREATED
from taskmill.observability.metrics import BATCH_ITEMS
from taskmill.operations.create import TaskCreation
from taskmill.settings import DatabaseSettings
from taskmill.storage import tasks
from taskmill.storage.servers import Connection
from taskmill.storage.tasks import NewTask, StoredFacts
from tests.support.api import LogLines
from tests.support.builders import a_draft, a_key
from tests.support.locks import holding_tasks, until_blocked
from tests.support.polling import eventually
from tests.support.role_database import RoleDatabase
from tests.support.stage import Stage, a_creation


@asynccontextmanager
async def an_impatient_creation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[TaskCreation]:
    """A creation whose statements may take half a second, unless given more, and are not repeated."""
    database = RoleDatabase(stage.url, DatabaseSettings(statement_timeout_s=0.5))
    try:
        async with a_creation(database, stage.clock, stage.ids) as creation:
            await creation.create(a_draft())
            monkeypatch.setattr("taskmill.operations.create._TIMEOUT_S", 0.0)
            yield creation
    finally:
        await database.close()


async def test_a_small_batch_may_take_little_longer_than_a_task(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with an_impatient_creation(stage, monkeypatch) as creation, holding_tasks(stage):
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable):
                await creation.create_all([a_draft()] * 5)


@pytest.mark.slow
async def test_a_large_batch_may_take_longer_for_each_of_its_tasks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        an_impatient_creation(stage, monkeypatch) as creation,
        holding_tasks(stage) as release,
        asyncio.TaskGroup() as group,
    ):
        creating = group.create_task(creation.create_all([a_draft()] * 2000))
        await until_blocked(stage)
        # Longer than the driver waits for the usual statement.
        done, _ = await asyncio.wait({creating}, timeout=1.8)
        assert not done
        await release()
    assert len(creating.result()) == 2000


async def test_a_batch_that_waits_for_one_of_its_keys_holds_the_others_itself(stage: Stage) -> None:
    own, foreign = (a_draft(idempotency=a_key(key)) for key in ("a", "b"))
    await stage.created()
    other = await stage.database.connect()
    await other.execute("BEGIN")
    await tasks.insert(other, stage.creation.with_ids([foreign]))
    async with asyncio.TaskGroup() as group:
        creating = group.create_task(stage.creation.create_all([own, foreign]))
        await until_blocked(stage)
        holders = stage.creation.key_holders
        assert not await holders.is_held_by_another(own)
        await eventually(lambda: holders.is_held_by_another(foreign), "the other holder")
        await other.execute("COMMIT")
    await other.close()
    assert [result.replayed for result in creating.result()] == [False, True]


async def test_a_task_that_waits_for_its_key_does_not_hold_it(stage: Stage) -> None:
    draft = a_draft(idempotency=a_key())
    await stage.created()
    other = await stage.database.connect()
    await other.execute("BEGIN")
    await tasks.insert(other, stage.creation.with_ids([draft]))
    async with asyncio.TaskGroup() as group:
        creating = group.create_task(stage.creation.create(draft))
        await until_blocked(stage)
        # A single look may be too late to see who waits.
        holders = stage.creation.key_holders
        await eventually(lambda: holders.probe(draft, 10), "the other holder to be found")
        await other.execute("ROLLBACK")
    await other.close()
    assert not creating.result().replayed


async def test_a_task_and_its_callback_are_stored_in_one_transaction(stage: Stage) -> None:
    await stage.created(callback_url="https://example.org/ended")
    transactions = await stage.sql.fetchrow(
        "SELECT (SELECT xmin::text FROM taskmill.task), (SELECT xmin::text FROM taskmill.task_callback)"
    )
    assert transactions is not None
    assert transactions[0] == transactions[1]


async def test_large_tasks_do_not_share_a_statement(stage: Stage) -> None:
    await stage.created()  # or they would wait for their queue first, and go on one by one
    payload, before = f'"{"x" * 6 * 1024 * 1024}"', BATCH_ITEMS.count("create")
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(stage.created(payload=payload))
    assert BATCH_ITEMS.count("create") == before + 2, "16 MiB at most"


async def refused(creating: Coroutine[None, None, object]) -> None:
    """Fail unless a creation meets the bug."""
    with pytest.raises(LookupError):
        await creating


async def test_a_task_that_meets_a_fault_of_ours_holds_up_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.created()  # as above
    insert = tasks.insert

    async def stumbles(
        connection: Connection,
        new: Collection[NewTask],
        *,
        notifies: bool = False,
        timeout_s: float | None = None,
    ) -> dict[UUID, StoredFacts]:
        if any(one.draft.name == "odd" for one in new):
            raise LookupError("a bug")
        return await insert(connection, new, notifies=notifies, timeout_s=timeout_s)

    monkeypatch.setattr(tasks, "insert", stumbles)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.created(name="one"))
        group.create_task(refused(stage.created(name="odd")))
        group.create_task(stage.created(name="two"))
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task WHERE name <> 'odd'") == 3


async def test_batches_are_counted_as_such(stage: Stage) -> None:
    before = BATCH_ITEMS.count("create_all")
    await stage.creation.create_all([a_draft(), a_draft()])
    assert BATCH_ITEMS.count("create_all") == before + 1


async def test_what_is_new_is_logged_and_counted_and_others_are_notified(
    stage: Stage, log_lines: LogLines
) -> None:
    commits = list[None]()
    stage.database.on_commit(lambda: commits.append(None))
    keyed = a_draft(queue="counted", idempotency=a_key())
    plain = a_draft(queue="counted", type="pdf", source="amqp")
    before = [CREATED.value("counted", kind) for kind in ("emulate", "pdf")]
    first, second, repeated = await stage.creation.create_all([keyed, plain, keyed])
    again = await stage.creation.create(keyed)
    assert [one.replayed for one in (first, second, repeated, again)] == [False, False, True, True]
    counts = [CREATED.value("counted", kind) for kind in ("emulate", "pdf")]
    assert counts == [count + 1 for count in before]
    names = ("task_id", "queue", "type", "source", "level")
    lines = [tuple(line[name] for name in names) for line in log_lines.named("task.created")]
    assert lines == [
        (str(first.task.id), "counted", "emulate", "rest", "info"),
        (str(second.task.id), "counted", "pdf", "amqp", "info"),
    ]
    assert len(commits) == 2
