-- Purpose: the recent rate of claims of a queue. $1 text queue, $2 text type or null for all, $3 double precision:
-- over so many seconds, and back to the beginning of that minute.
-- Reads only: the minutes, by task_minute_at, and the deltas that are not folded yet. Null when the type has no
-- row of its own while other types of the queue were folded into one: it may be among them.
SELECT
    CASE
        WHEN sum(counted.claimed) FILTER (WHERE counted.is_own) IS NOT NULL OR NOT coalesce(bool_or(counted.is_rest), false)
            THEN coalesce(sum(counted.claimed) FILTER (WHERE counted.is_own), 0)::double precision
                / date_part('epoch', clock_timestamp() - span.since)
    END AS per_second
FROM (SELECT date_trunc('minute', now() - make_interval(secs => $3)) AS since) AS span
LEFT JOIN LATERAL (
    SELECT claimed, $2::text IS NULL OR type = $2 AS is_own, type = '*' AS is_rest
    FROM taskmill.task_minute
    WHERE step_s = 60 AND at >= span.since AND queue = $1 AND ($2::text IS NULL OR type IN ($2, '*'))
    UNION ALL
    SELECT tasks, true, false
    FROM taskmill.task_minute_delta
    WHERE event = 'claimed' AND at >= span.since AND queue = $1 AND ($2::text IS NULL OR type = $2)
) AS counted ON true
GROUP BY span.since
