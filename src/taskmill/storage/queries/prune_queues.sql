-- Purpose: remove queues without activity for long in which nothing waits or runs, unless they are paused, keep their
-- ended tasks for their own time, or the contract of a type names them. $1 double precision: the time without activity,
-- in seconds.
-- Runs after lock_queues in the same transaction. Locks: the rows of these queues. Returns their names.
-- Relies on task_minute_at: the longest step that is read is an hour, so it may be an hour more than $1. Names are
-- compared with IS TRUE, which makes a hash table of them instead of a join by nested loops.
WITH candidate AS MATERIALIZED (
    SELECT q.name
    FROM taskmill.queue AS q
    WHERE q.paused_at IS NULL
        AND q.keep IS NULL
        AND greatest(q.created_at, q.resumed_at) < now() - make_interval(secs => $1)
        AND (q.name NOT IN (
            SELECT c.queue FROM taskmill.task_count AS c WHERE c.status IN ('new', 'in_progress')
            GROUP BY c.queue HAVING sum(c.tasks) <> 0
        )) IS TRUE
        AND (q.name NOT IN (
            SELECT c.defaults ->> 'queue'
            FROM taskmill.task_type AS t
            JOIN taskmill.type_contract AS c ON c.type = t.name AND c.version = t.version
            WHERE c.defaults ->> 'queue' IS NOT NULL
        )) IS TRUE
),
busy AS MATERIALIZED (
    SELECT queue FROM taskmill.task_minute
    WHERE step_s = 3600 AND at > now() - make_interval(secs => $1 + 3600) AND EXISTS (SELECT FROM candidate)
    UNION
    SELECT queue FROM taskmill.task_minute
    WHERE step_s < 3600 AND NOT carried AND at > now() - make_interval(secs => $1 + 3600)
        AND EXISTS (SELECT FROM candidate)
    UNION
    SELECT queue FROM taskmill.task_minute_delta
    WHERE at > now() - make_interval(secs => $1) AND EXISTS (SELECT FROM candidate)
)
-- A queue that was paused or got its own time meanwhile stays: a row that somebody has changed is read again.
DELETE FROM taskmill.queue
WHERE paused_at IS NULL
    AND keep IS NULL
    AND name = ANY(ARRAY(SELECT c.name FROM candidate AS c WHERE (c.name NOT IN (SELECT b.queue FROM busy AS b)) IS TRUE))
RETURNING name
