-- Purpose: make queues on their first use. $1 text[] sorted names, $2 integer: most queues there may be.
-- Locks: an advisory lock, so that the limit holds between processes. Returns the names that now exist.
WITH turn AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtext('taskmill.queue'))
),
room AS MATERIALIZED (
    SELECT $2 - count(*) AS free FROM turn CROSS JOIN taskmill.queue
),
added AS (
    INSERT INTO taskmill.queue (name)
    SELECT wanted.name
    FROM unnest($1::text[]) AS wanted (name)
    WHERE NOT EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = wanted.name)
    ORDER BY wanted.name
    LIMIT greatest((SELECT free FROM room), 0)
    ON CONFLICT (name) DO NOTHING
    RETURNING name
)
SELECT name FROM added
UNION
SELECT name FROM taskmill.queue WHERE name = ANY($1::text[])
