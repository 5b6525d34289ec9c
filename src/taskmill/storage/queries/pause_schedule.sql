-- Purpose: pause a schedule, or have it go on; it is locked. $1 bigint id; $2 boolean: whether it is paused.
-- Locks: schedule. Relies on the primary key. One that is paused already keeps the time since when it is.
-- Notifies.
UPDATE taskmill.schedule
SET paused_at = CASE WHEN $2 THEN coalesce(paused_at, now()) END, updated_at = now()
WHERE id = $1
RETURNING
    id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick, last_task_id,
    paused_at, managed_by, owner, owner_quotas, tz_version, now() AS moment
