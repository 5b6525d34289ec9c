-- Purpose: record what became of ticks, and how far their schedules have come, which are locked. $1..$9: arrays, one element a
-- fire, as of store_fires; $10..$17: arrays, one element a schedule, as of move_schedules.
-- Locks: schedule_fire, schedule_cursor. Relies on the primary keys.
-- Returns how many fires are new, and how many schedules are as they were read. Where a tick has its fire already, it must make
-- no task: only then `ids` and `ticks` are those of the new ones.
WITH stored AS (
    INSERT INTO taskmill.schedule_fire (
        schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem
    )
    SELECT schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem::json
    FROM unnest(
        $1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::text[], $6::text[], $7::uuid[],
        $8::uuid[], $9::text[]
    ) AS new (schedule_id, tick, until_tick, ticks, cause, outcome, task_id, cancelled_task_id, problem)
    ON CONFLICT (schedule_id, tick) DO NOTHING
    RETURNING schedule_id, tick
),
moved AS (
    UPDATE taskmill.schedule_cursor AS c
    SET cursor_at = moved.cursor_at,
        next_at = moved.next_at,
        held_tick = moved.held_tick,
        last_task_id = moved.last_task_id,
        postponed_since = NULL,
        tz_version = moved.tz_version
    FROM unnest(
        $10::bigint[], $11::bigint[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[],
        $16::uuid[], $17::text[]
    ) AS moved (id, revision, was_at, cursor_at, next_at, held_tick, last_task_id, tz_version)
    WHERE c.schedule_id = moved.id AND c.revision = moved.revision AND c.cursor_at = moved.was_at
    RETURNING c.schedule_id
),
counted AS MATERIALIZED (
    SELECT (SELECT count(*) FROM stored) AS fires, (SELECT count(*) FROM moved) AS schedules
)
SELECT
    fires, schedules,
    CASE WHEN fires < cardinality($1::bigint[]) THEN (SELECT array_agg(schedule_id) FROM stored) END AS ids,
    CASE WHEN fires < cardinality($1::bigint[]) THEN (SELECT array_agg(tick) FROM stored) END AS ticks
FROM counted
