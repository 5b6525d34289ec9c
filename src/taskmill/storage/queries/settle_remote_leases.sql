-- Purpose: after attempts of remote leases have ended: record how many are left, and close the leases that have
-- none.
-- $1 uuid[] leases, $2 text: the reason for closing.
-- Locks: the leases, in the order of ids. Relies on the primary keys of lease, running and task; LIMIT has
-- the second looked up for each task that a lease names. Call it after the commit of an end: when two end the last two attempts of a lease, the later one sees that none is left.
WITH held AS MATERIALIZED (
    SELECT id, task_ids FROM taskmill.lease
    WHERE id = ANY($1) AND remote AND closed_at IS NULL
    ORDER BY id
    FOR NO KEY UPDATE
),
counted AS MATERIALIZED (
    SELECT h.id, remaining.running, remaining.timeout_at
    FROM held AS h
    CROSS JOIN LATERAL (
        SELECT
            count(*)::integer AS running,
            min(r.started_at + make_interval(secs => t.timeout_s)) AS timeout_at
        FROM unnest(h.task_ids) AS named (id)
        CROSS JOIN LATERAL (
            SELECT task_id, started_at FROM taskmill.running
            WHERE task_id = named.id AND lease_id = h.id
            LIMIT 1
        ) AS r
        JOIN taskmill.task AS t ON t.id = r.task_id
    ) AS remaining
)
UPDATE taskmill.lease AS l
SET running = c.running,
    timeout_at = c.timeout_at,
    closed_at = CASE WHEN c.running = 0 THEN clock_timestamp() END,
    close_reason = CASE WHEN c.running = 0 THEN $2 END
FROM counted AS c
WHERE l.id = c.id AND l.closed_at IS NULL
RETURNING l.id
