-- Purpose: lock the schedules for which there is something to do, those that are due for longest first. $1 integer: the
-- most.
-- Locks: schedule_cursor; skips what others have locked, so any number of processes may do this. Relies on schedule_due. One
-- that is just being replaced has another revision there: it is left for the next round.
SELECT
    s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.managed_by, s.owner,
    s.owner_quotas, c.cursor_at, c.next_at, c.held_tick, c.last_task_id, c.paused_at, c.postponed_since,
    c.tz_version, now() AS moment
FROM taskmill.schedule_cursor AS c
JOIN taskmill.schedule AS s ON s.id = c.schedule_id AND s.revision = c.revision
WHERE c.paused_at IS NULL AND c.next_at <= now()
ORDER BY c.next_at
LIMIT $1
FOR UPDATE OF c SKIP LOCKED
