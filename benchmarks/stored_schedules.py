"""Schedules in a database, as requests would have stored them, for scenarios about their ticks."""

import asyncpg
import orjson

from taskmill.domain.schedules.spec import ScheduleSpec, TickPolicy
from taskmill.domain.schedules.zones import TZ_VERSION
from taskmill.wire.stored_schedules import spec_json

# The same task as in `bulk_create`, in a form that PostgreSQL completes with the number of the schedule.
_STORED = """
WITH made AS (
    INSERT INTO taskmill.schedule (name, spec, task, queue, type)
    SELECT $1::text || n, $2::text::json, replace($3::text, '"#"', n::text)::json, 'default', 'emulate'
    FROM generate_series(1, $7::integer) AS n
    RETURNING id, revision, spec
),
begun AS (
    INSERT INTO taskmill.schedule_cursor (schedule_id, cursor_at, next_at, tz_version)
    SELECT id, now(), $4::timestamptz + $5::float8 * row_number() OVER (ORDER BY id) * interval '1 s', $6 FROM made
)
INSERT INTO taskmill.schedule_revision (schedule_id, revision, from_tick, spec, tz_version)
SELECT id, revision, now(), spec, $6 FROM made
"""
_ANALYZE = "ANALYZE taskmill.schedule, taskmill.schedule_cursor"
_TASK = {
    "name": "report",
    "description": "figures of a region, with charts, for the board",
    "payload": {"delay_s": 0, "failure_probability": 0, "result": {"pages": "#"}},
}
TASK = orjson.dumps(_TASK).decode()
"""The body of the task that each makes; for "#" its number."""


async def store(
    connection: "asyncpg.Connection[asyncpg.Record]",
    count: int,
    spec: ScheduleSpec,
    *,
    prefix: str = "s",
    next_at: object,
    apart_s: float = 0,
) -> None:
    """Store schedules of one spec, whose next ticks are at `next_at`, or each so much later than the last."""
    stored = spec_json(spec, TickPolicy())
    await connection.execute(
        _STORED, prefix, stored, TASK, next_at, apart_s, TZ_VERSION, count, timeout=120
    )
    await connection.execute(_ANALYZE)
