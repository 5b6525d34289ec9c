"""Creating tasks: what is stored, keys, batches, and lost results."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain import identity
from taskmill.domain.errors import IdempotencyConflict, QueueLimitReached, Unavailable
from taskmill.domain.lifecycle import Status, Succeeded
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import IdempotencyKey, Task
from taskmill.storage import tasks
from taskmill.storage.notifier import CHANNEL
from taskmill.storage.servers import Connection
from taskmill.storage.statements import statement
from taskmill.storage.tasks import NewTask, StoredFacts
from tests.support.builders import a_draft, a_key
from tests.support.locks import until_blocked
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_creation, a_stage


async def test_the_result_is_what_is_stored(stage: Stage) -> None:
    draft = a_draft(
        name="Счёт № 5 'quoted' \\ 😀",
        description="",
        type="pdf",
        payload='{"b":1,"a":[1.0,"\\u0000"]}',
        queue="billing",
        priority=9,
        run_at=datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC),
        max_attempts=7,
        max_losses=0,
        timeout=timedelta(milliseconds=1500),
        expires_at=datetime(2032, 1, 1, tzinfo=UTC),
        labels='{"team": "a"}',
        source="rest",
    )
    result = await stage.service.create(draft)
    assert not result.replayed
    assert await stage.service.get(result.task.id) == result.task
    assert result.task.run_at == draft.run_at
    assert result.task.created_at == identity.created_at(result.task.id)
    await assert_safe(stage.sql)


async def test_a_task_that_is_created_alone_notifies_with_its_commit(stage: Stage) -> None:
    """No notifier runs here: the notification came with the transaction."""
    notifies: list[str] = []
    await stage.sql.add_listener(CHANNEL, lambda *notification: notifies.append(notification[2]))
    await stage.created()
    await stage.sql.fetchval("SELECT 1")
    assert notifies == [CHANNEL]
    await stage.service.create_all([a_draft()])
    # Of two at once only the first is alone: NOTIFY would have one wait for the other's commit.
    async with holding_tasks(stage) as release, asyncio.TaskGroup() as group:
        for count in (1, 2):
            group.create_task(stage.created())
            await until_blocked(stage, count)
        await release()
    await stage.sql.fetchval("SELECT 1")
    assert notifies == [CHANNEL] * 2


@asynccontextmanager
async def holding_tasks(stage: Stage) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Lock the table of tasks until the yielded function is called."""
    holder = await asyncpg.connect(stage.url)
    try:
        await holder.execute("BEGIN; LOCK TABLE taskmill.task IN ACCESS EXCLUSIVE MODE")
        yield partial(holder.execute, "COMMIT")
    finally:
        await holder.close()


async def test_tasks_created_one_after_the_other_notify_within_for_a_share_of_the_time(
    stage: Stage,
) -> None:
    notifies: list[str] = []
    await stage.sql.add_listener(CHANNEL, lambda *notification: notifies.append(notification[2]))
    stage.creation._notifying.charge(float("inf"))
    await stage.created()
    await stage.sql.fetchval("SELECT 1")
    assert notifies == []
    assert stage.creation._notifier._wanted.is_set()


async def test_a_task_found_after_a_lost_result_is_notified_of(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = tasks.insert

    async def loses_the_first_result(
        connection: Connection,
        new: Collection[NewTask],
        *,
        notifies: bool = False,
        timeout_s: float | None = None,
    ) -> dict[UUID, StoredFacts]:
        monkeypatch.setattr(tasks, "insert", insert)
        await insert(connection, new, notifies=notifies, timeout_s=timeout_s)
        raise Unavailable(0, "the database")

    await stage.created()
    assert not stage.creation._notifier._wanted.is_set()
    monkeypatch.setattr(tasks, "insert", loses_the_first_result)
    await stage.created()
    assert stage.creation._notifier._wanted.is_set()


async def test_a_task_is_created_when_the_queue_of_notifications_is_full(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a session listens and never ends its transaction."""
    tried: list[bool] = []
    insert = tasks.insert

    async def full(
        connection: Connection,
        new: Collection[NewTask],
        *,
        notifies: bool = False,
        timeout_s: float | None = None,
    ) -> dict[UUID, StoredFacts]:
        tried.append(notifies)
        if notifies:
            raise asyncpg.ProgramLimitExceededError("too many notifications in the NOTIFY queue")
        return await insert(connection, new, timeout_s=timeout_s)

    monkeypatch.setattr(tasks, "insert", full)
    made = await stage.created()
    assert (await stage.task(made.id)).status is Status.NEW
    assert tried == [True, False]
    assert stage.creation._notifier._wanted.is_set()
    await stage.created()
    assert tried == [True, False, False]  # it is not tried again at once


async def test_a_plain_task_is_due_when_it_is_created_and_a_delayed_one_later(stage: Stage) -> None:
    plain = await stage.created()
    late = await stage.created(delay=timedelta(minutes=3))
    assert plain.run_at == plain.created_at
    assert late.run_at - late.created_at == timedelta(minutes=3)
    now = await stage.sql.fetchval("SELECT clock_timestamp()")
    assert timedelta(0) <= now - plain.created_at < timedelta(seconds=5)


async def test_tasks_have_rising_ids_and_numbers(stage: Stage) -> None:
    made = [await stage.created() for _ in range(3)]
    assert [task.id for task in made] == sorted(task.id for task in made)
    assert [task.number for task in made] == [1, 2, 3]


async def test_requests_at_the_same_time_share_a_transaction_and_each_gets_its_task(
    stage: Stage,
) -> None:
    await stage.created()  # or they would wait for their queue first, and go on one by one
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(stage.created(name=f"task {n}")) for n in range(50)]
    assert [task.result().name for task in calls] == [f"task {n}" for n in range(50)]
    transactions = await stage.sql.fetchval("SELECT count(DISTINCT xmin::text) FROM taskmill.task")
    assert transactions == 2
    await assert_safe(stage.sql)


async def test_a_bad_task_fails_alone_in_its_batch(stage: Stage) -> None:
    names = [f"task {n}" for n in range(9)]
    names[4] = "bad \x00 name"
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(_create_or_error(stage, name)) for name in names]
    results = [task.result() for task in calls]
    assert [isinstance(result, Task) for result in results] == [n != 4 for n in range(9)]
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 8
    await assert_safe(stage.sql)


async def _create_or_error(stage: Stage, name: str) -> Task | asyncpg.PostgresError:
    try:
        return await stage.created(name=name)
    except asyncpg.PostgresError as error:
        return error


async def test_a_retry_policy_reaches_the_worker(stage: Stage) -> None:
    lease = await stage.open_lease()
    policy = RetryPolicy(
        base=timedelta(milliseconds=250), factor=1.5, maximum=timedelta(hours=9), jitter=0.25
    )
    taken = await stage.running(lease, retry=policy)
    assert taken.task.retry == policy


async def test_the_same_key_and_request_give_the_same_task(stage: Stage) -> None:
    first = await stage.service.create(a_draft(idempotency=a_key()))
    again = await stage.service.create(a_draft(idempotency=a_key()))
    assert (first.replayed, again.replayed) == (False, True)
    assert again.task == first.task
    await assert_safe(stage.sql)


async def test_a_replay_shows_the_task_as_it_is_now(stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease, idempotency=a_key())
    await stage.end(taken, lease, Succeeded(result="5"))
    again = await stage.service.create(a_draft(idempotency=a_key()))
    assert again.replayed
    assert (again.task.status, again.task.result) == (Status.SUCCEEDED, "5")


async def test_the_same_key_with_another_request_is_a_conflict_and_creates_nothing(
    stage: Stage,
) -> None:
    await stage.service.create(a_draft(idempotency=a_key(body="one")))
    with pytest.raises(IdempotencyConflict):
        await stage.service.create(a_draft(idempotency=a_key(body="two")))
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 1
    await assert_safe(stage.sql)


async def test_keys_of_different_entry_points_are_different(stage: Stage) -> None:
    first = await stage.service.create(a_draft(idempotency=a_key(), source="rest"))
    second = await stage.service.create(a_draft(idempotency=a_key(), source="amqp"))
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
        return await stage.service.create(a_draft(idempotency=a_key(body=body)))
    except IdempotencyConflict as conflict:
        return conflict


async def test_a_key_in_flight_waits_for_its_first_request(stage: Stage) -> None:
    holder = await _insert_and_hold(stage, a_key())
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stage.service.create(a_draft(idempotency=a_key())))
        await until_blocked(stage)
        assert not waiting.done()
        await holder.end("COMMIT")
    assert waiting.result().replayed
    assert waiting.result().task.id == holder.new.id
    await assert_safe(stage.sql)


async def test_a_key_whose_first_request_was_rolled_back_is_free(stage: Stage) -> None:
    holder = await _insert_and_hold(stage, a_key())
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stage.service.create(a_draft(idempotency=a_key())))
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
    first = await stage.service.create(a_draft(idempotency=a_key(body="one")))
    await stage.sql.execute("UPDATE taskmill.idempotency SET expires_at = now() - interval '1 s'")
    second = await stage.service.create(a_draft(idempotency=a_key(body="two")))
    again = await stage.service.create(a_draft(idempotency=a_key(body="two")))
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


async def test_a_creation_survives_broken_connections(stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        calls = []
        for round_ in range(20):
            calls += [
                group.create_task(
                    stage.service.create(
                        a_draft(name=f"{round_}-{n}", idempotency=a_key(f"{round_}-{n}"))
                    )
                )
                for n in range(10)
            ]
            await asyncio.sleep(0)
            if round_ % 4 == 0:
                await _break_connections(stage)
    names = [task.result().task.name for task in calls]
    stored = await stage.sql.fetch("SELECT name FROM taskmill.task")
    assert sorted(names) == sorted(row["name"] for row in stored)
    assert not any(task.result().replayed for task in calls)
    await assert_safe(stage.sql)


async def _break_connections(stage: Stage) -> None:
    await stage.sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND application_name = 'taskmill'"
    )


async def test_a_batch_is_stored_whole_and_returned_in_order(stage: Stage) -> None:
    drafts = [a_draft(name=f"task {n}", queue=f"q{n % 3}") for n in range(30)]
    results = await stage.service.create_all(drafts)
    assert [result.task.name for result in results] == [draft.name for draft in drafts]
    assert await stage.sql.fetchval("SELECT count(DISTINCT xmin::text) FROM taskmill.task") == 1
    assert await stage.service.create_all([]) == []
    await assert_safe(stage.sql)


async def test_a_batch_with_a_conflict_stores_nothing(stage: Stage) -> None:
    await stage.created(idempotency=a_key("taken", "one"))
    drafts = [
        a_draft(idempotency=a_key("free")),
        a_draft(idempotency=a_key("taken", "two")),
        a_draft(),
    ]
    with pytest.raises(IdempotencyConflict):
        await stage.service.create_all(drafts)
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 1
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.idempotency") == 1
    await assert_safe(stage.sql)


async def test_a_batch_may_repeat_keys_of_earlier_requests_and_its_own(stage: Stage) -> None:
    earlier = await stage.created(idempotency=a_key("earlier"))
    results = await stage.service.create_all(
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
                side.service.create_all([a_draft(idempotency=a_key(key)) for key in order])
            )
            for side, order in ((stage, keys), (other, keys[::-1]))
            for _ in range(5)
        ]
    ids: set[UUID] = {result.task.id for batch in calls for result in batch.result()}
    assert len(ids) == len(keys)
    made = [result for batch in calls for result in batch.result() if not result.replayed]
    assert len(made) == len(keys)
    await assert_safe(stage.sql)


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


async def test_an_outage_is_raised_within_the_timeout_and_leaves_nothing_behind(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.operations.create._TIMEOUT_S", 0.3)
    await stage.created()
    name = await stage.sql.fetchval("SELECT current_database()")
    admin = await asyncpg.connect(stage.url.replace(f"/{name}", "/postgres"))
    try:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await _break_connections(stage)
        with pytest.raises(Unavailable):
            await stage.created()
    finally:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await admin.close()
    await stage.created()
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 2
