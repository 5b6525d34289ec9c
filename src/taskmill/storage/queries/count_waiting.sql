-- Purpose: how many tasks of some queues wait, by what they wait for. $1 text[] queues; $2 integer: most tasks to count
-- in all of them, shared out evenly among the buckets, but $3 integer at least of each; $4 integer: most buckets to read.
-- Reads only; relies on dispatch_bucket, and on the primary key of task for those that are due later: an attempt was
-- made or not. Its cost is bounded by $2 and $4. `all` comes from the counters, in the same snapshot.
-- A queue whose buckets are not all read has `later_are_more` and `due_are_more`.
WITH RECURSIVE bucket AS (
    SELECT first.queue, first.type, first.priority, 1 AS number
    FROM unnest($1::text[]) AS wanted (name)
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority
        FROM taskmill.dispatch AS d
        WHERE d.queue = wanted.name
        ORDER BY d.type, d.priority
        LIMIT 1
    ) AS first
    UNION ALL
    SELECT next.queue, next.type, next.priority, bucket.number + 1
    FROM bucket
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority
        FROM taskmill.dispatch AS d
        WHERE d.queue = bucket.queue AND (d.type, d.priority) > (bucket.type, bucket.priority)
        ORDER BY d.type, d.priority
        LIMIT 1
    ) AS next
    WHERE bucket.number < $4::integer / cardinality($1::text[])
),
most AS MATERIALIZED (
    SELECT greatest($2::integer / greatest(count(*), 1)::integer, $3::integer) AS tasks FROM bucket
),
served AS MATERIALIZED (
    SELECT queues, types FROM taskmill.lease
    WHERE closed_at IS NULL AND expires_at > clock_timestamp() AND request IS NULL
),
counted AS (
    SELECT
        b.queue, later.scheduled, later.retrying, later.scheduled + later.retrying > most.tasks AS later_are_more,
        least(due.tasks, most.tasks) AS due, due.tasks > most.tasks AS due_are_more,
        EXISTS (
            SELECT FROM served AS s
            WHERE (cardinality(s.queues) = 0 OR b.queue = ANY(s.queues)) AND (b.type = ANY(s.types) OR '*' = ANY(s.types))
        ) AS is_served,
        b.number >= $4::integer / cardinality($1::text[]) AS is_end
    FROM bucket AS b
    CROSS JOIN most
    CROSS JOIN LATERAL (
        SELECT
            count(*) FILTER (WHERE tried.attempt = 0) AS scheduled, count(*) FILTER (WHERE tried.attempt > 0) AS retrying
        FROM (
            SELECT d.task_id FROM taskmill.dispatch AS d
            WHERE d.queue = b.queue AND d.type = b.type AND d.priority = b.priority AND d.run_at > now()
            LIMIT most.tasks + 1
        ) AS ahead
        -- LIMIT has it looked up for each: a join might read all tasks.
        CROSS JOIN LATERAL (SELECT t.attempt FROM taskmill.task AS t WHERE t.id = ahead.task_id LIMIT 1) AS tried
    ) AS later
    CROSS JOIN LATERAL (
        SELECT count(*) AS tasks
        FROM (
            SELECT FROM taskmill.dispatch AS d
            WHERE d.queue = b.queue AND d.type = b.type AND d.priority = b.priority AND d.run_at <= now()
            LIMIT most.tasks + 1
        ) AS part
    ) AS due
)
SELECT
    c.queue,
    coalesce((SELECT sum(n.tasks) FROM taskmill.task_count AS n WHERE n.queue = c.queue AND n.status = 'new'), 0)::bigint
        AS all_waiting,
    sum(c.scheduled)::integer AS scheduled, sum(c.retrying)::integer AS retrying,
    bool_or(c.later_are_more OR c.is_end) AS later_are_more,
    sum(c.due)::integer AS due, bool_or(c.due_are_more OR c.is_end) AS due_are_more,
    coalesce(sum(c.due) FILTER (WHERE NOT c.is_served), 0)::integer AS unserved,
    coalesce(bool_or(c.due_are_more) FILTER (WHERE NOT c.is_served), false) AS unserved_are_more
FROM counted AS c
GROUP BY c.queue
