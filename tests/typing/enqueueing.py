"""`enqueue` on each kind of connection: an id, or an awaitable for one."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, assert_type
from uuid import UUID

import asyncpg
import psycopg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from taskmill import enqueue


def synchronous(
    connection: Connection, session: Session, plain: psycopg.Connection[tuple[Any, ...]]
) -> None:
    assert_type(enqueue(connection, "x", type="report", payload={"n": 1}), UUID)
    assert_type(enqueue(session, "x", run_at=datetime(2031, 1, 1, tzinfo=UTC)), UUID)
    assert_type(enqueue(plain, "x", labels={"a": "b"}), UUID)


async def asynchronous(
    connection: AsyncConnection,
    session: AsyncSession,
    direct: "asyncpg.Connection[asyncpg.Record]",
    plain: psycopg.AsyncConnection[tuple[Any, ...]],
) -> None:
    assert_type(enqueue(connection, "x"), Awaitable[UUID])
    assert_type(await enqueue(session, "x", idempotency_key="k"), UUID)
    assert_type(await enqueue(direct, "x", priority=9), UUID)
    assert_type(await enqueue(plain, "x", max_attempts=3), UUID)
