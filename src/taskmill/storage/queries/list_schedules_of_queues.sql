-- Purpose: read the schedules whose tasks are in some queues, in the order in which they were made. $1..$3 as of
-- list_schedules, $4 text[]: the queues.
-- Relies on schedule_queue: it reads at most $2 rows of each queue.
SELECT
    s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.managed_by, s.owner,
    s.owner_quotas, c.cursor_at, c.next_at, c.held_tick, c.last_task_id, c.paused_at, c.postponed_since,
    c.tz_version, now() AS moment, s.found
FROM (
    SELECT
        id, name, revision, spec, task, queue, type, created_at, updated_at, managed_by, owner, owner_quotas,
        count(*) OVER () AS found, sum(bytes) OVER (ORDER BY id) - bytes AS bytes_before
    FROM (
        SELECT
            s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.managed_by,
            s.owner, s.owner_quotas, octet_length(s.task::text) + octet_length(s.spec::text) AS bytes
        FROM (
            SELECT own.id
            FROM unnest($4::text[]) AS wanted (queue)
            CROSS JOIN LATERAL (
                SELECT schedule.id
                FROM taskmill.schedule
                WHERE schedule.queue = wanted.queue AND schedule.id > $1
                ORDER BY schedule.id
                LIMIT $2
            ) AS own
            ORDER BY own.id
            LIMIT $2
        ) AS first
        JOIN taskmill.schedule AS s ON s.id = first.id
    ) AS part
) AS s
JOIN taskmill.schedule_cursor AS c ON c.schedule_id = s.id
WHERE s.bytes_before < $3
ORDER BY s.id
