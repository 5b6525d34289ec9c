-- Purpose: lock schedules whose next tick was computed with other rules of time zones. $1 text: the version of those in
-- use; $2 integer: the most; $3 bigint: after this one.
-- Locks: schedule_cursor; skips what others have locked. Reads all cursors, at the start of a process and once an hour.
SELECT
    s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.managed_by, s.owner,
    s.owner_quotas, c.cursor_at, c.next_at, c.held_tick, c.last_task_id, c.paused_at, c.postponed_since,
    c.tz_version, now() AS moment
FROM taskmill.schedule_cursor AS c
JOIN taskmill.schedule AS s ON s.id = c.schedule_id AND s.revision = c.revision
WHERE c.tz_version <> $1 AND c.schedule_id > $3
ORDER BY c.schedule_id
LIMIT $2
FOR UPDATE OF c SKIP LOCKED
