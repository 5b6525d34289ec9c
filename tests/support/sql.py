"""Calls of `taskmill.create_task`, on a test's own connections."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
import pytest

from taskmill.storage.servers import Connection
from tests.support.stage import Stage

CASTS: Final[Mapping[str, str]] = dict.fromkeys(
    ("payload", "payload_secrets", "labels", "retry"), "::text::json"
)


async def create(sql: Connection, **arguments: Any) -> UUID:  # noqa: ANN401 - the function's
    """Call the function with these arguments, JSON as text."""
    given = {"name": "a task", **arguments}
    called = ", ".join(
        f"{name} => ${number}{CASTS.get(name, '')}" for number, name in enumerate(given, 1)
    )
    made: UUID = await sql.fetchval(f"SELECT taskmill.create_task({called})", *given.values())
    return made


async def problem(sql: Connection, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - the function's
    """Call it and return the problem that it is refused with."""
    with pytest.raises(asyncpg.InvalidParameterValueError) as caught:
        await create(sql, **arguments)
    problem: dict[str, Any] = orjson.loads(caught.value.detail or "")
    assert problem["detail"] in str(caught.value)
    return problem


@asynccontextmanager
async def a_session(stage: Stage) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(stage.url)
    try:
        yield connection
    finally:
        await connection.close()


async def callbacks(stage: Stage) -> list[tuple[Any, ...]]:
    """The stored callbacks: task, address and endpoint."""
    rows = await stage.sql.fetch(
        "SELECT task_id, url, endpoint FROM taskmill.task_callback ORDER BY task_id"
    )
    return [tuple(row) for row in rows]
