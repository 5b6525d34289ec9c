"""Idempotency keys: repeats, conflicts, keys in flight, expired ones, and keys in batches."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.errors import IdempotencyConflict
from taskmill.domain.lifecycle import Status, Succeeded
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import IdempotencyKey
from taskmill.storage import tasks
from taskmill.storage.tasks import NewTask
from tests.support.builders import a_draft, a_key
from tests.support.locks import until_blocked
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_stage


async def test_the_same_key_and_request_give_the_same_task(stage: Stage) -> None:
    first = await stage.creation.create(a_draft(idempotency=a_key()))
    again = await stage.creation.create(a_draft(idempotency=a_key()))
    assert (first.replayed, again.replayed) == (False, True)
    assert again.task == first.task
    await assert_safe(stage.sql)


async def test_a_replay_shows_the_task_as_it_is_now(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, idempotency=a_key())
    await stage.end(taken, lease, Succeeded(result="5"))
    again = await stage.creation.create(a_draft(idempotency=a_key()))
    assert again.replayed
    assert (again.task.status, again.task.result) == (Status.SUCCEEDED, "5")


async def test_the_same_key_with_another_request_is_a_conflict_and_creates_nothing(
    stage: Stage,
) -> None:
    await stage.creation.create(a_draft(idempotency=a_key(body="one")))
    with pytest.raises(IdempotencyConflict):
        await stage.creation.create(a_draft(idempotency=a_key(body="two")))
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 1
    await assert_safe(stage.sql)


async def test_keys_of_different_entry_points_are_different(stage: Stage) -> None:
    first = await stage.creation.create(a_draft(idempotency=a_key(), source="rest"))
    second = await stage.creation.create(a_draft(idempotency=a_key(), source="amqp"))
    assert not second.replayed
    assert second.task.id != first.task.id


async def test_one_batch_resolves_repeats_and_conflicts_of_a_key_by_its_first_request(
    stage: Stage,
) -> None:
    bodies = ["one", "one", "two"]
    await stage.created()  # so that the queue exists already
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(_keyed(stage, body)) for body in bodies]
    first, repeat, conflict = (task.result() for task in calls)
    assert isinstance(first, CreatedTask)
    assert isinstance(repeat, CreatedTask)
    assert isinstance(conflict, IdempotencyConflict)
    assert (first.replayed, repeat.replayed) == (False, True)
    assert repeat.task == first.task
    await assert_safe(stage.sql)


async def _keyed(stage: Stage, body: str) -> CreatedTask | IdempotencyConflict:
    try:
        return await stage.creation.create(a_draft(idempotency=a_key(body=body)))
    except IdempotencyConflict as conflict:
        return conflict


async def test_a_key_in_flight_waits_for_its_first_request(stage: Stage) -> None:
    holder = await _insert_and_hold(stage, a_key())
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stage.creation.create(a_draft(idempotency=a_key())))
        await until_blocked(stage)
        assert not waiting.done()
        await holder.end("COMMIT")
    assert waiting.result().replayed
    assert waiting.result().task.id == holder.new.id
    await assert_safe(stage.sql)


async def test_a_key_whose_first_request_was_rolled_back_is_free(stage: Stage) -> None:
    holder = await _insert_and_hold(stage, a_key())
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stage.creation.create(a_draft(idempotency=a_key())))
        await until_blocked(stage)
        await holder.end("ROLLBACK")
    assert not waiting.result().replayed
    assert waiting.result().task.id != holder.new.id
    await assert_safe(stage.sql)


@dataclass(frozen=True)
class _Holder:
    """A session that has stored a task and not committed yet."""

    new: NewTask
    connection: "asyncpg.Connection[asyncpg.Record]"

    async def end(self, command: str) -> None:
        await self.connection.execute(command)
        await self.connection.close()


async def _insert_and_hold(stage: Stage, key: IdempotencyKey | None) -> _Holder:
    connection = await stage.database.connect()
    await connection.execute("BEGIN")
    new = stage.creation._with_id(a_draft(idempotency=key))
    await stage.creation.queues.ensure((new.draft.queue,))
    await tasks.insert(connection, [new])
    return _Holder(new, connection)


async def test_an_expired_key_creates_a_new_task(stage: Stage) -> None:
    first = await stage.creation.create(a_draft(idempotency=a_key(body="one")))
    await stage.sql.execute("UPDATE taskmill.idempotency SET expires_at = now() - interval '1 s'")
    second = await stage.creation.create(a_draft(idempotency=a_key(body="two")))
    again = await stage.creation.create(a_draft(idempotency=a_key(body="two")))
    assert not second.replayed
    assert again.task.id == second.task.id != first.task.id
    await assert_safe(stage.sql)


async def test_a_key_is_valid_for_its_whole_time(stage: Stage) -> None:
    task = await stage.created(idempotency=a_key())
    expires_at = await stage.sql.fetchval("SELECT expires_at FROM taskmill.idempotency")
    assert expires_at == task.created_at + timedelta(days=7)


@pytest.mark.parametrize("key", [None, a_key()])
async def test_a_repeated_insert_finds_the_task_of_a_lost_result(
    stage: Stage, key: IdempotencyKey | None
) -> None:
    new = stage.creation._with_id(a_draft(idempotency=key))
    [first] = await stage.creation._store([new])
    [again] = await stage.creation._store([new])
    assert isinstance(first, CreatedTask)
    assert isinstance(again, CreatedTask)
    assert (again.task, again.replayed) == (first.task, False)
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 1
    await assert_safe(stage.sql)


@pytest.mark.parametrize("key", [None, a_key()])
async def test_a_repeated_insert_waits_for_the_old_session_that_still_commits(
    stage: Stage, key: IdempotencyKey | None
) -> None:
    holder = await _insert_and_hold(stage, key)
    async with asyncio.TaskGroup() as group:
        again = group.create_task(stage.creation._store([holder.new]))
        await until_blocked(stage)
        await holder.end("COMMIT")
    [result] = again.result()
    assert isinstance(result, CreatedTask)
    assert (result.task.id, result.replayed) == (holder.new.id, False)
    await assert_safe(stage.sql)


async def test_a_batch_with_a_conflict_stores_nothing(stage: Stage) -> None:
    await stage.created(idempotency=a_key("taken", "one"))
    drafts = [
        a_draft(idempotency=a_key("free")),
        a_draft(idempotency=a_key("taken", "two")),
        a_draft(),
    ]
    with pytest.raises(IdempotencyConflict):
        await stage.creation.create_all(drafts)
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 1
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.idempotency") == 1
    await assert_safe(stage.sql)


async def test_a_batch_may_repeat_keys_of_earlier_requests_and_its_own(stage: Stage) -> None:
    earlier = await stage.created(idempotency=a_key("earlier"))
    results = await stage.creation.create_all(
        [a_draft(idempotency=a_key(key)) for key in ("own", "earlier", "own")]
    )
    assert [result.replayed for result in results] == [False, True, True]
    assert results[1].task.id == earlier.id
    assert results[2].task.id == results[0].task.id


async def test_batches_of_the_same_keys_in_other_order_do_not_deadlock(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.faults._COLLISION_CLASS", "no deadlock is tried again")
    keys = [f"key {n}" for n in range(40)]
    async with a_stage(stage.url) as other, asyncio.TaskGroup() as group:
        calls = [
            group.create_task(
                side.creation.create_all([a_draft(idempotency=a_key(key)) for key in order])
            )
            for side, order in ((stage, keys), (other, keys[::-1]))
            for _ in range(5)
        ]
    ids: set[UUID] = {result.task.id for batch in calls for result in batch.result()}
    assert len(ids) == len(keys)
    made = [result for batch in calls for result in batch.result() if not result.replayed]
    assert len(made) == len(keys)
    await assert_safe(stage.sql)
