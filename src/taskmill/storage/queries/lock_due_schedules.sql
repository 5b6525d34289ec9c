-- Purpose: lock the schedules for which there is something to do, those that are due for longest first. $1 integer: the
-- most.
-- Locks: schedule; skips what others have locked, so any number of processes may do this. Relies on schedule_due.
SELECT
    id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick, last_task_id,
    paused_at, managed_by, owner, owner_quotas, tz_version, now() AS moment
FROM taskmill.schedule
WHERE paused_at IS NULL AND next_at <= now()
ORDER BY next_at
LIMIT $1
FOR UPDATE SKIP LOCKED
