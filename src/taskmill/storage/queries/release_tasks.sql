-- Purpose: mark the most urgent due tasks of a queue and type as released, up to its release limit.
-- $1 text queue, $2 text type, $3 integer release limit, $4 integer most at once, $5 double precision life of a
-- hint in seconds; buckets, most urgent first: $6 smallint[] priorities and $7 timestamptz[] where to start in
-- each.
-- Locks: dispatch (skips what others hold). Run it under the lock of lock_release.
-- Relies on dispatch_bucket, read in the order of the buckets up to twice the release limit. Marks touch no index.
WITH seen AS MATERIALIZED (
    SELECT waiting.row_id, bucket.priority, waiting.run_at, waiting.released_at, waiting.is_out
    FROM unnest($6::smallint[], $7::timestamptz[]) AS bucket (priority, from_run_at)
    CROSS JOIN LATERAL (
        SELECT
            d.ctid AS row_id, d.run_at, d.released_at,
            -- Hints from before the queue was resumed were dropped, so their releases do not count. A resume in the
            -- future is from before the clock was set back: until then all would be released again and again.
            coalesce(d.released_at > greatest(
                now() - make_interval(secs => $5),
                (SELECT resumed_at FROM taskmill.queue WHERE name = $1 AND resumed_at <= now())), false) AS is_out
        FROM taskmill.dispatch AS d
        WHERE d.queue = $1
            AND d.type = $2
            AND d.priority = bucket.priority
            AND d.run_at >= bucket.from_run_at
            AND d.run_at <= now()
            AND (d.expires_at IS NULL OR d.expires_at > now())
        ORDER BY d.run_at, d.task_id
        LIMIT $3::integer + $3::integer
    ) AS waiting
    WHERE NOT EXISTS (SELECT FROM taskmill.queue WHERE name = $1 AND paused_at IS NOT NULL)
    LIMIT $3::integer + $3::integer
),
picked AS MATERIALIZED (
    SELECT row_id FROM seen
    WHERE NOT is_out
    LIMIT least($4, greatest(0, $3 - (SELECT count(*) FROM seen WHERE is_out)))
),
locked AS MATERIALIZED (
    SELECT ctid AS row_id, released_at FROM taskmill.dispatch
    WHERE ctid = ANY(ARRAY(SELECT row_id FROM picked))
    FOR NO KEY UPDATE SKIP LOCKED
),
marked AS (
    UPDATE taskmill.dispatch
    SET released_at = now()
    WHERE ctid = ANY(ARRAY(SELECT row_id FROM locked))
    RETURNING task_id, priority, run_at
)
SELECT
    (SELECT array_agg(task_id ORDER BY priority DESC, run_at, task_id) FROM marked) AS task_ids,
    (SELECT count(*) FROM locked WHERE released_at IS NOT NULL)::integer AS again,
    (SELECT count(*) FROM seen WHERE is_out)::integer AS out_before,
    (SELECT count(*) FROM seen WHERE NOT is_out)::integer AS waiting,
    (SELECT array_agg(priority ORDER BY priority) FROM (SELECT DISTINCT priority FROM seen) AS levels)
        AS priorities,
    (SELECT array_agg(first ORDER BY priority)
        FROM (SELECT priority, min(run_at) AS first FROM seen GROUP BY priority) AS firsts) AS firsts
