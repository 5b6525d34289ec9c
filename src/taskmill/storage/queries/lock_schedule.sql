-- Purpose: lock one schedule by its name. $1 text.
-- Locks: schedule, schedule_cursor, before everything else. Relies on schedule_name and the primary key of schedule_cursor.
SELECT
    s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.managed_by, s.owner,
    s.owner_quotas, c.cursor_at, c.next_at, c.held_tick, c.last_task_id, c.paused_at, c.postponed_since,
    c.tz_version, clock_timestamp() AS moment
FROM taskmill.schedule AS s
JOIN taskmill.schedule_cursor AS c ON c.schedule_id = s.id
WHERE s.name = $1
FOR UPDATE
