"""Copies the rows of past tasks into a database that is in use: 200,000 tasks in half a minute."""

import random
from typing import Any

import asyncpg

from tests.support.seeding import without_indexes
from tools.scene.courses import courses
from tools.scene.past import Past

_TABLES = "taskmill.task, taskmill.task_event, taskmill.dispatch, taskmill.change_batch"


async def load(url: str, tasks: int, draw: random.Random) -> None:
    """Add so many tasks with a past. Needs the rights of a superuser."""
    connection = await asyncpg.connect(url)
    try:
        now = await connection.fetchval("SELECT clock_timestamp()")
        past = Past(now, draw)
        for course in courses(now, tasks, draw):
            past.add(course)
        async with without_indexes(connection):
            await _copy(connection, past)
        # What autovacuum does sooner or later: statements are planned by it.
        await connection.execute(f"VACUUM ANALYZE {_TABLES}")
    finally:
        await connection.close()


async def _copy(connection: "asyncpg.Connection[Any]", past: Past) -> None:
    """Copy all rows in one transaction: a task is never seen without its history."""
    async with connection.transaction():
        # The guards refuse a task that is created as finished.
        await connection.execute("SET LOCAL session_replication_role = replica")
        for table, columns, rows in past.rows():
            await connection.copy_records_to_table(
                table, schema_name="taskmill", columns=columns, records=rows
            )
