-- Purpose: lock schedules whose next tick was computed with other rules of time zones. $1 text: the version of those in
-- use; $2 integer: the most; $3 bigint: after this one.
-- Locks: schedule; skips what others have locked. Reads all schedules, at the start of a process and once an hour.
SELECT
    id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick, last_task_id,
    paused_at, managed_by, owner, owner_quotas, tz_version, now() AS moment
FROM taskmill.schedule
WHERE tz_version <> $1 AND id > $3
ORDER BY id
LIMIT $2
FOR UPDATE SKIP LOCKED
