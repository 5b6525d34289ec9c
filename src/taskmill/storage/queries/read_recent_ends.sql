-- Purpose: what happened to the tasks of each queue and type lately, for the rules of attention. $1 double
-- precision: how far back in s, an hour at most; $2 text[]: only these queues, null for all.
-- `entered` is how many began to wait, `gone` how many no longer do.
-- Reads only; relies on task_minute_at: its cost is the number of minutes, queues and types, and of deltas that are
-- not folded yet. No histogram is read, which is what makes read_minutes slow.
WITH found AS (
    SELECT
        queue, type, succeeded, failed, expired,
        created + run_again + retry_scheduled + handed_back + lost AS entered,
        claimed + expired + cancelled AS gone
    FROM taskmill.task_minute
    WHERE step_s = 60 AND at >= now() - make_interval(secs => $1)
    UNION ALL
    SELECT
        queue, type,
        CASE event WHEN 'succeeded' THEN tasks ELSE 0 END,
        CASE event WHEN 'failed' THEN tasks ELSE 0 END,
        CASE event WHEN 'expired' THEN tasks ELSE 0 END,
        CASE WHEN event IN ('created', 'run_again', 'retry_scheduled', 'handed_back', 'lost') THEN tasks ELSE 0 END,
        CASE WHEN event IN ('claimed', 'expired', 'cancelled') THEN tasks ELSE 0 END
    FROM taskmill.task_minute_delta
    WHERE at >= now() - make_interval(secs => $1)
)
SELECT
    queue, type, sum(succeeded)::bigint AS succeeded, sum(failed)::bigint AS failed, sum(expired)::bigint AS expired,
    sum(entered)::bigint AS entered, sum(gone)::bigint AS gone
FROM found
WHERE $2::text[] IS NULL OR queue = ANY($2::text[])
GROUP BY queue, type
