"""Idempotency keys of tasks from SQL: repeats, conflicts, and keys of transactions that are still open."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from taskmill.domain.lifecycle import Status
from tests.support.contracts import NEEDS_CC, NEEDS_TO, TYPE, a_contract, registered
from tests.support.locks import until_blocked
from tests.support.safety import assert_safe
from tests.support.sql import a_session, callbacks, create, problem
from tests.support.stage import Stage
from tests.support.verifying import found_in

BAD = '{"copies": 0}'
URL = "https://example.org/hooks"


async def test_the_same_key_and_request_give_the_same_task_and_any_other_is_a_conflict(
    stage: Stage,
) -> None:
    first = await create(stage.sql, idempotency_key="k", payload='{"a": 1, "b": 2}')
    assert await create(stage.sql, idempotency_key="k", payload='{"b":2, "a":1}') == first
    refusal = await problem(stage.sql, idempotency_key="k", payload='{"a": 1}')
    assert (refusal["type"], refusal["status"]) == ("/problems/idempotency-conflict", 422)
    assert "'k'" in refusal["detail"]
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


async def test_a_transaction_that_can_not_see_the_keys_task_gets_an_error_to_try_again(
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
            "UPDATE taskmill.request_limit SET unserved_types = 1",
        ),
        ("queue", "DELETE FROM taskmill.queue", "UPDATE taskmill.request_limit SET queues = 1"),
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


async def test_a_repeated_key_gets_its_task_though_the_contract_has_changed_since(
    stage: Stage,
) -> None:
    await registered(stage, a_contract({}))
    made = await create(stage.sql, type=TYPE, payload=BAD, idempotency_key="k")
    await registered(stage, a_contract(NEEDS_TO))
    assert await create(stage.sql, type=TYPE, payload=BAD, idempotency_key="k") == made
    refusal = await problem(stage.sql, type=TYPE, payload=BAD, idempotency_key="k", priority=1)
    assert refusal["type"] == "/problems/idempotency-conflict"
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.idempotency") == 1
    await registered(stage, a_contract(NEEDS_CC))
    assert (await stage.task(made)).status is Status.NEW


async def test_a_repeated_key_makes_no_second_callback_and_another_address_is_a_conflict(
    stage: Stage,
) -> None:
    made = await create(stage.sql, idempotency_key="k", callback_url=URL)
    assert await create(stage.sql, idempotency_key="k", callback_url=URL) == made
    for other in ({}, {"callback_url": f"{URL}?"}):
        refusal = await problem(stage.sql, idempotency_key="k", **other)
        assert refusal["type"] == "/problems/idempotency-conflict"
    assert await callbacks(stage) == [(made, URL, "callback:https://example.org:443")]
