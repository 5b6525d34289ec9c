-- Purpose: pause a schedule, or have it go on; it is locked. $1 bigint id; $2 boolean: whether it is paused.
-- Locks: schedule, schedule_cursor. Relies on the primary keys. One that is paused already keeps the time since when it is,
-- unless its code declares it no longer, and that is why: then the time differs from that, so that this pause counts, too.
-- Notifies.
WITH changed AS (
    UPDATE taskmill.schedule SET updated_at = now() WHERE id = $1
    RETURNING
        id, name, revision, spec, task, queue, type, created_at, updated_at, managed_by, owner, owner_quotas,
        undeclared_at
),
moved AS (
    UPDATE taskmill.schedule_cursor AS c
    SET paused_at = CASE
        WHEN NOT $2 THEN NULL
        WHEN c.paused_at = changed.undeclared_at THEN greatest(now(), c.paused_at + interval '1 microsecond')
        ELSE coalesce(c.paused_at, now())
    END,
    postponed_since = NULL
    FROM changed
    WHERE c.schedule_id = changed.id
    RETURNING c.schedule_id, c.cursor_at, c.next_at, c.held_tick, c.last_task_id, c.paused_at, c.postponed_since,
        c.tz_version
)
SELECT
    s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.managed_by, s.owner,
    s.owner_quotas, c.cursor_at, c.next_at, c.held_tick, c.last_task_id, c.paused_at, c.postponed_since,
    c.tz_version, now() AS moment
FROM changed AS s
JOIN moved AS c ON c.schedule_id = s.id
