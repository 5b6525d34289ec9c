"""What was counted before failures had kinds is found by them, and the migration can be repeated."""

from uuid import UUID

import asyncpg
import pytest

from taskmill.domain import identity
from taskmill.domain.errors import ConfigurationError
from taskmill.runtime.clock import SystemClock
from taskmill.storage import migrate
from taskmill.storage.migrate import MIGRATIONS
from tests.support.migrating import apart, applied, downgrade, fetch_rows

[FILE] = (MIGRATIONS / "versions").glob("*_kinds_of_failures.py")
NUMBER = FILE.name[:4]
BEFORE = f"{int(NUMBER) - 1:04}"
MESSAGES = ["<html>\n<title>the bank is away</title>", "plain 7"]
TASKS = """
    INSERT INTO taskmill.task (id, number, name, type, queue, payload, labels, source, priority, run_at,
        max_attempts, max_losses, created_at, updated_at, attempt, losses, run, claim_no, version, error)
    SELECT id, n, 'n', 'pay', 'default', '{}', '{}', 'test', 4, now(), 1, 0, now(), now(), 1, 0, 1,
        1, 2, jsonb_build_object('type', 'E', 'message', message)
    FROM unnest($1::uuid[], $2::integer[], $3::text[]) AS given (id, n, message)
"""
COUNTED = """
    INSERT INTO taskmill.failure (step_s, at, type, error, tasks, first_at, last_at, task_id)
    SELECT step_s, now(), 'pay', taskmill.error_shape(t.error), 5, now(), now(), t.id
    FROM taskmill.task AS t CROSS JOIN unnest(ARRAY[600, 86400]) AS step_s;
    INSERT INTO taskmill.queue_failure (step_s, queue, at, type, error, tasks, first_at, last_at, task_id)
    SELECT step_s, 'default', at, type, error, tasks, first_at, last_at, task_id FROM taskmill.failure;
    INSERT INTO taskmill.failure (step_s, at, type, error, tasks, first_at, last_at, task_id)
    VALUES (86400, now(), '*', '*', 1, now(), now(), gen_random_uuid()),
        (86400, now(), 'pay', 'E: its task is gone', 2, now(), now(), gen_random_uuid())
"""
KINDS = ["E: its task is gone", "E: plain #", "E: the bank is away"]
WEEKS = """
    SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'taskmill.task'::regclass ORDER BY 1
"""
INDEXES = """
    SELECT indexrelid::regclass::text, indisvalid FROM pg_index
    WHERE indrelid IN ('taskmill.task'::regclass, 'taskmill.queue_failure'::regclass)
"""


async def column(url: str, query: str) -> list[object]:
    return [value for (value,) in await fetch_rows(url, query)]


async def test_what_was_counted_before_has_the_new_kinds(empty_database_url: str) -> None:
    url = empty_database_url
    await apart(migrate.upgrade, url, BEFORE)
    connection = await asyncpg.connect(url)
    first = identity.lower_bound(SystemClock().now()).int
    # Triggers refuse a task that has an error when it is inserted.
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(TASKS, [UUID(int=first + n) for n in (1, 2)], [1, 2], MESSAGES)
    await connection.execute(COUNTED)
    await connection.close()
    await apart(migrate.upgrade, url, NUMBER)
    counted = "SELECT DISTINCT error FROM taskmill.failure WHERE error <> '*' ORDER BY 1"
    assert await column(url, counted) == KINDS
    of_queues = "SELECT DISTINCT error FROM taskmill.queue_failure ORDER BY 1"
    assert await column(url, of_queues) == KINDS[1:]
    assert await column(url, "SELECT sum(tasks)::integer FROM taskmill.failure") == [2 * 10 + 3]
    assert await column(url, "SELECT kind FROM taskmill.failure_kind ORDER BY 1") == KINDS
    messages = "SELECT message FROM taskmill.failure_kind ORDER BY kind"
    assert await column(url, messages) == ["", "plain #", "the bank is away"]
    # The name that the previous program knows means the same.
    same = "SELECT bool_and(taskmill.error_shape(error) = taskmill.error_kind(error)) FROM taskmill.task"
    assert await column(url, same) == [True]


async def test_it_can_be_repeated_after_a_week_was_busy_and_undone(empty_database_url: str) -> None:
    url = empty_database_url
    await apart(migrate.upgrade, url, BEFORE)
    [*_, last_week] = await column(url, WEEKS)
    holder = await asyncpg.connect(url)
    async with holder.transaction():
        await holder.execute(f"LOCK TABLE {last_week} IN ROW EXCLUSIVE MODE")
        with pytest.raises(ConfigurationError, match="due to lock timeout"):
            await apart(migrate.upgrade, url, NUMBER)
    await holder.close()
    assert await applied(url) == BEFORE
    await apart(migrate.upgrade, url, NUMBER)
    indexes = dict(await fetch_rows(url, INDEXES))
    assert all(indexes.values())
    assert {"taskmill.task_error_kind", "taskmill.queue_failure_error"} <= indexes.keys()
    assert "taskmill.task_error" not in indexes
    await apart(downgrade, url, BEFORE)
    indexes = dict(await fetch_rows(url, INDEXES))
    assert all(indexes.values())
    assert "taskmill.task_error" in indexes
