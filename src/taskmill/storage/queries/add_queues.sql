-- Purpose: make queues on their first use. $1 text[] sorted names, $2 integer: most queues there may be.
-- Runs after lock_queues in the same transaction: a statement that waited for the lock itself would count in a
-- snapshot from before the wait. Returns the names that now exist.
WITH added AS (
    INSERT INTO taskmill.queue (name)
    SELECT wanted.name
    FROM unnest($1::text[]) AS wanted (name)
    WHERE NOT EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = wanted.name)
    ORDER BY wanted.name
    LIMIT greatest($2 - (SELECT count(*) FROM taskmill.queue), 0)
    RETURNING name
)
SELECT name FROM added
UNION
SELECT name FROM taskmill.queue WHERE name = ANY($1::text[])
