"""Tasks in the caller's own transaction: they are there when it commits; keys, queues, rights and the feed."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from taskmill.app import Context
from taskmill.domain import identity
from taskmill.domain.lifecycle import Status
from taskmill.storage import changes
from tests.support.auditing import found_in
from tests.support.builders import AT_ONCE
from tests.support.contracts import NEEDS_CC, NEEDS_TO, TYPE, a_contract, registered
from tests.support.locks import until_blocked
from tests.support.safety import assert_safe
from tests.support.sql import a_session, create, problem
from tests.support.stage import Stage
from tests.support.workers import a_worker, finished

BAD = '{"copies": 0}'
URL = "https://example.org/hooks"


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


async def test_the_same_key_and_request_give_the_same_task_and_any_other_is_a_conflict(
    stage: Stage,
) -> None:
    first = await create(stage.sql, idempotency_key="k", payload='{"a": 1, "b": 2}')
    assert await create(stage.sql, idempotency_key="k", payload='{"b":2, "a":1}') == first
    told = await problem(stage.sql, idempotency_key="k", payload='{"a": 1}')
    assert (told["type"], told["status"]) == ("/problems/idempotency-conflict", 422)
    assert "'k'" in told["detail"]
    async with a_session(stage) as elsewhere:
        await elsewhere.execute("SET timezone = 'Asia/Tokyo'")
        run_at = datetime(2030, 1, 1, tzinfo=UTC)
        late = await create(stage.sql, idempotency_key="late", run_at=run_at)
        assert await create(elsewhere, idempotency_key="late", run_at=run_at) == late
    await stage.sql.execute("UPDATE taskmill.idempotency SET expires_at = now()")
    assert await create(stage.sql, idempotency_key="k") != first
    await assert_safe(stage.sql)
    assert await found_in(stage.database) == {}


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_who_brings_a_key_waits_for_the_transaction_that_brought_it_first(
    stage: Stage, end: str
) -> None:
    await create(stage.sql)
    async with a_session(stage) as first, a_session(stage) as second:
        await first.execute("BEGIN")
        made = await create(first, idempotency_key="k")
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(create(second, idempotency_key="k"))
            await until_blocked(stage)
            await first.execute(end)
        assert (waiting.result() == made) == (end == "COMMIT")
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.idempotency") == 1
    await assert_safe(stage.sql)


async def test_a_transaction_that_can_not_see_the_keys_task_is_told_to_try_again(
    stage: Stage,
) -> None:
    await create(stage.sql)
    async with a_session(stage) as mine:
        await mine.execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM taskmill.task"
        )
        await create(stage.sql, idempotency_key="k")
        with pytest.raises(asyncpg.SerializationError):
            await create(mine, idempotency_key="k")


@pytest.mark.parametrize(
    ("field", "makes_it_new", "limit"),
    [
        (
            "type",
            "DELETE FROM taskmill.unserved_type",
            "UPDATE taskmill.door_limit SET unserved_types = 1",
        ),
        ("queue", "DELETE FROM taskmill.queue", "UPDATE taskmill.door_limit SET queues = 1"),
    ],
)
async def test_a_repeated_key_gets_its_task_though_no_more_names_may_come(
    stage: Stage, field: str, makes_it_new: str, limit: str
) -> None:
    call = f"SELECT taskmill.create_task('a', {field} => 'early', idempotency_key => 'k')"
    first = await stage.sql.fetchval(call)
    await stage.sql.execute(makes_it_new)
    await stage.sql.execute(limit)
    await stage.sql.execute(f"SELECT taskmill.create_task('a', {field} => 'late')")
    assert await stage.sql.fetchval(call) == first


@pytest.mark.parametrize("field", ["type", "queue"])
async def test_a_transaction_that_can_not_see_a_new_name_is_told_to_try_again(
    stage: Stage, field: str
) -> None:
    async with a_session(stage) as early:
        await early.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; TABLE taskmill.queue")
        await create(stage.sql, **{field: "new"})
        with pytest.raises(asyncpg.SerializationError):
            await create(early, **{field: "new"})


async def test_a_repeated_key_gets_its_task_though_the_contract_has_changed_since(
    stage: Stage,
) -> None:
    await registered(stage, a_contract({}))
    made = await create(stage.sql, type=TYPE, payload=BAD, idempotency_key="k")
    await registered(stage, a_contract(NEEDS_TO))
    assert await create(stage.sql, type=TYPE, payload=BAD, idempotency_key="k") == made
    told = await problem(stage.sql, type=TYPE, payload=BAD, idempotency_key="k", priority=1)
    assert told["type"] == "/problems/idempotency-conflict"
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.idempotency") == 1
    await registered(stage, a_contract(NEEDS_CC))
    assert (await stage.task(made)).status is Status.NEW


async def test_defaults_of_the_contract_fill_what_is_left_out(stage: Stage) -> None:
    defaults: dict[str, Any] = {
        "queue": "mail",
        "priority": 7,
        "max_attempts": 5,
        "max_losses": 0,
        "retry": AT_ONCE,
    }
    await registered(stage, a_contract({}, timeout=timedelta(seconds=30), **defaults))
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


async def callbacks(stage: Stage) -> list[tuple[Any, ...]]:
    rows = await stage.sql.fetch(
        "SELECT task_id, url, lane FROM taskmill.task_callback ORDER BY task_id"
    )
    return [tuple(row) for row in rows]


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


async def test_a_repeated_key_makes_no_second_callback_and_another_address_is_a_conflict(
    stage: Stage,
) -> None:
    made = await create(stage.sql, idempotency_key="k", callback_url=URL)
    assert await create(stage.sql, idempotency_key="k", callback_url=URL) == made
    for other in ({}, {"callback_url": f"{URL}?"}):
        told = await problem(stage.sql, idempotency_key="k", **other)
        assert told["type"] == "/problems/idempotency-conflict"
    assert await callbacks(stage) == [(made, URL, "callback:https://example.org:443")]


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


async def test_only_roles_that_it_was_granted_to_may_call_it_and_they_may_do_nothing_else(
    stage: Stage,
) -> None:
    await registered(stage, a_contract())
    asks = "SELECT FROM taskmill.contract_of($1)"
    await stage.sql.execute(
        "CREATE ROLE app_of_test; GRANT USAGE ON SCHEMA taskmill TO app_of_test"
    )
    try:
        async with a_session(stage) as app:
            await app.execute("SET ROLE app_of_test")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await create(app)
            assert await app.fetch(asks, TYPE) == [], "contracts are for who may create tasks"
            await stage.sql.execute("GRANT EXECUTE ON FUNCTION taskmill.create_task TO app_of_test")
            assert isinstance(await create(app), UUID)
            told = await problem(app, name="")
            assert told["status"] == 422
            assert len(await app.fetch(asks, TYPE)) == 1
            for forbidden in (
                "SELECT FROM taskmill.task",
                "DELETE FROM taskmill.task_type",
                "SELECT taskmill.new_task_id()",
                "SELECT taskmill.ensure_queue('x', 5)",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await app.execute(forbidden)
    finally:
        await stage.sql.execute("DROP OWNED BY app_of_test; DROP ROLE app_of_test")


@pytest.mark.parametrize(
    "setting",
    [
        "standard_conforming_strings = off",
        "transform_null_equals = on",
        "plpgsql.extra_errors = 'all'",
        "extra_float_digits = -15",
        "DateStyle = 'SQL, DMY'",
        "default_transaction_isolation = 'serializable'",
    ],
)
async def test_settings_of_the_callers_session_change_nothing(stage: Stage, setting: str) -> None:
    refused = {
        "payload": '{"to": 1e400}',
        "queue": "a\\b",
        "timeout_s": 0.1 + 604_800,
        "run_at": datetime(1999, 1, 1, tzinfo=UTC),
    }
    usual = [await problem(stage.sql, **{name: value}) for name, value in refused.items()]
    async with a_session(stage) as session:
        await session.execute(f"SET {setting}")
        assert [await problem(session, **{name: value}) for name, value in refused.items()] == usual
        made = await create(
            session,
            payload='{"to": "1.a"}',
            type=TYPE,
            labels='{"a": "\\\\"}',
            idempotency_key="\\",
        )
    assert (await stage.task(made)).labels == '{"a": "\\\\"}'


async def test_objects_of_the_caller_are_not_taken_for_the_functions_own(stage: Stage) -> None:
    """It runs as its owner: a caller who could lend it a function or table could do anything."""
    async with a_session(stage) as mine:
        await mine.execute(
            "CREATE TEMP TABLE queue (name text); "
            "CREATE FUNCTION pg_temp.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 1 / 0 $$; "
            "SET search_path = pg_temp, public"
        )
        assert isinstance(await create(mine, payload='{"a": 1}'), UUID)


# Triggers, functions that compute something of their arguments alone, and one that asks who calls it.
OPEN_TO_ALL = {
    *("refuse_transition", "refuse_birth", "note_failure"),
    *("error_shape", "duration_bucket", "packed_bucket"),
    "contract_of",
}


async def test_nothing_but_contract_of_is_open_to_the_public(stage: Stage) -> None:
    """Not even the door: its owner grants it."""
    functions = await stage.sql.fetch(
        "SELECT proname, prosecdef, proconfig, has_function_privilege('public', oid, 'EXECUTE') AS is_open "
        "FROM pg_proc WHERE pronamespace = 'taskmill'::regnamespace"
    )
    made = {row["proname"]: row for row in functions}
    assert {name for name, row in made.items() if row["is_open"]} == OPEN_TO_ALL
    assert {name for name, row in made.items() if row["prosecdef"]} == {
        "create_task",
        "contract_of",
    }
    for name in ("create_task", "contract_of"):
        assert "search_path=pg_catalog, pg_temp" in made[name]["proconfig"]


async def test_a_task_that_commits_late_is_in_the_feed_and_in_order_of_its_commit(
    stage: Stage,
) -> None:
    await create(stage.sql)
    assert await changes.number(stage.database, 10) == 1
    async with a_session(stage) as late:
        await late.execute("BEGIN")
        first_drawn = await create(late)
        then = await create(stage.sql)
        assert first_drawn < then
        assert await changes.number(stage.database, 10) == 1
        await late.execute("COMMIT")
    assert await changes.number(stage.database, 10) == 1
    fed = await stage.sql.fetch("SELECT task_ids FROM taskmill.change_batch ORDER BY position")
    assert [row["task_ids"] for row in fed][1:] == [[then], [first_drawn]]
    assert await found_in(stage.database) == {}
