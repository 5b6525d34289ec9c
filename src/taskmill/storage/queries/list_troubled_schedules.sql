-- Purpose: schedules that may need attention: those whose next tick is late or left for later, which are `is_late`, and those that had
-- the latest ticks without a task.
-- $1 double precision: how late in s; $2 integer: the most that are late, and that are left for later; $3 integer: most ticks
-- to read; $4 text[]: only those of these queues, null for all; $5 integer: the most that had such ticks.
-- Reads only; relies on schedule_due, schedule_postponed, schedule_fire_trouble and the primary keys.
WITH late AS (
    (
        SELECT c.schedule_id
        FROM taskmill.schedule_cursor AS c
        JOIN taskmill.schedule AS s ON s.id = c.schedule_id
        WHERE c.paused_at IS NULL AND c.next_at < now() - make_interval(secs => $1)
            AND ($4::text[] IS NULL OR s.queue = ANY($4::text[]))
        ORDER BY c.next_at
        LIMIT $2
    )
    UNION
    (
        SELECT c.schedule_id
        FROM taskmill.schedule_cursor AS c
        JOIN taskmill.schedule AS s ON s.id = c.schedule_id
        WHERE c.paused_at IS NULL AND c.postponed_since < now() - make_interval(secs => $1)
            AND ($4::text[] IS NULL OR s.queue = ANY($4::text[]))
        ORDER BY c.postponed_since
        LIMIT $2
    )
),
without_task AS (
    SELECT fired.schedule_id
    FROM (
        SELECT latest.schedule_id, max(latest.at) AS at
        FROM (
            SELECT schedule_id, at
            FROM taskmill.schedule_fire
            WHERE outcome IN ('refused', 'skipped_overlap', 'skipped_missed')
            ORDER BY at DESC
            LIMIT $3
        ) AS latest
        GROUP BY latest.schedule_id
    ) AS fired
    JOIN taskmill.schedule AS s ON s.id = fired.schedule_id
    JOIN taskmill.schedule_cursor AS c ON c.schedule_id = fired.schedule_id
    WHERE c.paused_at IS NULL
        AND ($4::text[] IS NULL OR s.queue = ANY($4::text[]))
        AND fired.schedule_id NOT IN (SELECT schedule_id FROM late)
    ORDER BY fired.at DESC
    LIMIT $5
),
found AS (
    SELECT schedule_id, true AS is_late FROM late
    UNION ALL
    SELECT schedule_id, false FROM without_task
)
SELECT
    s.id, s.name, s.revision, s.spec, s.task, s.queue, s.type, s.created_at, s.updated_at, s.managed_by, s.owner,
    s.owner_quotas, c.cursor_at, c.next_at, c.held_tick, c.last_task_id, c.paused_at, c.postponed_since,
    c.tz_version, now() AS moment, found.is_late
FROM found
JOIN taskmill.schedule AS s ON s.id = found.schedule_id
JOIN taskmill.schedule_cursor AS c ON c.schedule_id = s.id
