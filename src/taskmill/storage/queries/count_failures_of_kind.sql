-- Purpose: how many failed in a way, by queue and type, the most frequent first. $1 integer: the step in s, $2 double
-- precision: how far back in s, and then to the beginning of that step; $3 text: the kind, $4 text[]: only in these
-- queues, null for all; $5 integer: most failures to read that are not folded yet, $6 integer: most rows; $7, $8
-- timestamptz: instead of $2 where the span begins and ends, null for now.
-- Reads only; relies on queue_failure_error.
SELECT queue, type, sum(tasks)::bigint AS tasks
FROM (
    SELECT queue, type, tasks
    FROM taskmill.queue_failure
    WHERE error = $3 AND step_s = $1::integer
        AND at >= date_bin(
            make_interval(secs => $1::integer), coalesce($7::timestamptz, now() - make_interval(secs => $2)),
            '2000-01-01 00:00:00+00'
        )
        AND at < least($8::timestamptz, clock_timestamp())
        AND ($4::text[] IS NULL OR queue = ANY($4))
    UNION ALL
    SELECT queue, type, 1
    FROM (SELECT at, queue, type, error FROM taskmill.failure_delta LIMIT $5) AS fresh
    WHERE error = $3 AND queue IS NOT NULL
        AND at >= coalesce($7::timestamptz, '-infinity') AND at < least($8::timestamptz, clock_timestamp())
        AND ($4::text[] IS NULL OR queue = ANY($4))
) AS counted
GROUP BY queue, type
ORDER BY sum(tasks) DESC, queue, type
LIMIT $6
