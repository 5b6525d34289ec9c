-- Purpose: the buckets (queue, type, priority) of unpaused queues in which a task waits, and when its first task
-- is due; also some of those that are not wanted, to show that they exist. `due_in_s` counts from the creation of
-- the task, the time in its id, where that is later.
-- $1 text[] types and $2 text[] queues that are wanted (null: all); $3 integer: most buckets to read; where to
-- begin: after $4 text queue, $5 text type, $6 smallint priority. `is_end`: the last bucket that was read, wanted
-- or not, when there may be more after it.
-- Reads only. A loose index scan over dispatch_bucket, which jumps from a type or queue that is not wanted
-- straight to the next one that is. Its cost is bounded by $3, and otherwise grows with the wanted buckets and
-- with the queues that also have others, not with tasks; and with rows that were deleted while an old snapshot is
-- open (0.09 µs each, 2026-11-26). No name serves as the highest one: that depends on the locale.
WITH RECURSIVE bucket AS (
    (
        SELECT
            d.queue, d.type, d.priority, d.run_at, d.task_id, 1 AS number,
            ($2::text[] IS NULL OR d.queue = ANY($2))
                AND (SELECT q.paused_at FROM taskmill.queue AS q WHERE q.name = d.queue) IS NULL
                AS has_open_queue,
            $1::text[] IS NULL OR d.type = ANY($1) AS has_wanted_type
        FROM taskmill.dispatch AS d
        WHERE (d.queue, d.type, d.priority) > ($4::text, $5::text, $6::smallint)
        ORDER BY d.queue, d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    )
    UNION ALL
    SELECT
        next.queue, next.type, next.priority, next.run_at, next.task_id, bucket.number + 1,
        ($2::text[] IS NULL OR next.queue = ANY($2))
            AND (SELECT q.paused_at FROM taskmill.queue AS q WHERE q.name = next.queue) IS NULL,
        $1::text[] IS NULL OR next.type = ANY($1)
    FROM bucket
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN NOT bucket.has_open_queue THEN NULL
                WHEN bucket.has_wanted_type THEN bucket.type
                ELSE (SELECT min(wanted.name) FROM unnest($1) AS wanted (name) WHERE wanted.name > bucket.type)
            END AS type
        OFFSET 0
    ) AS next_type
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN next_type.type IS NOT NULL THEN bucket.queue
                WHEN $2::text[] IS NULL THEN (
                    SELECT d.queue FROM taskmill.dispatch AS d WHERE d.queue > bucket.queue
                    ORDER BY d.queue, d.type, d.priority, d.run_at, d.task_id
                    LIMIT 1)
                ELSE (SELECT min(wanted.name) FROM unnest($2) AS wanted (name) WHERE wanted.name > bucket.queue)
            END AS queue,
            coalesce(next_type.type, '') AS type,
            CASE WHEN bucket.has_open_queue AND bucket.has_wanted_type THEN bucket.priority ELSE -1::smallint END AS priority
        OFFSET 0
    ) AS start
    CROSS JOIN LATERAL (
        SELECT d.queue, d.type, d.priority, d.run_at, d.task_id
        FROM taskmill.dispatch AS d
        WHERE (d.queue, d.type, d.priority) > (start.queue, start.type, start.priority)
        ORDER BY d.queue, d.type, d.priority, d.run_at, d.task_id
        LIMIT 1
    ) AS next
    WHERE bucket.number < $3::integer
)
SELECT
    queue, type, priority, run_at,
    extract(
        epoch FROM greatest(
            run_at,
            least(
                clock_timestamp(),
                to_timestamp(0)
                    + ('x' || left(replace(task_id::text, '-', ''), 12))::bit(48)::bigint * interval '1 millisecond'
            )
        ) - clock_timestamp()
    )::double precision AS due_in_s,
    has_open_queue AND has_wanted_type AS is_wanted,
    number = $3::integer AS is_end
FROM bucket
WHERE has_open_queue OR number = $3::integer
