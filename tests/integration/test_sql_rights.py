"""Who may call `taskmill.create_task`, and that a caller's settings and objects change nothing in it."""

from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from taskmill.storage.rights import AS_OWNER
from tests.support.contracts import TYPE, a_contract, registered
from tests.support.sql import a_session, create, problem
from tests.support.stage import Stage


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
            refusal = await problem(app, name="")
            assert refusal["status"] == 422
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
    *(
        "error_shape",
        "error_kind",
        "message_shape",
        "markup_title",
        "without_numbers",
        "duration_bucket",
        "packed_bucket",
    ),
    "contract_of",
}


RUN_AS_OWNER = {"contract_of", *AS_OWNER}


async def test_nothing_but_contract_of_is_open_to_the_public(stage: Stage) -> None:
    """Not even `create_task`: its owner grants it."""
    functions = await stage.sql.fetch(
        "SELECT proname, prosecdef, proconfig, has_function_privilege('public', oid, 'EXECUTE') AS is_open "
        "FROM pg_proc WHERE pronamespace = 'taskmill'::regnamespace"
    )
    made = {row["proname"]: row for row in functions}
    assert {name for name, row in made.items() if row["is_open"]} == OPEN_TO_ALL
    assert {name for name, row in made.items() if row["prosecdef"]} == RUN_AS_OWNER
    for name in RUN_AS_OWNER:
        assert "search_path=pg_catalog, pg_temp" in made[name]["proconfig"]
