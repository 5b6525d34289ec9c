-- Purpose: read the schedules whose tasks are in some queues, in the order in which they were made. $1 bigint: after this
-- one; $2 integer: the most; $3 text[]: the queues.
-- Relies on schedule_queue: it reads at most $2 rows of each queue.
SELECT
    s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.cursor_at, s.next_at,
    s.held_tick, s.last_task_id, s.paused_at, s.managed_by, s.owner, s.owner_quotas, s.tz_version, now() AS moment
FROM unnest($3::text[]) AS wanted (queue)
CROSS JOIN LATERAL (
    SELECT
        id, name, revision, spec, task, queue, type, created_at, updated_at, cursor_at, next_at, held_tick, last_task_id,
        paused_at, managed_by, owner, owner_quotas, tz_version
    FROM taskmill.schedule
    WHERE schedule.queue = wanted.queue AND schedule.id > $1
    ORDER BY schedule.id
    LIMIT $2
) AS s
ORDER BY s.id
LIMIT $2
