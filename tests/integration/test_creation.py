"""Creating tasks: what is stored, alone and together, and what an outage leaves of it."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from taskmill.domain import identity
from taskmill.domain.errors import QueueLimitReached, Unavailable
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import Task
from taskmill.observability.metrics import BATCH_ITEMS
from tests.support.builders import a_draft, a_key
from tests.support.intake import counted
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_creation


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
    result = await stage.creation.create(draft)
    assert not result.replayed
    assert await stage.service.reading.get(result.task.id) == result.task
    assert result.task.run_at == draft.run_at
    assert result.task.created_at == identity.created_at(result.task.id)
    await assert_safe(stage.sql)


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


async def test_among_many_bad_tasks_the_good_one_is_created(stage: Stage) -> None:
    """More fail in a row than it takes to find one in the largest batch."""
    await stage.created()  # or they would wait for their queue first, and go on one by one
    names = [f"bad {n} \x00" for n in range(30)]
    names[20] = "good"
    before = BATCH_ITEMS.count("create")
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(_create_or_error(stage, name)) for name in names]
    results = [task.result() for task in calls]
    assert [isinstance(result, Task) for result in results] == [n == 20 for n in range(30)]
    assert BATCH_ITEMS.count("create") == before + 1, "they came at once"


async def test_whether_the_database_can_be_written_to_is_known(stage: Stage) -> None:
    assert await stage.creation.writability.probe() is None


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


async def test_a_creation_survives_broken_connections(stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        calls = []
        for round_ in range(20):
            calls += [
                group.create_task(
                    stage.creation.create(
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
    results = await stage.creation.create_all(drafts)
    assert [result.task.name for result in results] == [draft.name for draft in drafts]
    assert await stage.sql.fetchval("SELECT count(DISTINCT xmin::text) FROM taskmill.task") == 1
    assert await stage.creation.create_all([]) == []
    await assert_safe(stage.sql)


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


async def test_what_postgresql_refuses_fails_alone(stage: Stage) -> None:
    names = [f"task {n}" for n in range(9)]
    names[4] = "bad \x00 name"
    new = stage.creation.with_ids(a_draft(name=name) for name in names)
    results = await stage.creation.store_each(new)
    assert [isinstance(result, CreatedTask) for result in results] == [n != 4 for n in range(9)]
    again = await stage.creation.store_each(new)
    assert [isinstance(result, CreatedTask) for result in again] == [n != 4 for n in range(9)]
    assert await counted(stage) == (8, 0)
    assert await stage.creation.store_each([]) == []
    await assert_safe(stage.sql)


async def test_each_gets_its_reply_where_there_is_room_for_some_queues_only(stage: Stage) -> None:
    async with a_creation(stage.database, stage.clock, stage.ids, queue_limit=1) as creation:
        new = creation.with_ids(a_draft(queue=queue) for queue in ("b", "a", "b", "a"))
        results = await creation.store_each(new)
    kinds = [type(result) for result in results]
    assert kinds == [QueueLimitReached, CreatedTask] * 2
