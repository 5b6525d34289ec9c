-- Purpose: record how far schedules have come: all ticks up to their cursors are done. They are locked. $1..$8: arrays, one
-- element a schedule: id bigint, revision bigint and cursor_at timestamptz as they were read; the new cursor_at, next_at and
-- held_tick timestamptz, last_task_id uuid, tz_version text.
-- Locks: schedule_cursor. Relies on the primary key. Returns those that are as they were read.
UPDATE taskmill.schedule_cursor AS c
SET cursor_at = moved.cursor_at,
    next_at = moved.next_at,
    held_tick = moved.held_tick,
    last_task_id = moved.last_task_id,
    postponed_since = NULL,
    tz_version = moved.tz_version
FROM unnest(
    $1::bigint[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::uuid[],
    $8::text[]
) AS moved (id, revision, was_at, cursor_at, next_at, held_tick, last_task_id, tz_version)
WHERE c.schedule_id = moved.id AND c.revision = moved.revision AND c.cursor_at = moved.was_at
RETURNING c.schedule_id
