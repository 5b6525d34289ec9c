-- Purpose: read schedules in the order in which they were made. $1 bigint: after this one; $2 integer: the most.
-- Relies on the primary key.
SELECT
    id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick, last_task_id,
    paused_at, managed_by, owner, owner_quotas, tz_version, now() AS moment
FROM taskmill.schedule
WHERE id > $1
ORDER BY id
LIMIT $2
