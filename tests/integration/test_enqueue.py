"""`enqueue` on every kind of connection: in the caller's transaction, with the client's errors."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import psycopg
import pytest
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from taskmill.client import NotAccepted
from taskmill.client.enqueue import enqueue
from tests.support.contracts import TYPE, a_contract, registered
from tests.support.enqueuing import ASYNCHRONOUS, SYNCHRONOUS, Opened, name_of
from tests.support.safety import assert_safe
from tests.support.stage import Stage


async def count(stage: Stage) -> int:
    found: int = await stage.sql.fetchval("SELECT count(*) FROM taskmill.task")
    return found


async def assert_stored(stage: Stage, made: UUID) -> None:
    task = await stage.task(made)
    assert (task.name, task.type, task.payload) == ("a task", "pdf", '{"n":1,"who":"\\u0436"}')
    assert (task.priority, task.labels, task.source) == (7, '{"team": "a"}', "sql")
    assert task.run_at == datetime(2030, 1, 31, 9, tzinfo=UTC)
    await assert_safe(stage.sql)


FIELDS: dict[str, Any] = {
    "type": "pdf",
    "payload": {"n": 1, "who": "ж"},
    "priority": 7,
    "labels": {"team": "a"},
    "run_at": datetime(2030, 1, 31, 9, tzinfo=UTC),
    "description": None,
}


@pytest.mark.parametrize("opened", SYNCHRONOUS, ids=name_of)
async def test_a_synchronous_connection_creates_when_it_commits(
    stage: Stage, opened: Opened
) -> None:
    await stage.created()
    with opened(stage.url) as connection:
        enqueue(connection, "a task", **FIELDS)
        connection.rollback()
        assert await count(stage) == 1
        made = enqueue(connection, "a task", **FIELDS)
        assert isinstance(made, UUID)
        assert await count(stage) == 1
        connection.commit()
    await assert_stored(stage, made)


@pytest.mark.parametrize("opened", ASYNCHRONOUS, ids=name_of)
async def test_an_asynchronous_connection_creates_when_it_commits(
    stage: Stage, opened: Opened
) -> None:
    await stage.created()
    async with opened(stage.url) as connection:
        await enqueue(connection, "a task", **FIELDS)
        await connection.rollback()
        assert await count(stage) == 1
    async with opened(stage.url) as connection:
        made = await enqueue(connection, "a task", **FIELDS)
        assert isinstance(made, UUID)
        assert await count(stage) == 1
        await connection.commit()
    await assert_stored(stage, made)


def assert_refused(error: NotAccepted) -> None:
    assert (error.status, error.type) == (422, "/problems/invalid-input")
    assert [(one.pointer, one.expected, one.got) for one in error.errors] == [
        ("/payload/to", "a string", "nothing")
    ]


@pytest.mark.parametrize("opened", SYNCHRONOUS, ids=name_of)
async def test_a_refusal_is_the_clients_error(stage: Stage, opened: Opened) -> None:
    await registered(stage, a_contract())
    with opened(stage.url) as connection:
        with pytest.raises(NotAccepted) as caught:
            enqueue(connection, "a task", type=TYPE)
        assert_refused(caught.value)
        connection.rollback()
        enqueue(connection, "a task", idempotency_key="k")
        with pytest.raises(NotAccepted) as caught:
            enqueue(connection, "another", idempotency_key="k")
        assert caught.value.type == "/problems/idempotency-conflict"
        connection.rollback()
    assert await count(stage) == 0


@pytest.mark.parametrize("opened", ASYNCHRONOUS, ids=name_of)
async def test_a_refusal_is_the_clients_error_asynchronously(stage: Stage, opened: Opened) -> None:
    await registered(stage, a_contract())
    async with opened(stage.url) as connection:
        with pytest.raises(NotAccepted) as caught:
            await enqueue(connection, "a task", type=TYPE)
        assert_refused(caught.value)
        await connection.rollback()
    assert await count(stage) == 0


@pytest.mark.parametrize("opened", SYNCHRONOUS, ids=name_of)
async def test_a_payload_that_does_not_fit_is_refused_before_it_is_sent(
    stage: Stage, opened: Opened
) -> None:
    """So the transaction can go on; a known contract is used as long as it is current."""
    known = await registered(stage, a_contract())
    with opened(stage.url) as connection:
        for _ in range(2):
            with pytest.raises(NotAccepted) as caught:
                enqueue(connection, "a task", type=TYPE)
            assert_refused(caught.value)
        with pytest.raises(NotAccepted) as caught:
            enqueue(
                connection, "a task", type="http", payload={"url": "http://a.example/", "urk": 1}
            )
        assert [one.pointer for one in caught.value.errors] == ["/payload/urk"]
        enqueue(connection, "a task", type=TYPE, payload={"to": "ann"})
        await registered(stage, a_contract({"required": ["cc"]}))
        with pytest.raises(NotAccepted) as caught:
            enqueue(connection, "a task", type=TYPE, payload={"to": "ann"})
        assert [one.pointer for one in caught.value.errors] == ["/payload/cc"]
        await known.drop(TYPE)
        enqueue(connection, "a task", type=TYPE)
        connection.commit()
    assert await count(stage) == 2


@pytest.mark.parametrize("opened", ASYNCHRONOUS, ids=name_of)
async def test_it_is_refused_before_it_is_sent_asynchronously(stage: Stage, opened: Opened) -> None:
    await registered(stage, a_contract())
    async with opened(stage.url) as connection:
        with pytest.raises(NotAccepted) as caught:
            await enqueue(connection, "a task", type=TYPE)
        assert_refused(caught.value)
        await enqueue(connection, "a task", type=TYPE, payload={"to": "ann"})
        await connection.commit()
    assert await count(stage) == 1


async def test_a_contract_that_no_longer_compiles_refuses_nothing(stage: Stage) -> None:
    await registered(stage, a_contract())
    await stage.sql.execute(
        """UPDATE taskmill.type_contract SET schema = '{"type": "int"}', digest = 'x'"""
    )
    with psycopg.connect(stage.url) as connection:
        enqueue(connection, "a task", type=TYPE)
    assert await count(stage) == 1


async def test_other_errors_of_the_database_pass_as_they_are(stage: Stage) -> None:
    with psycopg.connect(stage.url) as connection:
        with pytest.raises(psycopg.errors.InvalidDatetimeFormat):
            enqueue(connection, "a task", run_at="tomorrow-ish")
        connection.rollback()
    await stage.sql.execute("DROP FUNCTION taskmill.create_task")
    with psycopg.connect(stage.url) as connection, pytest.raises(psycopg.errors.UndefinedFunction):
        enqueue(connection, "a task")
    with pytest.raises(asyncpg.UndefinedFunctionError):
        await enqueue(stage.sql, "a task")


async def test_a_pool_is_no_connection(stage: Stage) -> None:
    async with asyncpg.create_pool(stage.url, min_size=1) as pool:
        with pytest.raises(TypeError, match="a connection of the pool"):
            enqueue(pool, "a task")
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 0


async def test_a_bad_connection_or_field_is_an_error_before_any_query(
    stage: Stage,
) -> None:
    taken = "SQLAlchemy's Connection, Session, .* asyncpg's Connection, and psycopg's Connection or"
    with pytest.raises(TypeError, match=f"can't use a int; it takes {taken}"):
        enqueue(5, "a task")  # type: ignore[call-overload]  # that is the test
    unknown: dict[str, Any] = {"colour": "red"}
    with psycopg.connect(stage.url) as connection:
        with pytest.raises(TypeError, match="'colour'"):
            enqueue(connection, "a task", **unknown)
        with pytest.raises(ValueError, match="run_at needs a time zone"):
            enqueue(connection, "a task", run_at=datetime(2030, 1, 1))  # noqa: DTZ001 - that is the test
        with pytest.raises(ValueError, match="not JSON compliant"):
            enqueue(connection, "a task", payload={"a": float("nan")})
        with pytest.raises(ValueError, match="Unable to serialize"):
            enqueue(connection, "a task", payload={"a": object()})
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


async def test_models_and_times_in_a_payload_become_json(stage: Stage) -> None:
    class Order(BaseModel):
        at: datetime

    when = datetime(2030, 1, 1, tzinfo=UTC)
    made = await enqueue(
        stage.sql,
        "a task",
        type="pdf",
        payload={"order": Order(at=when), "at": when, "id": UUID(int=5)},
    )
    assert (await stage.task(made)).payload == (
        '{"order":{"at":"2030-01-01T00:00:00Z"},"at":"2030-01-01T00:00:00+00:00",'
        '"id":"00000000-0000-0000-0000-000000000005"}'
    )


async def test_a_callback_goes_with_the_task_and_one_that_is_no_address_is_refused(
    stage: Stage,
) -> None:
    url = "https://example.org/done"
    made = await enqueue(stage.sql, "a task", callback_url=url)
    rows = await stage.sql.fetch("SELECT task_id, url FROM taskmill.task_callback")
    assert [tuple(row) for row in rows] == [(made, url)]
    with pytest.raises(NotAccepted) as caught:
        await enqueue(stage.sql, "a task", callback_url="http://127.1/")
    assert [one.pointer for one in caught.value.errors] == ["/callback_url"]
    with pytest.raises(NotAccepted) as caught:
        await enqueue(stage.sql, "a push", type="http", payload={"url": url, "methd": "PUT"})
    [only] = caught.value.errors
    assert (only.pointer, only.got) == (
        "/payload/methd",
        'an unknown field (did you mean "method"?)',
    )


async def typed(
    connection: "asyncpg.Connection[asyncpg.Record]", session: AsyncSession
) -> list[UUID]:
    """Never run: type checkers must accept it."""
    waited: Awaitable[UUID] = enqueue(session, "a task", payload={"a": 1})
    return [await waited, await enqueue(connection, "a task", priority=3)]


def typed_synchronous(
    connection: "psycopg.Connection[tuple[Any, ...]]", session: Session
) -> tuple[UUID, UUID]:
    """Never run: see above."""
    return enqueue(connection, "a task"), enqueue(session, "a task", delay_s=1.5)
