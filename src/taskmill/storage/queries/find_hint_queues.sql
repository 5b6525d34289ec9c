-- Purpose: the queues and types of which the broker may have hints: tasks wait there, or live workers serve them.
-- $1 integer: most rows. Workers that pull over HTTP take no hints.
-- Reads only. A loose index scan over dispatch_bucket, as far as $1 goes; leases and queues are few.
WITH RECURSIVE hint_queue AS (
    (
        SELECT queue, type, 1 AS number
        FROM taskmill.dispatch
        ORDER BY queue, type
        LIMIT 1
    )
    UNION ALL
    SELECT next.queue, next.type, hint_queue.number + 1
    FROM hint_queue
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type
        FROM taskmill.dispatch AS d
        WHERE (d.queue, d.type) > (hint_queue.queue, hint_queue.type)
        ORDER BY d.queue, d.type
        LIMIT 1
    ) AS next
    WHERE hint_queue.number < $1::integer
)
SELECT queue, type FROM hint_queue
UNION
SELECT q.name AS queue, served.type
FROM taskmill.lease AS l
CROSS JOIN unnest(l.types) AS served (type)
JOIN taskmill.queue AS q ON cardinality(l.queues) = 0 OR q.name = ANY(l.queues)
WHERE l.closed_at IS NULL
    AND l.expires_at > clock_timestamp()
    AND NOT l.remote
    AND served.type <> '*'
ORDER BY queue, type
LIMIT $1
