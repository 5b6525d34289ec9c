-- Purpose: schedules whose next tick is late, and those of which ticks of the last hour were refused, with how many.
-- $1 double precision: how late in s; $2 integer: the most of each; $3 integer: most ticks to read; $4 text[]: only
-- those of these queues, null for all.
-- Reads only; relies on schedule_due, schedule_fire_at and the primary key of schedule.
(
    SELECT s.name, s.queue, c.next_at AS since, 0 AS refused
    FROM taskmill.schedule_cursor AS c
    JOIN taskmill.schedule AS s ON s.id = c.schedule_id
    WHERE c.paused_at IS NULL AND c.next_at < now() - make_interval(secs => $1)
        AND ($4::text[] IS NULL OR s.queue = ANY($4::text[]))
    ORDER BY c.next_at
    LIMIT $2
)
UNION ALL
(
    SELECT s.name, s.queue, min(fired.at), count(*)::integer
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
