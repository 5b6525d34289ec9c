-- Purpose: store a new schedule, and its first revision. $1 text name; $2 text spec, JSON; $3 text task, JSON; $4 text queue;
-- $5 text type; $6 timestamptz: when it begins, $7 timestamptz: when there is first something to do; $8 text managed_by;
-- $9 text owner, $10 text[] its quotas; $11 text tz_version.
-- Locks: schedule. Relies on schedule_name. Returns nothing if there is one of that name.
-- Notifies.
WITH created AS (
    INSERT INTO taskmill.schedule (
        name, spec, task, queue, type, cursor_at, next_at, managed_by, owner, owner_quotas, tz_version
    )
    VALUES ($1, $2::text::json, $3::text::json, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (name) DO NOTHING
    RETURNING
        id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick, last_task_id,
        paused_at, managed_by, owner, owner_quotas, tz_version
),
recorded AS (
    INSERT INTO taskmill.schedule_revision (schedule_id, revision, from_tick, spec, tz_version)
    SELECT id, revision, cursor_at, spec, tz_version FROM created
)
SELECT
    id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick, last_task_id,
    paused_at, managed_by, owner, owner_quotas, tz_version, now() AS moment
FROM created
