"""Tasks in the caller's own transaction: they are there when it commits, and like all others."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from taskmill.app import Context
from taskmill.domain import identity
from taskmill.domain.lifecycle import Status
from taskmill.storage import changes
from taskmill.wire.retry import spec_of
from tests.support.builders import AT_ONCE
from tests.support.contracts import TYPE, a_contract, registered
from tests.support.locks import until_blocked
from tests.support.safety import assert_safe
from tests.support.sql import a_session, callbacks, create
from tests.support.stage import Stage
from tests.support.verifying import found_in
from tests.support.workers import a_worker, finished


async def test_serializable_transactions_that_overlap_are_not_refused_for_create_task(
    stage: Stage,
) -> None:
    await create(stage.sql)
    async with a_session(stage) as one, a_session(stage) as other:
        for session in (one, other):
            await session.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
            await session.execute("SELECT count(*) FROM taskmill.queue WHERE name = ''")
        made = [await create(session) for session in (one, other)]
        for session in (one, other):
            await session.execute("COMMIT")
    assert len({(await stage.task(task_id)).id for task_id in made}) == 2


async def test_a_task_from_sql_is_a_task_like_any_other(stage: Stage) -> None:
    made = await create(
        stage.sql,
        name="Счёт № 5",
        description="d",
        type="pdf",
        payload='{"b": 1, "a": [1.0, "é"]}',
        queue="billing",
        priority=9,
        delay_s=90.5,
        max_attempts=7,
        max_losses=0,
        retry='{"base_s": 2}',
        timeout_s=1.5,
        expires_at=datetime(2032, 1, 1, tzinfo=UTC),
        labels='{"team": "a"}',
        idempotency_key="k",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    task = await stage.task(made)
    assert (task.name, task.description, task.type, task.queue) == (
        "Счёт № 5",
        "d",
        "pdf",
        "billing",
    )
    assert task.payload == '{"b": 1, "a": [1.0, "é"]}'
    assert (task.priority, task.max_attempts, task.max_losses) == (9, 7, 0)
    assert task.created_at == identity.created_at(made)
    assert task.run_at - task.created_at == timedelta(seconds=90.5)
    assert (task.source, task.status, task.labels) == ("sql", Status.NEW, '{"team": "a"}')
    row = await stage.sql.fetchrow("SELECT retry, timeout_s, traceparent FROM taskmill.task")
    assert row is not None
    assert orjson.loads(row["retry"]) == {"base_s": 2, "factor": 2, "max_s": 3600, "jitter": 0.1}
    assert (row["timeout_s"], row["traceparent"][:6]) == (1.5, "00-4bf")
    assert await stage.event_types(made) == ["created"]
    await assert_safe(stage.sql)


async def test_ids_are_of_the_programs_form_and_rise(stage: Stage) -> None:
    made = [await create(stage.sql) for _ in range(20)]
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}
    assert made == sorted(made)
    now = await stage.sql.fetchval("SELECT clock_timestamp()")
    assert timedelta(0) <= now - identity.created_at(made[-1]) < timedelta(seconds=5)
    assert (await stage.task(made[0])).run_at == identity.created_at(made[0])


async def test_a_task_is_there_when_the_callers_transaction_commits_and_only_then(
    stage: Stage,
) -> None:
    async with a_session(stage) as mine:
        for end, count in (("ROLLBACK", 0), ("COMMIT", 2)):
            await mine.execute("BEGIN")
            await create(mine)
            await create(mine, queue="new-queue")
            assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 0
            await mine.execute(end)
            assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == count
            await assert_safe(stage.sql)
    assert await found_in(stage.database) == {}


async def nothing(_: Context) -> object:
    """A handler that is done at once."""
    return None


async def test_a_worker_runs_it_within_its_polling_interval(stage: Stage) -> None:
    async with a_worker(stage, {"*": nothing}):
        made = await create(stage.sql, payload='{"delay_s": 0, "failure_probability": 0}')
        assert (await finished(stage, made)).status is Status.SUCCEEDED
    await assert_safe(stage.sql)


@pytest.mark.parametrize("field", ["type", "queue"])
async def test_a_transaction_that_can_not_see_a_new_name_gets_an_error_to_try_again(
    stage: Stage, field: str
) -> None:
    async with a_session(stage) as early:
        await early.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; TABLE taskmill.queue")
        await create(stage.sql, **{field: "new"})
        with pytest.raises(asyncpg.SerializationError):
            await create(early, **{field: "new"})


async def test_defaults_of_the_contract_fill_what_is_left_out(stage: Stage) -> None:
    defaults: dict[str, Any] = {
        "queue": "mail",
        "priority": 7,
        "max_attempts": 5,
        "max_losses": 0,
        "retry": spec_of(AT_ONCE),
    }
    await registered(stage, a_contract({}, timeout_s=30, **defaults))
    plain = await stage.task(await create(stage.sql, type=TYPE))
    assert (plain.queue, plain.priority, plain.max_attempts, plain.max_losses) == ("mail", 7, 5, 0)
    own = await stage.task(
        await create(stage.sql, type=TYPE, queue="q", priority=4, max_attempts=1, retry="null")
    )
    assert (own.queue, own.priority, own.max_attempts, own.max_losses) == ("q", 4, 1, 0)
    stored = await stage.sql.fetch("SELECT retry, timeout_s FROM taskmill.task")
    assert [(orjson.loads(row["retry"])["base_s"], row["timeout_s"]) for row in stored] == [
        (0, 30)
    ] * 2


async def test_a_callback_is_stored_with_its_task_as_the_api_stores_it(stage: Stage) -> None:
    url = "HTTPS://[::FFFF:0102:304]?a=b"
    other = await stage.created(callback_url=url)
    async with a_session(stage) as mine:
        await mine.execute("BEGIN")
        await create(mine, callback_url=url)
        await mine.execute("ROLLBACK")
        await mine.execute("BEGIN")
        made = await create(mine, callback_url=url)
        assert len(await callbacks(stage)) == 1
        await mine.execute("COMMIT")
    await create(stage.sql)
    bucket = "callback:https://[::ffff:1.2.3.4]:443"
    assert await callbacks(stage) == sorted([(other.id, url, bucket), (made, url, bucket)])
    await assert_safe(stage.sql)


async def test_a_push_from_sql_is_stored_as_it_is_written(stage: Stage) -> None:
    payload = '{"headers": {"X-B": "b", "X-A": "a"}, "url": "https://example.org/hooks"}'
    made = await create(stage.sql, type="http", payload=payload)
    assert (await stage.task(made)).payload == payload


async def test_two_who_name_a_new_queue_at_once_make_it_once(stage: Stage) -> None:
    async with a_session(stage) as first, a_session(stage) as second:
        await first.execute("BEGIN")
        await create(first, queue="new")
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(create(second, queue="new"))
            await until_blocked(stage)
            assert (await stage.created(queue="new")).queue == "new"  # over HTTP nobody waits
            await first.execute("COMMIT")
        assert (await stage.task(waiting.result())).queue == "new"
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.queue") == 1
    await assert_safe(stage.sql)


async def test_a_task_that_commits_late_is_in_the_feed_and_in_order_of_its_commit(
    stage: Stage,
) -> None:
    await create(stage.sql)
    assert await changes.number(stage.maintenance_database, 10) == 1
    async with a_session(stage) as late:
        await late.execute("BEGIN")
        first_created = await create(late)
        then = await create(stage.sql)
        assert first_created < then
        assert await changes.number(stage.maintenance_database, 10) == 1
        await late.execute("COMMIT")
    assert await changes.number(stage.maintenance_database, 10) == 1
    fed = await stage.sql.fetch("SELECT task_ids FROM taskmill.change_batch ORDER BY position")
    assert [row["task_ids"] for row in fed][1:] == [[then], [first_created]]
    assert await found_in(stage.database) == {}
