-- Purpose: make queues anew that have tasks that wait or run, and no row: a queue was removed just as a task was
-- created, or was to be made by a transaction that was rolled back. Runs after lock_queues in the same transaction.
-- Returns their names. One that a user's transaction is making is left to that (add_queues).
-- Locks: none but that and its own rows. Queues and their counters are few.
WITH missing AS MATERIALIZED (
    SELECT c.queue AS name
    FROM taskmill.task_count AS c
    WHERE c.status IN ('new', 'in_progress')
        AND NOT EXISTS (SELECT FROM taskmill.queue AS q WHERE q.name = c.queue)
    GROUP BY c.queue
    HAVING sum(c.tasks) > 0
    ORDER BY c.queue
)
INSERT INTO taskmill.queue (name)
SELECT name FROM missing WHERE pg_try_advisory_xact_lock(hashtext('taskmill.queue'), hashtext(name))
ON CONFLICT (name) DO NOTHING
RETURNING name
