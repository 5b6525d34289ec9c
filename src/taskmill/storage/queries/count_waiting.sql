-- Purpose: how many tasks of some queues wait, by what they wait for. $1 text[] queues; $2 integer: up to so many of each
-- state are counted exactly, in all of the queues; $3 integer: at least so many of each bucket; $4 integer: most buckets to
-- read; $5 text[] those that are paused. Reads only; relies on dispatch_bucket, and on the primary key of task for those
-- that are due later: an attempt was made or not. First each bucket gets an even share of $2. What that leaves of a state
-- is counted in the buckets that have more, until there are more than $2 (those that are due later: than twice that) in
-- all. So its cost is bounded by $2 and $4. `all_waiting` comes from the counters, in the same snapshot: what is not due
-- later is due. So due tasks are counted only in queues that have buckets that no worker serves, or of which not all is
-- counted that is due later; in others `due` is 0, with `due_are_more`.
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
later AS MATERIALIZED (
    SELECT
        b.queue, b.type, b.priority, s.is_served, ahead.scheduled, ahead.retrying,
        ahead.scheduled + ahead.retrying > most.tasks AS later_are_more,
        b.number >= $4::integer / cardinality($1::text[]) AS is_end
    FROM bucket AS b
    CROSS JOIN most
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT FROM served AS s
            WHERE (cardinality(s.queues) = 0 OR b.queue = ANY(s.queues)) AND (b.type = ANY(s.types) OR '*' = ANY(s.types))
        ) AS is_served
    ) AS s
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
    ) AS ahead
),
counted AS MATERIALIZED (
    SELECT
        l.queue, l.type, l.priority, l.scheduled, l.retrying, l.later_are_more, l.is_served, l.is_end, l.is_counted,
        due.tasks AS due, NOT l.is_counted OR due.tasks > most.tasks AS due_are_more,
        l.queue = ANY($5::text[]) OR NOT l.is_served AS is_held
    FROM (
        SELECT
            queue, type, priority, scheduled, retrying, later_are_more, is_served, is_end,
            bool_or(later_are_more OR is_end OR NOT is_served) OVER (PARTITION BY queue) AS is_counted
        FROM later
    ) AS l
    CROSS JOIN most
    CROSS JOIN LATERAL (
        SELECT count(*) AS tasks
        FROM (
            SELECT FROM taskmill.dispatch AS d
            WHERE l.is_counted
                AND d.queue = l.queue AND d.type = l.type AND d.priority = l.priority AND d.run_at <= now()
            LIMIT most.tasks + 1
        ) AS part
    ) AS due
),
-- A state of which so many were counted gets no more: it has more than $2 in any case. With 1,000,000 tasks that wait in
-- 20 queues all of it takes 0.15 s, most of that to look up attempts (2026-11-30, a busy machine of two cores).
ready_rest AS MATERIALIZED (
    SELECT part.queue, part.type, part.priority, count(*) AS tasks, sum(count(*)) OVER () > $2::integer AS are_more
    FROM (
        SELECT c.queue, c.type, c.priority
        FROM counted AS c
        CROSS JOIN LATERAL (
            SELECT FROM taskmill.dispatch AS d
            WHERE d.queue = c.queue AND d.type = c.type AND d.priority = c.priority AND d.run_at <= now()
            LIMIT $2::integer + 1
        ) AS due
        WHERE
            c.is_counted AND c.due_are_more AND NOT c.is_held
            AND (SELECT sum(o.due) FROM counted AS o WHERE NOT o.is_held) <= $2::integer
        LIMIT $2::integer + 1
    ) AS part
    GROUP BY part.queue, part.type, part.priority
),
held_rest AS MATERIALIZED (
    SELECT part.queue, part.type, part.priority, count(*) AS tasks, sum(count(*)) OVER () > $2::integer AS are_more
    FROM (
        SELECT c.queue, c.type, c.priority
        FROM counted AS c
        CROSS JOIN LATERAL (
            SELECT FROM taskmill.dispatch AS d
            WHERE d.queue = c.queue AND d.type = c.type AND d.priority = c.priority AND d.run_at <= now()
            LIMIT $2::integer + 1
        ) AS due
        WHERE
            c.is_counted AND c.due_are_more AND c.is_held
            AND (SELECT sum(o.due) FROM counted AS o WHERE o.is_held) <= $2::integer
        LIMIT $2::integer + 1
    ) AS part
    GROUP BY part.queue, part.type, part.priority
),
later_rest AS MATERIALIZED (
    SELECT
        ahead.queue, ahead.type, ahead.priority, sum(count(*)) OVER () > $2::integer + $2::integer AS are_more,
        count(*) FILTER (WHERE tried.attempt = 0) AS scheduled, count(*) FILTER (WHERE tried.attempt > 0) AS retrying
    FROM (
        SELECT c.queue, c.type, c.priority, later.task_id
        FROM counted AS c
        CROSS JOIN LATERAL (
            SELECT d.task_id FROM taskmill.dispatch AS d
            WHERE d.queue = c.queue AND d.type = c.type AND d.priority = c.priority AND d.run_at > now()
            LIMIT $2::integer + $2::integer + 1
        ) AS later
        WHERE
            c.later_are_more
            AND (SELECT greatest(sum(o.scheduled), sum(o.retrying)) FROM counted AS o) <= $2::integer
        LIMIT $2::integer + $2::integer + 1
    ) AS ahead
    CROSS JOIN LATERAL (SELECT t.attempt FROM taskmill.task AS t WHERE t.id = ahead.task_id LIMIT 1) AS tried
    GROUP BY ahead.queue, ahead.type, ahead.priority
),
complete AS (
    SELECT
        c.queue, c.is_served, c.is_end,
        greatest(c.scheduled, l.scheduled) AS scheduled, greatest(c.retrying, l.retrying) AS retrying,
        c.later_are_more AND coalesce(l.are_more, true) AS later_are_more,
        greatest(c.due, due.tasks) AS due, c.due_are_more AND coalesce(due.are_more, true) AS due_are_more
    FROM counted AS c
    LEFT JOIN later_rest AS l USING (queue, type, priority)
    LEFT JOIN (
        SELECT queue, type, priority, tasks, are_more FROM ready_rest
        UNION ALL
        SELECT queue, type, priority, tasks, are_more FROM held_rest
    ) AS due USING (queue, type, priority)
)
SELECT
    queue,
    sum(all_waiting)::bigint AS all_waiting,
    sum(scheduled)::integer AS scheduled, sum(retrying)::integer AS retrying,
    bool_or(later_are_more OR is_end) AS later_are_more,
    sum(due)::integer AS due, bool_or(due_are_more OR is_end) AS due_are_more,
    coalesce(sum(due) FILTER (WHERE NOT is_served), 0)::integer AS unserved,
    coalesce(bool_or(due_are_more) FILTER (WHERE NOT is_served), false) AS unserved_are_more
FROM (
    SELECT
        queue, 0 AS all_waiting, scheduled, retrying, later_are_more, is_end, due, due_are_more, is_served
    FROM complete
    UNION ALL
    SELECT queue, tasks, 0, 0, NULL, NULL, 0, false, true
    FROM taskmill.task_count
    WHERE status = 'new' AND queue = ANY($1::text[])
) AS part
GROUP BY queue
HAVING count(is_end) > 0
