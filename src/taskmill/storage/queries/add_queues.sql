-- Purpose: make queues on their first use. $1 text[] sorted names, $2 integer: most queues there may be, $3 text: the
-- name of the API key whose tasks make them, or null, $4 integer: most queues that these may have made, or null.
-- Runs after lock_queues in the same transaction: a statement that waited for the lock itself would count in a
-- snapshot from before the wait. Returns the names that now exist, or are being made by a user's transaction that
-- is still open: that holds the queue's own lock (taskmill.ensure_queue), and nobody waits for it. When it is rolled
-- back, restore_queues makes the queue.
WITH missing AS MATERIALIZED (
    SELECT wanted.name
    FROM unnest($1::text[]) AS wanted (name)
    WHERE NOT EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = wanted.name)
    ORDER BY wanted.name
    LIMIT greatest(least(
        $2::integer - (SELECT count(*) FROM taskmill.queue),
        $4::integer - (SELECT count(*) FROM taskmill.queue WHERE owner = $3::text)
    ), 0)
),
added AS (
    INSERT INTO taskmill.queue (name, owner)
    SELECT name, $3::text FROM missing WHERE pg_try_advisory_xact_lock(hashtext('taskmill.queue'), hashtext(name))
    ON CONFLICT (name) DO NOTHING
)
SELECT name FROM missing
UNION
SELECT name FROM taskmill.queue WHERE name = ANY($1::text[])
