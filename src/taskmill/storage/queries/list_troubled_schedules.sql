-- Purpose: schedules whose next tick is late, those of which ticks of the last hour were refused, with how many, and what SQL
-- has asked for and was refused.
-- $1 double precision: how late in s; $2 integer: the most of each; $3 integer: most ticks to read; $4 text[]: only
-- those of these queues, null for all.
-- Reads only; relies on schedule_due, schedule_fire_at, schedule_request_refused and the primary key of schedule.
(
    SELECT s.name, s.queue, c.next_at AS since, 0 AS refused, false AS is_request
    FROM taskmill.schedule_cursor AS c
    JOIN taskmill.schedule AS s ON s.id = c.schedule_id
    WHERE c.paused_at IS NULL AND c.next_at < now() - make_interval(secs => $1)
        AND ($4::text[] IS NULL OR s.queue = ANY($4::text[]))
    ORDER BY c.next_at
    LIMIT $2
)
UNION ALL
(
    SELECT s.name, s.queue, min(fired.at), count(*)::integer, false
    FROM (
        SELECT schedule_id, outcome, at
        FROM taskmill.schedule_fire
        WHERE at > now() - interval '1 hour'
        ORDER BY at DESC
        LIMIT $3
    ) AS fired
    JOIN taskmill.schedule AS s ON s.id = fired.schedule_id
    WHERE fired.outcome = 'refused' AND ($4::text[] IS NULL OR s.queue = ANY($4::text[]))
    GROUP BY s.name, s.queue
    ORDER BY 4 DESC, 1
    LIMIT $2
)
UNION ALL
(
    SELECT name, coalesce(queue, replaced_queue, ''), asked_at, 0, true
    FROM taskmill.schedule_request
    WHERE problem IS NOT NULL AND ($4::text[] IS NULL OR coalesce(queue, replaced_queue) = ANY($4::text[]))
    ORDER BY asked_at
    LIMIT $2
)
