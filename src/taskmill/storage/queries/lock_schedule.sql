-- Purpose: lock one schedule by its name. $1 text.
-- Locks: schedule, before everything else. Relies on schedule_name.
SELECT
    id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick, last_task_id,
    paused_at, managed_by, owner, owner_quotas, tz_version, clock_timestamp() AS moment
FROM taskmill.schedule
WHERE name = $1
FOR UPDATE
