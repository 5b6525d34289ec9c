-- Purpose: schedules that SQL has asked for and that are not there (yet), in the order in which they were asked for. $1 bigint:
-- after this one; $2 integer: the most; $3 text[]: only of these queues, null for all. Relies on schedule_name; there are few.
SELECT
    r.id, r.name, r.body, r.queue, r.type, r.replaced_queue, r.paused, r.asked_by, r.asked_at, r.problem
FROM taskmill.schedule_request AS r
LEFT JOIN LATERAL (SELECT s.id FROM taskmill.schedule AS s WHERE s.name = r.name LIMIT 1) AS s ON true
WHERE r.body IS NOT NULL AND r.id > $1 AND s.id IS NULL AND ($3::text[] IS NULL OR r.queue = ANY($3))
ORDER BY r.id
LIMIT $2
